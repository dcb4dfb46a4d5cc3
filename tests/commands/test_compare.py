"""Several methods compared on one dataset and split, as a user asks for it.

Covers: comparison/ and pipeline/commands/compare.py: rows, failures with their reason, what is made once, table and
pictures.
Does not cover: how good a method is (test_quality.py, test_decompose.py).
"""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from program import funkflow
from rich.console import Console
from typer.testing import CliRunner, Result

from funkflow import run
from funkflow.pipeline import cli
from funkflow.pipeline.progress.events import Event, StageFinished
from funkflow.pipeline.results.comparison.contenders import CONTENDERS
from funkflow.pipeline.results.comparison.drawing import comparison_drawing
from funkflow.pipeline.results.comparison.page import comparison_page
from funkflow.pipeline.results.comparison.runs import ComparedRun, Comparison
from funkflow.pipeline.results.comparison.table import comparison_table
from funkflow.tasks.errors import SettingsError

SETTINGS = ["synth.fraction=0.02", "train.epochs=3", "train.l2=0.1", "train.iterations=1"]
"""Some are for one method alone: each run takes its own. Lanczos does not converge in one restart of so small a set."""
WORDS = ["--ranks", "4", "--methods", "sgd,lanczos,randomized,als-ranking,most-rated", "--pure"]
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
    assert len(names) == len(rows) == 8
    done = [row for row in rows if not row["failed"] and row["rank"]]
    assert {row["method"] for row in done} == {"sgd", "randomized", "als-ranking"}
    for row in done:
        assert row["rmse"] is None if row["method"] == "als-ranking" else 0.5 < row["rmse"] < 4.0
        assert 0 <= row["ndcg"] < 1
        assert 0 <= row["recall"] < 1
        assert row["seconds"] > 0
        assert row["memory_bytes"] > 50 * 2**20
        assert row["count"] > 0
        assert row["counted"] == ("products" if row["method"] == "randomized" else "epochs")


def test_the_most_rated_items_are_a_row_without_a_model(compared: tuple[Path, dict[str, Any]]) -> None:
    whole = compared[1]
    last, found = whole["rows"][-1], whole["most_rated"]
    assert (last["method"], last["ndcg"], last["recall"]) == ("most-rated", found["ndcg"], found["recall"])
    assert {last[name] for name in ("rank", "rmse", "seconds", "run_id")} == {None}
    assert (whole["ranked_at"], last["failed"]) == (10, "")
    assert whole["ranked_users"] > 50


def test_nothing_compared_is_put_to_use_until_a_run_asks_for_it(compared: tuple[Path, dict[str, Any]]) -> None:
    """Its training and its ranking are those of the comparison; the gate and the model in use are its own."""
    root, whole = compared
    assert not (root / "current.json").exists()
    sgd = next(row for row in whole["rows"] if row["method"] == "sgd" and not row["pure"])
    settings = ["train.rank=4", *SETTINGS[:3], f"root={root}", "gate.beats_biases=false", "report.write=false"]
    told: list[Event] = []
    result = run("demo", settings, listeners=[told.append])
    assert result.run_id == sgd["run_id"]
    assert result.ranking["ndcg"] == sgd["ndcg"]
    reused = {event.stage: event.reused for event in told if isinstance(event, StageFinished)}
    assert (reused["train"], reused["gate"], reused["ranking"]) == (True, False, True)
    assert json.loads((root / "current.json").read_text())["run_id"] == sgd["run_id"]


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
    assert len(runs) == sum(not row["failed"] for row in before["rows"] if row["rank"])
    assert len(list(root.glob("grids/*"))) == 1
    again = funkflow("compare", "demo", "--root", str(root), *WORDS).stdout
    assert runs == {path: path.stat().st_mtime_ns for path in root.glob("runs/*/training/manifest.json")}
    assert json.loads((Path(before["folder"]) / "comparison.json").read_text())["rows"] == before["rows"]
    for row in before["rows"]:
        figure = row["rmse"] or row["ndcg"]
        assert (f"failed: lanczos, rank 4{', unbiased' * row['pure']}" if row["failed"] else f"{figure:.4f}") in again


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
    # Two methods, in RMSE against rank and against seconds, in two forms; three and two in NDCG; keys of each form.
    assert len(marks) == 8 + 5 + 5


def test_a_drawing_of_one_run_has_its_mark_within_the_panel() -> None:
    row = ComparedRun("sgd", 8, False, 0.9, 0.8, None, None, 3.0, 2**29, 5)
    one = Comparison("made", 10, 2, {"mean": 1.1, "biases": 1.0}, (row,))
    drawing = ElementTree.fromstring(comparison_drawing(one))
    width, height = float(drawing.attrib["width"]), float(drawing.attrib["height"])
    for mark in drawing.iter("{http://www.w3.org/2000/svg}circle"):
        assert 0 < float(mark.attrib["cx"]) < width
        assert 0 < float(mark.attrib["cy"]) < height
    assert "0.9" in comparison_page(one)


def test_models_that_predict_no_ratings_have_no_error_and_still_a_place() -> None:
    """In the pictures by NDCG alone; in the table with a dash."""
    rows = (
        ComparedRun("als-ranking", 8, False, None, None, 0.25, 0.2, 3.0, 2**29, 12),
        ComparedRun("most-rated", None, False, ndcg=0.1, recall=0.05),
    )
    one = Comparison("made", 10, 2, {"mean": 1.1, "biases": 1.0}, rows, 10, 7, {"ndcg": 0.1, "recall": 0.05})
    drawing = comparison_drawing(one)
    assert "NDCG@10" in drawing
    assert "RMSE" not in drawing
    assert "<td>als-ranking</td><td>8</td><td>-</td><td>-</td><td>0.2500</td>" in html.unescape(comparison_page(one))
    console = Console(width=80)
    with console.capture() as shown:
        console.print(comparison_table(one, "folder"))
    lines = [line.split() for line in shown.get().splitlines()]
    assert ["als-ranking", "8", "-", "-", "0.2500", "0.2000", "3.0", "512", "MiB", "12", "epochs"] in lines
    assert ["most-rated", *"---", "0.1000", "0.0500", *"---"] in lines


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--methods", "sgd,magic"], f"there is no method 'magic'; methods are {', '.join(CONTENDERS)}"),
        (["--ranks", "8,many"], "--ranks '8,many': separate whole numbers by commas"),
        (["--ranks", "0,8"], "ranks of 1 or more"),
        (["--methods", "most-rated"], "name at least one method to train"),
        (["--set", "ranking.count=0"], "als-ranking has only a ranking to compare: set ranking.count above 0"),
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


def test_a_setting_can_vary_and_says_where_it_has_no_effect(compared: tuple[Path, dict[str, Any]]) -> None:
    asked = ["compare", "demo", "--root", str(compared[0]), "--json", "--ranks", "4", "--methods", "sgd,als"]
    asked += ["--vary", "train.implicit=none,both", "--set", SETTINGS[0], "--set", "train.epochs=6"]
    done = CliRunner().invoke(cli.program(), asked, catch_exceptions=False, standalone_mode=False)
    rows = json.loads(done.stdout.splitlines()[-1])["rows"]
    assert [(row["method"], row["varied"]) for row in rows] == [
        (method, f"implicit={value}") for method in ("sgd", "als") for value in ("none", "both")
    ]
    none, both, *others = rows
    assert none["rmse"] != both["rmse"]
    assert all("train.implicit has no effect" in row["failed"] for row in others)


@pytest.mark.parametrize("vary", ["rank=4,8", "train.rank=4,8", "train.implicit", "train.implicit=both"])
def test_what_cannot_vary_is_one_line(compared: tuple[Path, dict[str, Any]], vary: str) -> None:
    with pytest.raises(SettingsError, match="name a setting of \\[train\\] and two or more of its values"):
        command(compared[0], "--vary", vary)
