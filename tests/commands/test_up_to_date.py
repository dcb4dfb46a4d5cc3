"""An unchanged execution has nothing to do, and each thing that may have changed gives it something to do.

Covers: pipeline/running/receipts.py and pipeline/running/execution.py, without a cluster; the quick command, and what
it does not load.
Does not cover: stages that find what they have done (test_flow.py), the ledger (test_ledger.py).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from executing import RUN_ID, executed, is_up_to_date, ratings_in, settings_over, work
from loaded import heavy_of

from chaos.object_store import ObjectStore
from funkflow.pipeline.progress.events import Event, Noticed
from funkflow.pipeline.root.ledger import Ledger
from funkflow.pipeline.root.result import RunResult
from funkflow.pipeline.running import receipts
from funkflow.pipeline.running.execution import Execution
from funkflow.pipeline.settings.request import Request
from funkflow.pipeline.settings.sections import Settings
from funkflow.tasks.errors import BadInput, SettingsError
from funkflow.tasks.parsing.erased_ids import NOBODY, write_forgotten
from funkflow.tasks.parsing.sources import sources
from funkflow.tasks.storage import files

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings that have been executed once."""
    ratings_in(tmp_path)
    chosen = settings_over(tmp_path, str(tmp_path / "root"))
    executed(chosen)
    return chosen


def test_unchanged_is_up_to_date_and_says_what_was_compared(settings: Settings) -> None:
    heard: list[Event] = []
    assert is_up_to_date(settings, heard)
    (said,) = [event.message for event in heard if isinstance(event, Noticed)]
    assert said == (
        f"up to date: run {RUN_ID}; unchanged: settings, code, 4 input files (path, size, time), 4 result files "
        "(size, manifest)"
    )
    assert executed(settings).rmse == 0.9


def replaced(path: Path, text: str) -> None:
    """Write another content of the same length, and put the time of the content back, as tools that copy do."""
    status = path.stat()
    assert len(text) == status.st_size
    path.write_text(text)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def rewritten(place: Path, text: str) -> None:
    """Spoil the receipts: that of the run, and that of its model."""
    for receipt in (place / "root").glob(f"receipts/{'?' * 16}.json"):
        receipt.write_text(text)


CHANGES: dict[str, Callable[[Path], object]] = {
    "ratings": lambda place: replaced(place / "ratings" / "one.csv", "user,item,rating\n1,2,4\n"),
    "a new file in the folder": lambda place: (place / "ratings" / "three.csv").write_text("user,item,rating\n1,3,3\n"),
    "a file that is gone": lambda place: (place / "ratings" / "two.csv").unlink(),
    "all ratings gone": lambda place: shutil.rmtree(place / "ratings"),
    "somebody forgotten": lambda place: write_forgotten(
        str(place / "root" / "forgotten.json"), NOBODY.adding(user=["1"])
    ),
    "pairs": lambda place: replaced(place / "pairs.csv", "user,item\n1,3\n"),
    "the validation file": lambda place: replaced(place / "validation.csv", "user,item,rating\n1,2,4\n"),
    "a model's file gone": lambda place: next((place / "root").glob("runs/*/model/*/*.parquet")).unlink(),
    "a model's file cut": lambda place: next((place / "root").glob("runs/*/model/*/*.parquet")).write_bytes(b"x"),
    "model.json": lambda place: replaced(next((place / "root").glob("runs/*/model/model.json")), '{\n "rank": 3\n}\n'),
    "a dataset's file gone": lambda place: next((place / "root").glob("datasets/*/users.parquet")).unlink(),
    "a manifest gone": lambda place: next((place / "root").glob("datasets/*/manifest.json")).unlink(),
    "the pointer gone": lambda place: (place / "root" / "current.json").unlink(),
    "the pointer damaged": lambda place: (place / "root" / "current.json").write_text("{"),
    "the receipt damaged": lambda place: rewritten(place, "{"),
    "the receipt changed": lambda place: rewritten(place, "[1]"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_changed_is_work_to_do(settings: Settings, tmp_path: Path, change: Callable[[Path], object]) -> None:
    change(tmp_path)
    assert not is_up_to_date(settings)


def test_another_list_of_deletions_is_a_change(tmp_path: Path) -> None:
    ratings_in(tmp_path)
    (tmp_path / "deleted.csv").write_text("user,item\n1,3\n")
    root, deletions = str(tmp_path / "root"), [str(tmp_path / "deleted.csv")]
    settings = settings_over(tmp_path, root, ingest={"deletions": deletions})
    executed(settings)
    assert is_up_to_date(settings)
    replaced(tmp_path / "deleted.csv", "user,item\n1,2\n")
    assert not is_up_to_date(settings)


def test_titles_that_appear_beside_the_ratings_are_a_change(tmp_path: Path) -> None:
    (ratings_in(tmp_path) / "one.csv").rename(tmp_path / "ratings.csv")
    settings = settings_over(tmp_path, str(tmp_path / "root"), ingest={"ratings": [str(tmp_path / "ratings.csv")]})
    executed(settings)
    assert is_up_to_date(settings)
    (tmp_path / "movies.csv").write_text("movieId,title,genres\n2,Two,None\n")
    assert not is_up_to_date(settings)


def test_nothing_new_is_asked_of_inputs_alone(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other code, and results that are gone, are no news; a file is, and so are settings that have never ended well."""
    next((tmp_path / "root").glob("runs/*/model/model.json")).unlink()
    monkeypatch.setattr(receipts, "code", lambda: "another")
    assert not is_up_to_date(settings)
    heard: list[Event] = []
    assert is_up_to_date(settings, heard, if_new=True)
    (said,) = [event.message for event in heard if isinstance(event, Noticed)]
    assert said == "nothing new: 4 input files, unchanged since these settings read them"
    newest = next(Ledger(str(tmp_path / "root")).records())
    assert (newest["state"], newest["exit_code"]) == ("nothing new", 0)
    assert not is_up_to_date(settings_over(tmp_path, str(tmp_path / "root"), train={"rank": 3}), if_new=True)
    replaced(tmp_path / "ratings" / "one.csv", "user,item,rating\n1,2,4\n")
    assert not is_up_to_date(settings, if_new=True)


def test_a_file_of_the_date_that_is_not_there_yet_is_nothing_new(tmp_path: Path) -> None:
    ratings = ratings_in(tmp_path)
    settings = settings_over(tmp_path, str(tmp_path / "root"), ingest={"ratings": [str(ratings / "{date}.csv")]})
    heard: list[Event] = []
    assert is_up_to_date(settings, heard, date="2026-01-31", if_new=True)
    (said,) = [event.message for event in heard if isinstance(event, Noticed)]
    assert said == f"nothing new: {ratings / '2026-01-31.csv'} does not exist yet"
    (ratings / "one.csv").rename(ratings / "2026-01-31.csv")
    assert not is_up_to_date(settings, date="2026-01-31", if_new=True)


@pytest.mark.parametrize("anew", ["force", "fresh"])
def test_all_anew_but_only_if_new_is_refused(anew: str) -> None:
    with pytest.raises(SettingsError, match="contradict"):
        Request.checked(if_new=True, force=anew == "force", fresh=anew == "fresh")


def test_other_settings_stages_and_code_are_work_to_do(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = str(tmp_path / "root")
    assert not is_up_to_date(settings_over(tmp_path, root, train={"rank": 3}))
    assert not is_up_to_date(settings, until="evaluate")
    assert not is_up_to_date(settings, fresh=True)
    assert not is_up_to_date(settings, force=True)
    assert is_up_to_date(settings_over(tmp_path, root, cluster={"workers": 3, "memory": "1 GiB"}))
    assert is_up_to_date(settings, date="2020-01-01")
    monkeypatch.setattr(receipts, "code", lambda: "another")
    assert not is_up_to_date(settings)


def test_a_pointer_to_another_run_is_somebodys_choice_and_said(settings: Settings, tmp_path: Path) -> None:
    files.write_json(str(tmp_path / "root" / "current.json"), {"run_id": "b" * 16})
    heard: list[Event] = []
    assert is_up_to_date(settings, heard)
    assert any(isinstance(event, Noticed) and "b" * 16 in event.message for event in heard)


def test_a_file_written_twice_within_a_tick_of_the_clock_is_known_by_its_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store's clock stands still at the time of the execution, as one with a coarse tick does."""
    ratings = ratings_in(tmp_path)
    now = (ratings / "one.csv").stat().st_mtime_ns
    monkeypatch.setattr(sources, "file_version", lambda _system, _info: (str(now), now))
    settings = settings_over(tmp_path, str(tmp_path / "root"))
    executed(settings)
    assert is_up_to_date(settings)
    (ratings / "one.csv").write_text("user,item,rating\n1,2,4\n")
    assert not is_up_to_date(settings)


@pytest.mark.parametrize("reason", ["nothing tells a change", "too much to read again"])
def test_what_cannot_be_told_is_never_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str) -> None:
    ratings_in(tmp_path)
    if reason == "nothing tells a change":
        monkeypatch.setattr(sources, "file_version", lambda _system, _info: ("", None))
    else:
        monkeypatch.setattr(receipts, "_UNSETTLED_BYTES", 1)
    settings = settings_over(tmp_path, str(tmp_path / "root"))
    executed(settings)
    assert not is_up_to_date(settings)


def test_inputs_that_change_during_the_execution_leave_no_receipt(tmp_path: Path) -> None:
    ratings = ratings_in(tmp_path)
    settings = settings_over(tmp_path, str(tmp_path / "root"))

    def work_while_it_arrives(execution: Execution) -> RunResult:
        result = work(execution)
        (ratings / "three.csv").write_text("user,item,rating\n1,3,3\n")
        return result

    executed(settings, work_while_it_arrives)
    assert not is_up_to_date(settings)


def test_inputs_that_are_gone_by_the_end_spoil_nothing(tmp_path: Path) -> None:
    ratings = ratings_in(tmp_path)
    settings = settings_over(tmp_path, str(tmp_path / "root"))

    def work_while_they_go(execution: Execution) -> RunResult:
        result = work(execution)
        shutil.rmtree(ratings)
        return result

    assert executed(settings, work_while_they_go).rmse == 0.9
    assert not is_up_to_date(settings)


def test_a_root_and_ratings_in_an_object_store(tmp_path: Path, object_store: ObjectStore) -> None:
    place = object_store.new_root()
    for name in ("one.csv", "two.csv"):
        files.write_bytes(f"{place}/ratings/{name}", b"user,item,rating\n1,2,3\n")
    ratings_in(tmp_path)
    settings = settings_over(tmp_path, f"{place}/out", ingest={"ratings": [f"{place}/ratings"]})
    executed(settings)
    assert is_up_to_date(settings)
    files.write_bytes(f"{place}/ratings/one.csv", b"user,item,rating\n1,2,4\n")
    assert not is_up_to_date(settings)


def test_a_file_that_is_missing_is_told_by_who_reads_it(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "validation.csv").unlink()

    def find_it_missing(execution: Execution) -> RunResult:
        execution.read_inputs(execution.settings)
        raise BadInput("said by the stage")

    with pytest.raises(BadInput, match="said by the stage"):
        executed(settings, find_it_missing)


def test_the_command_answers_without_anything_heavy(settings: Settings, tmp_path: Path) -> None:
    """Of the heavy packages, pydantic alone reads the settings."""
    conf = tmp_path / "mine.toml"
    conf.write_text(
        f'root = "{tmp_path}/root"\n[ingest]\nratings = ["{tmp_path}/ratings"]\n[split]\nkind = "file"\n'
        f'file = "{tmp_path}/validation.csv"\n[predict]\npairs = "{tmp_path}/pairs.csv"\n'
    )
    loaded, said = heavy_of("run", str(conf))
    assert "up to date: run" in said
    assert loaded == {"pydantic"}
