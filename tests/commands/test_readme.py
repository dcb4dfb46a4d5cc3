"""What README and the pages behind it promise: its Python runs, and their commands, settings and files exist.

Covers: README.md, docs/own-ratings.md, docs/settings.md, docs/how-it-works.md and docs/measured.md.
Does not cover: figures, which are measured by hand (test_quality.py holds the bands).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.main import get_group

from funkflow.pipeline import cli
from funkflow.pipeline.settings.request import STAGES
from funkflow.pipeline.settings.sections import Settings

CHECKOUT = Path(__file__).parents[2]
TEXT = (CHECKOUT / "README.md").read_text(encoding="utf-8")
BEHIND = ("own-ratings", "settings", "how-it-works", "measured")
PAGES = {
    page: (CHECKOUT / page).read_text(encoding="utf-8")
    for page in ("README.md", *(f"docs/{name}.md" for name in BEHIND))
}
NAMES = set(get_group(cli.program()).commands)
COMMANDS = sorted(set(re.findall(r"^    funkflow (\w+)", TEXT, re.MULTILINE)))
LINKS = sorted({(page, path) for page, text in PAGES.items() for path in re.findall(r"\]\((?!https)([\w/.-]+)", text)})


def test_the_python_block_runs(tmp_path: Path) -> None:
    """As it stands, beside a small ratings.csv."""
    (block,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / "script.py").write_text(block)
    rng = np.random.default_rng(0)
    users, items = rng.integers(1, 61, 2400), rng.integers(1, 31, 2400)
    ratings = 3 + rng.normal(size=61)[users] + rng.normal(size=31)[items] + rng.normal(size=(61, 31))[users, items]
    pd.DataFrame({"user": users, "item": items, "rating": ratings}).to_csv(tmp_path / "ratings.csv", index=False)
    done = subprocess.run(
        [sys.executable, "script.py"], capture_output=True, text=True, check=False, timeout=120, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rmse, recommended = done.stdout.splitlines()
    assert rmse.endswith(" on hash 10 % (seed 0)")
    assert recommended.count(" ") >= 6


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_exists(command: str) -> None:
    assert command in NAMES


@pytest.mark.parametrize(("page", "path"), LINKS)
def test_every_link_leads_somewhere(page: str, path: str) -> None:
    assert ((CHECKOUT / page).parent / path).exists()


@pytest.mark.parametrize(
    "key", sorted(set(re.findall(r"`((?:split|train|cluster|ingest)\.\w+)", PAGES["docs/settings.md"])))
)
def test_every_setting_exists(key: str) -> None:
    section, name = key.split(".")
    assert name in type(getattr(Settings(), section)).model_fields


def test_the_picture_shows_every_stage() -> None:
    """Leakage is a part of split, folding in of train, vectors of spectrum; training has pipeline/training."""
    (picture,) = re.findall(r"```mermaid\n(.*?)```", PAGES["docs/how-it-works.md"], re.DOTALL)
    shown = set(re.findall(r'-->\|"?(\w+)', picture))
    files = {path.stem for path in (CHECKOUT / "pipeline/stages").glob("[!_]*.py")}
    assert shown - {"synth", "train"} == files - {"synthesise", "leakage", "fold_given", "vectors"}
    assert set(STAGES) <= shown
