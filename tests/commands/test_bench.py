"""The benchmarks at their smallest, so that they cannot rot: the table, its JSON, and what may not be quoted.

Covers: a whole tiny run with the peers that are installed here, rows of peers that are not, the judgement of an RMSE,
the order of measurements, and processes that fail.
Does not cover: LIBMF compiled from source (`make bench-libmf`, which .ci/run calls: a whole run of the smallest form),
or any speed.
"""

from __future__ import annotations

import io
import json
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from bench import __main__ as command
from bench import context, data, table
from bench.data import Data, packed
from bench.forms import FORMS, form_of
from bench.measure import Measurement, Row, compare
from bench.peers.roster import PEERS
from bench.planted_sets import write_sets
from bench.process import run_module, run_words
from bench.training import Training, enough_epochs
from bench.verdict import objection

DATA = Data("folder", "raw", {"grid": "grid"}, 1000, 100, 50, 20, biases_rmse=1.0, truth_rmse=0.8)
IMPORTED = {"cmfrec": "cmfrec", "scikit-surprise": "surprise", "implicit": "implicit", "pyspark": "pyspark"}


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sets")
    write_sets(folder)
    return folder


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("bench")
    form = replace(FORMS["tiny"], growth_fractions=())
    patch = pytest.MonkeyPatch()
    patch.setattr(command, "ROOT", folder)
    patch.setitem(FORMS, "tiny", form)
    patch.setattr(command, "prepare", lambda form, raw: data.prepare(form, folder, raw))
    try:
        assert command.main(["tiny", "--peers", ",".join(IMPORTED), "--only", "kernel,dask,jobs,growth"]) == 0
    finally:
        patch.undo()
    content: dict[str, object] = json.loads((folder / "tiny.json").read_text(encoding="utf-8"))
    return content


def test_an_epochs_time_leaves_out_the_first_task_and_when_its_epochs_were_told() -> None:
    """Ten epochs of 5 M ratings are one task, and are told one after another once it has ended."""
    told = [task + 0.004 * epoch for task in (1.0, 1.4, 1.8, 2.2) for epoch in range(10)]
    assert enough_epochs(5_000_000, 16) == len(told)
    assert Training(5_000_000, told, []).epoch_seconds == pytest.approx(0.04)


@pytest.mark.long
def test_whole_tiny_run_is_well_formed(report: dict[str, object]) -> None:
    assert {"format_version", "form", "started", "seconds", "machine", "versions", "data", "rows"} == set(report)
    rows = report["rows"]
    assert isinstance(rows, list)
    ours = [row for row in rows if row["contestant"] in ("ours", "plain loop", "through Dask")]
    assert {row["section"].partition(":")[0] for row in ours} == {
        "kernel", "Dask", "whole job", "training in that job", "reading", "growth"
    }  # fmt: skip
    assert {row["failed"] for row in ours} <= {"", "not measured yet"}
    for row in rows:
        assert bool(row["failed"]) != bool(row["seconds"] or row["more"]), row
    job = next(row for row in ours if row["section"].startswith("whole job"))
    assert job["peak_memory_bytes"] > 0
    assert job["more"]["predicted_memory_bytes"] > 0


@pytest.mark.long
@pytest.mark.parametrize("name", IMPORTED)
def test_tiny_run_reports_every_peer(report: dict[str, object], name: str) -> None:
    rows = report["rows"]
    assert isinstance(rows, list)
    row = next(row for row in rows if row["contestant"] == name and row["section"].startswith("whole job"))
    if find_spec(IMPORTED[name]) is None:
        assert row["failed"].startswith("not installed: ")
        assert row["seconds"] is None
    else:
        assert row["failed"] == ""
        assert row["seconds"] > 0
        assert (row["rmse"] is None) == (name == "implicit")


@pytest.mark.parametrize(
    ("rmse", "words"),
    [
        (1.28, "RMSE 1.2800 is worse than the bias baseline (1.0000)"),
        (0.79, "RMSE 0.7900 is below the planted truth (0.8000): it has seen the probe"),
        (float("nan"), "RMSE nan is no number"),
        (0.9, ""),
    ],
)
def test_an_rmse_is_judged(rmse: float, words: str) -> None:
    assert objection(rmse, DATA) == words


def test_a_bad_rmse_gets_no_speed() -> None:
    contestants = {"good": lambda: Measurement(2.0, 1000, 0.9), "bad": lambda: Measurement(1.0, 1000, 1.28)}
    good, bad = compare("kernel", "k = 2", contestants, 3, DATA)
    assert (good.seconds, good.ratings_per_second, good.ratio, good.failed) == (2.0, 500.0, 1.0, "")
    assert (bad.seconds, bad.ratings_per_second, bad.ratio, bad.rmse) == (None, None, None, 1.28)
    assert bad.failed == "RMSE 1.2800 is worse than the bias baseline (1.0000)"


def test_no_number_is_a_failure_that_json_can_hold() -> None:
    (row,) = compare("kernel", "k = 2", {"lost": lambda: Measurement(1.0, 1000, float("nan"))}, 1, DATA)
    assert (row.failed, row.rmse, row.seconds) == ("RMSE nan is no number", None, None)


def test_contestants_take_turns_and_medians_count() -> None:
    asked: list[str] = []

    def contestant(name: str, seconds: list[float]) -> Measurement:
        asked.append(name)
        return Measurement(seconds[asked.count(name) - 1], 100, failed="broken" if name == "c" else "")

    contestants = {
        "a": lambda: contestant("a", [1.0, 9.0, 2.0]),
        "b": lambda: contestant("b", [4.0]),
        "c": lambda: contestant("c", [5.0]),
    }
    rows = compare("kernel", "k = 2", contestants, 3, DATA, once=["b"])
    assert asked == ["a", "b", "c", "a", "a"]
    assert [(row.seconds, row.ratio, row.failed) for row in rows] == [
        (2.0, 1.0, ""),
        (4.0, 2.0, ""),
        (None, None, "broken"),
    ]
    assert rows[0].measured == [1.0, 9.0, 2.0]


@pytest.mark.parametrize(
    ("script", "failed"),
    [
        ("raise SystemExit('no ratings')", "exit code 1: no ratings"),
        ("import no_such_peer", "not installed: No module named 'no_such_peer'"),
        ("print('done')", "its last line is no JSON"),
        ("print('[1]')", "its last line is no JSON object"),
        ("import time; time.sleep(60)", "timed out after 1 s"),
    ],
)
def test_a_failing_process_is_reported(script: str, failed: str) -> None:
    assert run_words([sys.executable, "-c", script], limit_seconds=1).failed == failed


def test_another_fraction_has_a_folder_of_its_own() -> None:
    assert form_of("small") == FORMS["small"]
    other = form_of("small", 0.001)
    assert (other.name, other.fraction, other.ranks) == ("small-0.001", 0.001, FORMS["small"].ranks)


def test_a_peer_that_is_not_there_is_a_row(tmp_path: Path) -> None:
    lines: list[str] = []
    bench = context.Bench(FORMS["tiny"], replace(DATA, folder=str(tmp_path)), ("none",), 60, lines.append)
    read = {"none": lambda: bench.ask("bench.peers.no_such_peer", lambda _: Measurement(1.0))}
    (row,) = bench.compare("kernel", "k = 2", read)
    assert row.failed
    assert row.seconds is None
    assert lines == ["kernel, k = 2: none"]


def test_every_peer_of_the_roster_is_a_module_that_answers_for_help() -> None:
    for name, peer in PEERS.items():
        answer = run_module(peer.module, "--help", limit_seconds=60)
        assert answer.failed == "its last line is no JSON" or answer.failed.startswith("not installed"), (name, answer)


def test_table_and_json_hold_every_row(tmp_path: Path) -> None:
    rows = [
        Row("kernel", "k = 2", "ours", 0.5, 2e6, 2**20, 0.9, 1.0, note="set-up 1 s"),
        Row("kernel", "k = 2", "peer", failed="timed out after 5 s"),
    ]
    out = io.StringIO()
    Console(file=out, width=200).print(table.table("tiny", DATA, rows))
    printed = out.getvalue()
    assert all(word in printed for word in ("ours", "2.00 M", "1.00 MiB", "0.9000", "failed: timed out after 5 s"))
    content = table.report("tiny", DATA, rows, {"cores": 2}, {"python": "3"}, "2000-01-01", 1.0)
    table.write(tmp_path / "out.json", content)
    assert json.loads((tmp_path / "out.json").read_text(encoding="utf-8")) == content
    assert not {"folder", "raw", "made"} & set(content["data"])


def test_biases_are_those_of_the_model_to_beat(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    users, items = (generator.integers(0, size, 4000).astype(np.int32) for size in (50, 20))
    ratings = np.clip(np.rint(3 + (users % 3 - 1) + (items % 2)), 1, 5).astype(np.float32)
    training, probe = (packed(users[part], items[part], ratings[part]) for part in (slice(3000), slice(3000, None)))
    assert data.biases_rmse(training, probe) < 0.5 * float(np.std(probe["rating"]))
    data.write_text(tmp_path / "training.txt", training)
    assert np.loadtxt(tmp_path / "training.txt").tolist() == [list(each) for each in training.tolist()]


def test_unknown_peer_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["tiny", "--peers", "libfm"]) == 2
    assert "there is no 'libfm'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "ratings", "users", "items", "scale"),
    [
        ("jokes", 711_485, 20_000, 100, (-10, 10)),
        ("dense", 36_000, 300, 200, None),
        ("goods", 258_031, 53_000, 11_972, (1, 5)),
    ],
)
def test_planted_sets_have_the_sizes_that_the_page_states(
    sets: Path, name: str, ratings: int, users: int, items: int, scale: tuple[int, int] | None
) -> None:
    found = pd.read_csv(sets / f"{name}.csv")
    assert (len(found), found["user"].nunique(), found["item"].nunique()) == (ratings, users, items)
    assert not found.duplicated(["user", "item"]).any()
    assert scale is None or (found["rating"].min(), found["rating"].max()) == scale
    page = (Path(__file__).parents[2] / "docs" / "measured.md").read_text(encoding="utf-8")
    assert f"{ratings:,} ratings" in page
