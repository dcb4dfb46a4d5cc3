"""What docs/ shows: its code runs, its links lead somewhere, and its pictures are what their command draws.

Covers: follow-the-gradient.md, scale.md, the links of start.md, the commands of runs.md, the events of live.md, and
docs/draw_figures.py.
Does not cover: README (test_readme.py), the commands of start.md (tests/environments/test_first_minute.py).
"""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args
from xml.etree import ElementTree

import pytest
from typer.main import get_group

from docs.draw_figures import FIGURES, draw
from funkflow.pipeline.cli import program
from funkflow.pipeline.progress.events import Event
from funkflow.pipeline.progress.live import metrics

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "follow-the-gradient.md").read_text(encoding="utf-8")
SCALE = (DOCS / "scale.md").read_text(encoding="utf-8")
RUNS = (DOCS / "runs.md").read_text(encoding="utf-8")
START = (DOCS / "start.md").read_text(encoding="utf-8")
LIVE = (DOCS / "live.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def test_the_blocks_run_one_after_another(tmp_path: Path) -> None:
    assert len(BLOCKS) == 6
    script = tmp_path / "page.py"
    script.write_text("\n".join(BLOCKS), encoding="utf-8")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False, cwd=DOCS.parent,
                          env={"PYTHONPATH": str(DOCS.parent)}, timeout=60)  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_every_block_asserts_something() -> None:
    assert all("assert " in block for block in BLOCKS)


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\(([\w/.-]+)[#)]", TEXT + SCALE + START))))
def test_every_link_leads_somewhere(path: str) -> None:
    assert (DOCS / path).exists()


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


@pytest.mark.parametrize("line", re.findall(r"^    funkflow (.+?) *(?:#.*)?$", RUNS, re.MULTILINE))
def test_every_command_of_runs_is_there_with_its_options(line: str) -> None:
    word, *rest = line.split()
    command = get_group(program(word)).commands[word]
    command = getattr(command, "commands", {}).get(rest[0] if rest else "", command)
    options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {each for each in rest if each.startswith("--")} <= options


def test_every_event_and_metric_is_in_the_page_on_watching() -> None:
    for kind in get_args(Event):
        fields = ", ".join(f"`{each.name}`" for each in dataclasses.fields(kind))
        assert f"| `{kind.__name__}` | {fields} |" in LIVE
    families = {family.name: family for family in metrics._RUNS.collect()}
    for name, family in families.items():
        assert f"`{name}{'_total' if family.type == 'counter' else ''}`" in LIVE
    assert "`funkflow_block_seconds`" in LIVE
