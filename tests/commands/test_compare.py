"""Several methods compared on one dataset and split, as a user asks for it.

Covers: comparison/ and pipeline/commands/compare.py: rows, failures with their reason, what is made once, table and
pictures.
Does not cover: how good a method is (test_quality.py, test_decompose.py).
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from program import funkflow
from typer.testing import CliRunner, Result

from funkflow.pipeline import cli
from funkflow.pipeline.results.comparison.drawing import comparison_drawing
from funkflow.pipeline.results.comparison.page import comparison_page
from funkflow.pipeline.results.comparison.runs import ComparedRun, Comparison
from funkflow.pipeline.settings.methods import METHODS
from funkflow.tasks.errors import SettingsError

SETTINGS = ["synth.fraction=0.02", "train.epochs=3", "train.l2=0.1", "train.iterations=1"]
"""Some are for one method alone: each run takes its own. Lanczos does not converge in one restart of so small a set."""
WORDS = ["--ranks", "4", "--methods", "sgd,lanczos,randomized", "--pure"]
WORDS += [word for setting in SETTINGS for word in ("--set", setting)]


def command(root: Path, *words: str) -> Result:
    asked = ["compare", "demo", "--root", str(root), "--json", *WORDS, *words]
    return CliRunner().invoke(cli.program(), asked, catch_exceptions=False, standalone_mode=False)


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    root = tmp_path_factory.mktemp("root")
    done = command(root)
    return root, json.loads(done.stdout.splitlines()[-1])


def test_every_method_rank_and_form_has_a_row(compared: tuple[Path, dict[str, Any]]) -> None:
    rows = compared[1]["rows"]
    names = {(row["method"], row["rank"], row["pure"]) for row in rows}
    assert len(names) == len(rows) == 6
    done = [row for row in rows if not row["failed"]]
    assert {row["method"] for row in done} == {"sgd", "randomized"}
    for row in done:
        assert 0.5 < row["rmse"] < 4.0
        assert row["seconds"] > 0
        assert row["memory_bytes"] > 50 * 2**20
        assert row["count"] > 0
        assert row["counted"] == ("epochs" if row["method"] == "sgd" else "products")


def test_a_method_that_fails_is_listed_with_its_reason(compared: tuple[Path, dict[str, Any]]) -> None:
    failed = [row for row in compared[1]["rows"] if row["failed"]]
    assert [(row["method"], row["pure"], row["rmse"]) for row in failed] == [("lanczos", pure, None) for pure in (0, 1)]
    for row in failed:
        assert "of 4 singular values converged to 1e-06 within 1 restarts" in row["failed"]


def test_unknown_entries_as_zero_are_worse_without_a_baseline(compared: tuple[Path, dict[str, Any]]) -> None:
    """What the comparison is for: with zeros in place of what nobody said, predictions fall towards zero."""
    rmse = {row["pure"]: row["rmse"] for row in compared[1]["rows"] if row["method"] == "randomized"}
    assert rmse[False] < compared[1]["references"]["biases"] < compared[1]["references"]["mean"] < rmse[True]


@pytest.mark.long
def test_all_runs_share_one_grid_and_nothing_is_trained_twice(compared: tuple[Path, dict[str, Any]]) -> None:
    """Said again without --json, it prints the same figures as tables."""
    root, before = compared
    runs = {path: path.stat().st_mtime_ns for path in root.glob("runs/*/training/manifest.json")}
    assert len(runs) == sum(not row["failed"] for row in before["rows"])
    assert len(list(root.glob("grids/*"))) == 1
    again = funkflow("compare", "demo", "--root", str(root), *WORDS).stdout
    assert runs == {path: path.stat().st_mtime_ns for path in root.glob("runs/*/training/manifest.json")}
    assert json.loads((Path(before["folder"]) / "comparison.json").read_text())["rows"] == before["rows"]
    for row in before["rows"]:
        assert (
            f"failed: lanczos, rank 4{', pure form' * row['pure']}" if row["failed"] else f"{row['rmse']:.4f}"
        ) in again


def test_table_and_pictures_lie_together_and_need_nothing_else(compared: tuple[Path, dict[str, Any]]) -> None:
    folder = Path(compared[1]["folder"])
    saved = json.loads((folder / "comparison.json").read_text())
    assert saved["rows"] == compared[1]["rows"]
    page = (folder / "comparison.html").read_bytes()
    assert len(page) < 3 * 2**20
    assert not re.search(rb"<(script|link)[^>]+(src|href)=", page)
    assert b"singular values converged to" in page
    drawing = ElementTree.fromstring((folder / "comparison.svg").read_text())
    marks = [each for each in drawing.iter() if each.attrib.get("class", "").startswith("mark")]
    assert len(marks) == 8 + 4  # two methods, against rank and against seconds, in two forms; and keys of each form


def test_a_drawing_of_one_run_has_its_mark_within_the_panel() -> None:
    row = ComparedRun("sgd", 8, False, 0.9, 0.8, 3.0, 2**29, 5)
    one = Comparison("made", 10, 2, {"mean": 1.1, "biases": 1.0}, (row,))
    drawing = ElementTree.fromstring(comparison_drawing(one))
    width, height = float(drawing.attrib["width"]), float(drawing.attrib["height"])
    for mark in drawing.iter("{http://www.w3.org/2000/svg}circle"):
        assert 0 < float(mark.attrib["cx"]) < width
        assert 0 < float(mark.attrib["cy"]) < height
    assert "0.9" in comparison_page(one)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--methods", "sgd,magic"], f"there is no method 'magic'; methods are {', '.join(METHODS)}"),
        (["--ranks", "8,many"], "--ranks '8,many': separate whole numbers by commas"),
        (["--ranks", "0,8"], "ranks from 1 on"),
        (
            ["--set", "split.kind=none", "--set", "split.file=", "--set", "train.stop_on=nothing"],
            "no validation ratings",
        ),
    ],
)
def test_a_wrong_word_is_named_before_anything_runs(tmp_path: Path, words: list[str], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        command(tmp_path, *words)
    assert message in str(caught.value)
    assert not (tmp_path / "raw").exists()
