"""The ledger of a root: one JSON record for every execution, however it ended.

Covers: writing, reading and finding records, and marking those of executions that died.
Does not cover: a run's own record and metrics (run_record.py), the display of records (pipeline/commands/runs.py).

    <root>/ledger/20260131T030001-5f3a9c.json

Each execution writes its own file, which needs no lock, even on shared file systems and in object stores. A record
remains when its run is pruned.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NotRequired, TypedDict, cast

from funkflow.pipeline.progress.outcome import DIED, FAILED, RUNNING, WELL, outcome_of
from funkflow.pipeline.root.code_version import CodeVersion, code_version
from funkflow.pipeline.root.holder import this_process
from funkflow.pipeline.root.lock import holder_of, is_gone
from funkflow.pipeline.root.result import RANKING_MEASURES, RunResult
from funkflow.pipeline.root.store import FORMAT_VERSION, content_id, in_seconds
from funkflow.pipeline.settings.sections import IDLE_SECTIONS
from funkflow.tasks.errors import BadInput, DamagedFile, FunkflowError
from funkflow.tasks.redact import masked_content
from funkflow.tasks.storage import files

_SUFFIX = ".json"
_MEMORY = ("peak_memory_bytes", "predicted_memory_bytes", "worker_memory_bytes", "predicted_worker_memory_bytes")
_FIGURES = ("rmse", "mae", "split", "rank", "epochs", "best_epoch", "counted", *_MEMORY)


class LedgerRecord(TypedDict):
    """The record of an execution. Times are ISO 8601; `held` : since when it holds the root.

    `until` : the last stage; `attempt` : the number of this attempt in a row for the same settings and date;
    `metrics` : figures of the result, as far as they exist; `found` : when a died execution was found.
    """

    format_version: int
    id: str
    date: str
    until: str
    settings_hash: str
    settings: dict[str, Any]
    code_version: CodeVersion
    run_id: str | None
    dataset: str | None
    state: str
    started: str
    held: str | None
    ended: str | None
    attempt: int
    exit_code: int | None
    error: str | None
    metrics: dict[str, Any]
    paths: dict[str, str]
    host: str
    process: int
    found: NotRequired[str]


class Ledger:
    """The records under one root."""

    def __init__(self, root: str) -> None:
        self._root, self._folder = root, files.join(root, "ledger")

    def ids(self) -> list[str]:
        """Return the ids of all records, newest first: they begin with their time."""
        names = [name for name in files.names(self._folder) if name.endswith(_SUFFIX)]
        return sorted((name.removesuffix(_SUFFIX) for name in names), reverse=True)

    def read(self, record_id: str) -> LedgerRecord | None:
        """Return one record as written; None if it does not exist or is unreadable."""
        try:
            found = files.json_if_there(self._url(record_id))
        except DamagedFile:
            return None
        return cast(LedgerRecord, found) if isinstance(found, dict) and {"id", "state"} <= found.keys() else None

    def write(self, record: LedgerRecord) -> None:
        files.write_json(self._url(record["id"]), masked_content(record))

    def records(self) -> Iterator[LedgerRecord]:
        """Yield all records, newest first; mark those of executions that died."""
        for record_id in self.ids():
            record = self.read(record_id)
            if record is not None:
                yield self._mark_if_died(record)

    def find(self, asked: str) -> LedgerRecord:
        """Return the record with that id, or its beginning; "last": the newest; else the newest of a run of that id.

        Raises
        ------
        BadInput
            There is none, or there are several.
        """
        ids = self.ids()
        chosen = ids[:1] if asked == "last" else [each for each in ids if each.startswith(asked)]
        if len(chosen) > 1 and asked not in chosen:
            raise BadInput(f"{asked}: begins {len(chosen)} records, from {chosen[-1]} to {chosen[0]}; write more of it")
        record_id = asked if asked in chosen else next(iter(chosen), "")
        record = self.read(record_id) if record_id else None
        if record is not None:
            return self._mark_if_died(record)
        of_run = (each for each in self.records() if asked and str(each.get("run_id") or "").startswith(asked))
        found = next(of_run, None)
        if found is None:
            raise BadInput(f"{asked}: no such record under {self._root}; funkflow runs lists them")
        return found

    def mark_died(self, record_id: str) -> None:
        """Mark a record "died" if its state is "running"; the caller must know that the execution is gone."""
        record = self.read(record_id)
        if record is not None and record["state"] == RUNNING:
            self.write({**record, "state": DIED, "found": in_seconds(), "error": "died without a word, as if killed"})

    def _mark_if_died(self, record: LedgerRecord) -> LedgerRecord:
        """Mark a record "died" if its execution is gone; only in the returned record if the store is read-only."""
        if record["state"] != RUNNING:
            return record
        holder = holder_of(self._root)
        if holder.get("record") == record["id"] and not is_gone(self._root, holder):
            return record
        # An execution writes its end before it releases the root, so the end is visible by now.
        again = self.read(record["id"]) or record
        if again["state"] != RUNNING:
            return again
        try:
            self.mark_died(record["id"])
        except (OSError, FunkflowError):
            return {**again, "state": DIED}
        return self.read(record["id"]) or again

    def _url(self, record_id: str) -> str:
        return files.join(self._folder, f"{record_id}{_SUFFIX}")


class LedgerEntry:
    """The execution of this process, and its record."""

    def __init__(self, ledger: Ledger, settings: dict[str, Any], date: str, until: str) -> None:
        self._ledger = ledger
        began = datetime.now(UTC)
        process = this_process()
        self._content: LedgerRecord = {
            "format_version": FORMAT_VERSION,
            "id": _id_of(began),
            "date": date,
            "until": until,
            "settings_hash": "",
            "settings": {},
            "code_version": code_version(),
            "run_id": None,
            "dataset": None,
            "state": RUNNING,
            "started": in_seconds(began),
            "held": None,
            "ended": None,
            "attempt": 1,
            "exit_code": None,
            "error": None,
            "metrics": {},
            "paths": {},
            "host": process["host"],
            "process": process["process"],
        }
        self.describe(settings)

    def describe(self, settings: dict[str, Any]) -> None:
        """Replace the settings, without credentials, and their hash."""
        content = masked_content(settings)
        deciding = {key: content[key] for key in content if key not in IDLE_SECTIONS}
        self._content |= {"settings": content, "settings_hash": content_id(settings=deciding)}

    @property
    def id(self) -> str:
        return str(self._content["id"])

    @property
    def content(self) -> LedgerRecord:
        """A copy of the current record."""
        return {**self._content}

    def open(self, left_by: str = "") -> None:
        """Write that the execution holds the root now. `left_by` : the record of a dead holder, to be marked."""
        if left_by:
            self._ledger.mark_died(left_by)
        self._content |= {"held": in_seconds(), "attempt": self._count()}
        self._ledger.write(self._content)

    def begun(self, run_id: str, dataset: str) -> None:
        """Write the ids of the run and of its dataset."""
        self._content |= {"run_id": run_id, "dataset": dataset}
        self._ledger.write(self._content)

    def close(self, state: str, exit_code: int, error: str | None = None, result: RunResult | None = None) -> None:
        """Write the end, and the figures of the result so far."""
        if result is not None:
            self._content = {**self._content, **_result_facts(result)}
        self._content |= {"state": state, "exit_code": exit_code, "error": error, "ended": in_seconds()}
        self._ledger.write(self._content)

    def close_locked(self, error: FunkflowError) -> None:
        """Write that another run held the root, so that this one never ran."""
        self._content["attempt"] = self._count()
        self.close(FAILED, error.exit_code, error.message)

    def close_on(self, error: BaseException, result: RunResult) -> None:
        """Write the end that follows from an exception."""
        self.close(*outcome_of(error), result)

    def _count(self) -> int:
        """Return the number of this attempt in a row, for these settings and this date."""
        for record_id in self._ledger.ids():
            record = self._ledger.read(record_id)
            if record_id == self.id or record is None:
                continue
            same = _purpose(record) == _purpose(self._content)
            return int(record.get("attempt", 1)) + 1 if same and record["state"] not in WELL else 1
        return 1


class _ResultFacts(TypedDict):
    """Fields of a record from a result."""

    run_id: str | None
    dataset: str | None
    paths: dict[str, str]
    metrics: dict[str, Any]


def _result_facts(result: RunResult) -> _ResultFacts:
    """Return the run and its data, their paths, and figures to compare."""
    figures: dict[str, Any] = {name: getattr(result, name) for name in _FIGURES}
    figures |= {name: result.ranking[name] for name in RANKING_MEASURES if name in result.ranking}
    figures |= {
        f"{name} rmse": result.evaluation[name]["rmse"] for name in ("mean", "biases") if name in result.evaluation
    }
    seconds = {name: round(value, 3) for name, value in result.seconds.items()}
    metrics = {**figures, "seconds": seconds.pop("total", None), "stage_seconds": seconds}
    dataset = result.paths.get("dataset", "").rstrip("/").rsplit("/", 1)[-1] or None
    known = {name: value for name, value in metrics.items() if value not in (None, {})}
    return {"run_id": result.run_id, "dataset": dataset, "paths": dict(result.paths), "metrics": known}


def _purpose(record: LedgerRecord) -> tuple[str | None, ...]:
    return record.get("date"), record.get("settings_hash"), record.get("until")


def _id_of(began: datetime) -> str:
    """Return an id that sorts by time, to the microsecond, with a random digit against equal times."""
    return f"{began:%Y%m%dT%H%M%S}-{began.microsecond:05x}{secrets.randbelow(16):x}"
