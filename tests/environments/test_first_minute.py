"""A newcomer's path through docs/start.md: own CSV to a model, recommendations, and a report in a browser.

Covers: the commands of the page on 100,000 ratings under a fresh root, their results, and that the page shows their
output: its words, not its figures, which differ between processors.
Does not cover: seconds (bench/newcomer.py), the installation (test_packaging.py).
"""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest
from browser import browser as browser
from browser import watched
from playwright.sync_api import Browser
from program import CHECKOUT, funkflow_anew

from bench.newcomer import PAGE, Command, commands, walk, write_ratings
from funkflow import Model

MOST_COMMANDS = 5
_BROWSER = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text(sys.argv[2])"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("newcomer")


@pytest.fixture(scope="module")
def walked(folder: Path) -> list[Command]:
    """What came of each command; the address of the report is in the file `opened`."""
    write_ratings(folder / "ratings.csv")
    opener = shlex.join([sys.executable, "-c", _BROWSER, str(folder / "opened"), "%s"])
    return list(walk(folder, {"PYTHONPATH": str(CHECKOUT), "COLUMNS": "200", "BROWSER": opener}))


def test_the_path_is_short(walked: list[Command]) -> None:
    assert 4 <= len(commands()) <= MOST_COMMANDS
    assert [step.code for step in walked] == [0] * len(commands()), walked[-1].output


def test_there_is_a_model_of_all_ratings(folder: Path, walked: list[Command]) -> None:
    (place,) = (folder / "data").glob("runs/*/model")
    model = Model.load(str(place))
    assert (len(model.user_ids), len(model.item_ids)) == (2_000, 600)


def test_one_user_has_ten_new_items(folder: Path, walked: list[Command]) -> None:
    (output,) = (step.output for step in walked if step.words.startswith("funkflow recommend"))
    shown = [found[1] for line in output.splitlines() if (found := re.match(r"│ \d+ +│ (.+?) +│", line))]
    rated = {line.split(",")[1] for line in (folder / "ratings.csv").read_text().splitlines() if line.startswith("7,")}
    assert len(set(shown)) == 10
    assert rated
    assert not rated & set(shown)


def test_the_report_is_open_in_a_browser(folder: Path, walked: list[Command], browser: Browser) -> None:
    address = (folder / "opened").read_text(encoding="utf-8")
    with watched(browser) as seen:
        seen.page.goto(address)
        assert "ratings.csv" in seen.page.inner_text("h1")
        assert "100,000" in seen.page.inner_text("body")
        assert seen.errors == seen.left_the_machine == []


def test_the_page_shows_what_the_commands_print(walked: list[Command]) -> None:
    blocks = re.findall(r"```console\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    shown = {block.split("\n", 1)[0].removeprefix("$ "): block.splitlines()[1:] for block in blocks}
    for step in walked:
        printed = _words(step.output)
        assert [line for line in shown[step.words] if _words(line.strip("…")) not in printed] == []


def _words(text: str) -> str:
    """Return text without figures and the width of a table's columns."""
    return re.sub(r"[\d.,]+", "#", re.sub(r"[ ━]+", " ", text))


def test_where_no_browser_is_the_report_has_an_address(folder: Path, walked: list[Command]) -> None:
    empty = folder / "empty"
    empty.mkdir()
    done = funkflow_anew(
        "report", "--open", "--root", str(folder / "data"), PATH=str(empty), BROWSER="", DISPLAY="", WAYLAND_DISPLAY=""
    )
    (place,) = (folder / "data").glob("runs/*/report.html")
    assert (done.returncode, done.stdout) == (2, f"{place}\n")
    assert done.stderr == f"funkflow: --open: there is no browser here; open {place} in one\n"
