"""`funkflow runs` as a user meets it: lists, one record, two side by side, and what goes.

Covers: pipeline/commands/runs.py. Does not cover: what a record says (test_ledger.py), what pruning removes
(test_prune.py).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from executing import RUN_ID, executed, ratings_in, settings_over
from typer.testing import CliRunner

from funkflow.pipeline.cli import program
from funkflow.pipeline.root.result import RunResult
from funkflow.pipeline.running.execution import Execution
from funkflow.tasks.errors import BadInput, FunkflowError, SettingsError


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A root with four records: done, up to date, done with another rank, failed."""
    place = tmp_path_factory.mktemp("runs")
    ratings_in(place)
    root = str(place / "root")
    executed(settings_over(place, root), date="2026-01-30")
    executed(settings_over(place, root), date="2026-01-31")
    executed(settings_over(place, root, train={"rank": 3}), date="2026-01-31")
    with pytest.raises(BadInput):
        executed(settings_over(place, root), fail, date="2026-02-01", force=True)
    return root


def fail(_execution: Execution) -> RunResult:
    raise BadInput("ratings.csv:3: 'high' is no rating")


def funkflow(root: str, *words: str) -> str:
    result = CliRunner().invoke(
        program("runs"), ["runs", *words, "--root", root], catch_exceptions=False, standalone_mode=False
    )
    return result.stdout


def asked(root: str, *words: str) -> Any:
    return json.loads(funkflow(root, *words, "--json").splitlines()[-1])


def test_the_list_is_newest_first_and_says_what_went_wrong(root: str) -> None:
    lines = funkflow(root).splitlines()
    assert [line.split()[1] for line in lines[1:5]] == ["2026-02-01", "2026-01-31", "2026-01-31", "2026-01-30"]
    assert "failed" in lines[1]
    assert "0.9000" in lines[4]
    assert "BadInput: ratings.csv:3: 'high' is no rating" in lines[5]


@pytest.mark.parametrize(
    ("words", "count"),
    [
        ([], 4),
        (["--state", "done"], 2),
        (["--state", "up to date"], 1),
        (["--date", "2026-01-31"], 2),
        (["--last", "1"], 1),
        (["--last", "0", "--state", "failed"], 1),
        (["--state", "died"], 0),
    ],
)
def test_the_list_can_be_narrowed(root: str, words: list[str], count: int) -> None:
    assert len(asked(root, *words)["records"]) == count


@pytest.mark.parametrize("words", [["--state", "dnoe"], ["--date", "2026-1-1"]])
def test_what_there_cannot_be_is_refused(root: str, words: list[str]) -> None:
    with pytest.raises(SettingsError):
        funkflow(root, *words)


def test_one_record_by_its_beginning_its_run_or_as_the_last(root: str) -> None:
    newest, *_, first = asked(root)["records"]
    assert asked(root, "show", "last") == newest
    assert asked(root, "show", first["id"]) == first
    assert asked(root, "show", first["id"][:-1]) == first
    assert asked(root, "show", RUN_ID[:6])["run_id"] == RUN_ID
    assert "ratings.csv:3" in funkflow(root, "show", "last")


@pytest.mark.parametrize(("words", "said"), [("2", "begins 4 records"), ("nothing", "no such record")])
def test_a_record_that_is_not_there_or_not_one(root: str, words: str, said: str) -> None:
    with pytest.raises(FunkflowError, match=said):
        funkflow(root, "show", words)


def test_two_records_differ_in_what_was_changed(root: str) -> None:
    _, other_rank, _, first = asked(root)["records"]
    values = asked(root, "diff", first["id"], other_rank["id"])["values"]
    assert values == {"date": ["2026-01-30", "2026-01-31"], "settings.train.rank": [64, 3]}
    every = asked(root, "diff", first["id"], other_rank["id"], "--all")["values"]
    assert every["metrics.rmse"] == [0.9, 0.9]
    assert every["settings.split.kind"] == ["file", "file"]
    shown = funkflow(root, "diff", first["id"], other_rank["id"])
    assert "settings.train.rank" in shown
    assert "split.kind" not in shown
    assert "do not differ" in funkflow(root, "diff", first["id"], first["id"])


def test_prune_says_first_and_removes_only_when_told(tmp_path: Path) -> None:
    for name in ("b" * 16, "c" * 16):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        facts = {"grid": "1" * 16, "split": "1" * 16, "dataset": "1" * 16, "started": f"2026-01-0{name.count('b')}"}
        (folder / "record.json").write_text(json.dumps(facts))
        (folder / "model").write_bytes(b"x" * 1000)
    said = funkflow(str(tmp_path), "prune", "--keep", "1")
    assert "would be freed; --yes removes the files" in said
    (gone,) = [line.split(": ")[1] for line in said.splitlines() if line.startswith("runs to remove")]
    assert (tmp_path / "runs" / gone).exists()
    done = asked(str(tmp_path), "prune", "--keep", "1", "--yes")
    assert done["removed"] is True
    assert done["bytes"] > 1000
    assert list(done["paths"]) == [f"runs/{gone}"]
    assert not (tmp_path / "runs" / gone).exists()


def test_a_root_without_any_record(tmp_path: Path) -> None:
    assert funkflow(str(tmp_path)) == "no such record\n"
    assert list(tmp_path.iterdir()) == []
