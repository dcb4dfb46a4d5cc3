"""What docs/ shows: its links lead somewhere, and its pictures are what their command draws.

Covers: links and assembly of all pages, the blocks of follow-the-gradient.md, the metrics of live.md, and
docs/draw_figures.py.
Does not cover: README (test_readme.py), the reference (test_reference.py), all other blocks (test_manual.py).
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from docs.draw_figures import FIGURES, draw
from docs.pages import assembled, is_external, links, local
from funkflow.pipeline.progress.live import metrics

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
TEXT = (DOCS / "follow-the-gradient.md").read_text(encoding="utf-8")
SCALE = (DOCS / "scale.md").read_text(encoding="utf-8")
LIVE = (DOCS / "live.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
PRINTED = re.findall(r"```python\n[^`]*```\n\n```text\n(.*?)```", TEXT, re.DOTALL)


def test_the_blocks_run_one_after_another(tmp_path: Path) -> None:
    """And print what the page shows below them."""
    assert (len(BLOCKS), len(PRINTED)) == (7, 4)
    script = tmp_path / "page.py"
    script.write_text("\n".join(BLOCKS), encoding="utf-8")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False, cwd=DOCS.parent,
                          env={"PYTHONPATH": str(DOCS.parent)}, timeout=60)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "".join(PRINTED)


def test_every_block_asserts_something() -> None:
    assert all("assert " in block for block in BLOCKS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_local_link_leads_somewhere(page: Path) -> None:
    """Sphinx checks the headings that links name, too (`make docs`)."""
    targets = (each for each in links(page.read_text(encoding="utf-8")) if not is_external(each))
    assert [each for each in targets if not (page.parent / each.partition("#")[0]).exists()] == []


def test_a_link_out_of_docs_leads_to_the_page_of_its_file_or_becomes_text() -> None:
    text = "[a](../CONTRIBUTING.md#b) [`c`](../tasks) [d](runs.md) [e](../gone.md) https://f.org [g](https://h.org)"
    changed = local(text, DOCS / "x.md", DOCS / "x.md")
    assert changed == "[a](contributing.md#b) `c` [d](runs.md) [e](../gone.md) https://f.org [g](https://h.org)"


def test_a_page_takes_text_of_a_file() -> None:
    text = assembled("runs\n<!-- file: CHANGELOG.md -->\n", DOCS / "x.md")
    assert text.startswith("runs\n\nWhat users notice")


def test_every_figure_is_shown() -> None:
    assert {Path(path).stem for path in re.findall(r"!\[.*?\]\((.*?)\)", TEXT + SCALE)} == set(FIGURES)


def test_the_command_draws_every_figure(tmp_path: Path) -> None:
    """Bytes may differ with the version of matplotlib; the words in the pictures may not."""
    draw(tmp_path)
    for name in FIGURES:
        drawn, kept = (
            sorted(text for text in ElementTree.parse(folder / f"{name}.svg").getroot().itertext() if text.strip())
            for folder in (tmp_path, DOCS)
        )
        assert drawn == kept


def test_every_metric_is_in_the_page_on_watching() -> None:
    families = {family.name: family for family in metrics._RUNS.collect()}
    for name, family in families.items():
        assert f"`{name}{'_total' if family.type == 'counter' else ''}`" in LIVE
    assert "`funkflow_block_seconds`" in LIVE
