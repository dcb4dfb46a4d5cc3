"""How an attempt ends: its record and its last event say so, whatever failed on the way.

Covers: what fails after the last stage (pipeline/running/attempt.py), on the shared cluster, with a stage that only
opens the record.
Does not cover: what fails within stages (test_flow.py, test_faults.py), the ledger (test_ledger.py).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from distributed import Client
from executing import executed, ratings_in, settings_over
from made_manifests import some_data

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.progress.events import Event, RunEnded
from funkflow.pipeline.progress.metrics_file import MetricsFile
from funkflow.pipeline.root.result import RunResult
from funkflow.pipeline.root.run_record import Record
from funkflow.pipeline.running import attempt
from funkflow.pipeline.running.attempt import Attempt
from funkflow.pipeline.running.execution import Execution
from funkflow.tasks.errors import CannotFit
from funkflow.tasks.storage import files

RUN = "a" * 16
FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a-file")


def attempted(execution: Execution) -> RunResult:
    """Open a record, and leave a model."""
    made = Attempt(execution)

    def stages(_context: Context) -> None:
        made.begin(RUN, some_data(users=3, items=3, ratings=5, rating_bytes=3), None)
        made.result.paths["model"] = files.join(made.result.paths["run"], "model")

    return made.run(stages)


def full_at_first(does: Callable[..., Any], is_it: Callable[..., bool]) -> Callable[..., Any]:
    """Return what does the same, but for the first call that it is."""
    calls: list[tuple[Any, ...]] = []

    def once(*arguments: Any, **named: Any) -> Any:
        if is_it(*arguments) and not calls:
            calls.append(arguments)
            raise FULL
        return does(*arguments, **named)

    return once


@pytest.fixture
def told(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[RunEnded]]:
    """Make an attempt that ends with a full disk; return what was told of its end."""
    monkeypatch.setattr(attempt, "open_client", lambda *_: nullcontext(client))
    monkeypatch.setattr(attempt, "put_to_use", lambda _root, run: SimpleNamespace(run_id=run))
    ratings_in(tmp_path)

    def ends() -> list[RunEnded]:
        events: list[Event] = []
        with pytest.raises(CannotFit, match="a-file: no space is left"):
            executed(settings_over(tmp_path, str(tmp_path / "root")), attempted, events.append)
        return [event for event in events if isinstance(event, RunEnded)]

    return ends


FAILING: dict[str, tuple[Any, str, Callable[..., bool]]] = {
    "model in use": (attempt, "put_to_use", lambda *_: True),
    "record": (Record, "close", lambda _record, state, _code: state == "done"),
    "last event": (MetricsFile, "__call__", lambda _file, event: isinstance(event, RunEnded)),
}
"""What is called as a run that went well is written down: where it is, its name, and which of the calls."""


@pytest.mark.parametrize("place", FAILING)
def test_a_run_that_fails_as_it_is_written_down_says_so(
    told: Callable[[], list[RunEnded]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    where, name, is_it = FAILING[place]
    monkeypatch.setattr(where, name, full_at_first(getattr(where, name), is_it))
    assert [event.state for event in told()] == ["failed"]
    record = files.read_json(str(tmp_path / "root" / "runs" / RUN / "record.json"))
    assert (record["state"], record["exit_code"]) == ("failed", 4)
    assert "no space is left" in record["error"]
    last = (tmp_path / "root" / "runs" / RUN / "metrics.jsonl").read_text().splitlines()[-1]
    assert '"event": "RunEnded"' in last
    assert '"state": "failed"' in last
