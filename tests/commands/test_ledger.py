"""The ledger: every execution has its record, however it ended, and one that died is found out.

Covers: pipeline/running/execution.py's records and pipeline/root/ledger.py, on a disk and in an object store.
Does not cover: how records are listed (test_runs_command.py).
"""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from executing import DATASET_ID, RUN_ID, executed, ratings_in, settings_over, work

from chaos.object_store import ObjectStore
from funkflow.pipeline.root import lock
from funkflow.pipeline.root.holder import RootHolder
from funkflow.pipeline.root.ledger import Ledger, LedgerRecord
from funkflow.pipeline.root.lock import hold_root
from funkflow.pipeline.root.result import RunResult
from funkflow.pipeline.running.execution import Execution
from funkflow.pipeline.settings.request import STAGES
from funkflow.pipeline.settings.sections import Settings
from funkflow.tasks.errors import BadInput, CannotFit, FunkflowError, TryAgainLater
from funkflow.tasks.storage import files

CHECKOUT = Path(__file__).parents[2]


class RefusedByItsGate(FunkflowError):
    exit_code = 5


@pytest.fixture(params=["disk", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "disk":
        return str(tmp_path / "root")
    store: ObjectStore = request.getfixturevalue("object_store")
    return store.new_root()


@pytest.fixture
def settings(tmp_path: Path, root: str) -> Settings:
    ratings_in(tmp_path)
    return settings_over(tmp_path, root)


def records(root: str) -> list[Any]:
    return list(Ledger(root).records())


def failing(error: BaseException) -> Callable[[Execution], RunResult]:
    def fail(_execution: Execution) -> RunResult:
        raise error

    return fail


def test_a_record_says_what_ran_on_what_and_what_came_of_it(settings: Settings, root: str) -> None:
    executed(settings, date="2026-01-31")
    executed(settings, date="2026-02-01")
    newest, first = records(root)
    assert re.fullmatch(r"\d{8}T\d{6}-[0-9a-f]{6}", first["id"])
    assert (first["state"], first["exit_code"], first["error"]) == ("done", 0, None)
    assert (first["date"], first["run_id"], first["dataset"]) == ("2026-01-31", RUN_ID, DATASET_ID)
    assert (first["host"], first["process"], first["until"]) == (os.uname().nodename, os.getpid(), STAGES[-1])
    assert first["metrics"] == {"rmse": 0.9, "split": "validation.csv", "counted": "epochs", "seconds": 1.5,
                                "peak_memory_bytes": 0, "predicted_memory_bytes": 0, "worker_memory_bytes": 0,
                                "predicted_worker_memory_bytes": 0}  # fmt: skip
    assert first["settings"]["train"]["rank"] == 64
    assert {"package", "algorithm", "code"} <= first["code_version"].keys()
    assert first["started"] <= first["held"] <= first["ended"]
    assert (newest["state"], newest["exit_code"], newest["settings_hash"]) == ("up to date", 0, first["settings_hash"])


@pytest.mark.parametrize(
    ("error", "state", "code"),
    [
        (BadInput("ratings.csv:3: not a number"), "failed", 3),
        (CannotFit("needs 3 GiB"), "failed", 4),
        (RefusedByItsGate("worse by 0.1"), "refused", 5),
        (TryAgainLater("no scheduler"), "failed", 75),
        (ValueError("a mistake of ours\nin two lines"), "failed", 1),
        (KeyboardInterrupt(), "interrupted", 130),
        (SystemExit(143), "interrupted", 143),
    ],
)
def test_every_end_is_recorded(settings: Settings, root: str, error: BaseException, state: str, code: int) -> None:
    with pytest.raises(type(error)):
        executed(settings, failing(error))
    (record,) = records(root)
    assert (record["state"], record["exit_code"], record["run_id"]) == (state, code, None)
    if state != "interrupted":
        assert record["error"] == f"{type(error).__name__}: {error}".split("\n")[0]


def test_a_good_end_that_cannot_be_written_is_none(
    settings: Settings, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Ledger.write

    def full(ledger: Ledger, record: LedgerRecord) -> None:
        if record["state"] == "done":
            raise OSError(errno.ENOSPC, "full", "a-file")
        write(ledger, record)

    monkeypatch.setattr(Ledger, "write", full)
    with pytest.raises(CannotFit, match="a-file: no space is left"):
        executed(settings)
    assert [record["state"] for record in records(root)] == ["failed"]


def test_tries_in_a_row_are_counted_until_one_succeeds(settings: Settings, tmp_path: Path, root: str) -> None:
    for _ in range(2):
        with pytest.raises(BadInput):
            executed(settings, failing(BadInput("not yet")))
    executed(settings)
    executed(settings, force=True)
    executed(settings_over(tmp_path, root, train={"rank": 3}))
    assert [record["attempt"] for record in records(root)] == [1, 1, 3, 2, 1]


def test_one_that_finds_the_root_held_is_recorded_too(settings: Settings, root: str) -> None:
    with hold_root(root), pytest.raises(TryAgainLater):
        executed(settings)
    (record,) = records(root)
    assert (record["state"], record["exit_code"]) == ("failed", 75)
    assert f"process {os.getpid()} on " in record["error"]


def test_secrets_are_masked(tmp_path: Path) -> None:
    ratings_in(tmp_path)
    secret = "https://me:password@host/ratings.csv?signature=sesame"
    settings = settings_over(tmp_path, str(tmp_path / "root"), ingest={"ratings": [secret]})
    with pytest.raises(BadInput):
        executed(settings, failing(BadInput(f"{secret}: no such file")))
    text = next((tmp_path / "root" / "ledger").iterdir()).read_text()
    assert "https://***@host/ratings.csv?***" in text
    assert "password" not in text
    assert "sesame" not in text


def killed_at_work(tmp_path: Path, root: str, environment: dict[str, str]) -> None:
    """Start an execution in a process of its own and kill it, without a word, while it is at work."""
    program = (
        "import sys, threading\n"
        "from executing import executed, settings_over\n"
        "from pathlib import Path\n"
        "def stay(execution):\n"
        "    print('at work', flush=True)\n"
        "    threading.Event().wait()\n"
        "executed(settings_over(Path(sys.argv[1]), sys.argv[2]), stay)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path), root], stdout=subprocess.PIPE, text=True,
        env={**os.environ, **environment, "PYTHONPATH": f"{CHECKOUT}{os.pathsep}{CHECKOUT / 'tests' / 'support'}"},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "at work\n"
    (record,) = records(root)
    assert record["state"] == "running"
    process.kill()
    process.wait()


def environment_of(request: pytest.FixtureRequest, root: str) -> dict[str, str]:
    return request.getfixturevalue("object_store").environment if root.startswith("s3://") else {}


def test_one_that_was_killed_is_found_by_who_looks(
    settings: Settings, tmp_path: Path, root: str, request: pytest.FixtureRequest
) -> None:
    killed_at_work(tmp_path, root, environment_of(request, root))
    (record,) = records(root)
    assert (record["state"], record["exit_code"]) == ("died", None)
    assert files.read_json(f"{root}/ledger/{record['id']}.json")["state"] == "died"


def test_one_that_was_killed_blocks_nobody_and_is_marked_by_the_next(
    settings: Settings, tmp_path: Path, root: str, request: pytest.FixtureRequest
) -> None:
    killed_at_work(tmp_path, root, environment_of(request, root))
    seen: list[Any] = []

    def look(execution: Execution) -> RunResult:
        ledger = Ledger(root)
        seen.extend(record["state"] for each in ledger.ids() if (record := ledger.read(each)))
        return work(execution)

    executed(settings, look)
    assert seen == ["running", "died"]
    assert [record["state"] for record in records(root)] == ["done", "died"]
    assert records(root)[0]["attempt"] == 2


def test_one_at_work_stays_running_and_its_end_is_never_overwritten(settings: Settings, root: str) -> None:
    seen: list[str] = []

    def look(execution: Execution) -> RunResult:
        seen.extend(record["state"] for record in Ledger(root).records())
        return work(execution)

    executed(settings, look)
    assert seen == ["running"]
    Ledger(root).mark_died(records(root)[0]["id"])
    assert records(root)[0]["state"] == "done"


def test_a_holder_on_another_machine_is_gone_when_its_lock_is_free(tmp_path: Path) -> None:
    root = str(tmp_path)
    elsewhere: RootHolder = {
        "host": "elsewhere",
        "machine": "another",
        "process": 1,
        "started": 1.0,
        "since": 1.0,
        "record": "r",
    }
    with hold_root(root):
        files.write_json(f"{root}/.holder.json", elsewhere)
        assert not lock.is_gone(root, elsewhere)
    files.write_json(f"{root}/.holder.json", elsewhere)
    assert lock.is_gone(root, elsewhere)
    assert not lock.is_gone(root, {**elsewhere, "record": "of one that was there a moment ago"})


def test_a_damaged_record_hides_no_other(settings: Settings, tmp_path: Path) -> None:
    root = settings.root
    executed(settings)
    files.write_bytes(f"{root}/ledger/99991231T000000-ffffff.json", b"{")
    assert [record["state"] for record in records(root)] == ["done"]
