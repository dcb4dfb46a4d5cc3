"""The ledger of a root: one JSON record for every execution, however it ended.

Covers: a record's life, finding and reading records, and marking those of executions that died.
Does not cover: a run's own record and metrics (run_record.py), what is shown of records (pipeline/commands/runs.py).

    <root>/ledger/20260131T030001-5f3a9c.json

Each execution writes a file of its own, so nothing is locked: that is safe on file systems that machines share, and in
object stores. Records are kept when the runs they tell of are pruned.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from funkflow.pipeline.progress.outcome import DIED, FAILED, RUNNING, WELL, outcome_of
from funkflow.pipeline.root.code_version import code_version
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

Record = dict[str, Any]


class Ledger:
    """The records under one root."""

    def __init__(self, root: str) -> None:
        self._root, self._folder = root, files.join(root, "ledger")

    def ids(self) -> list[str]:
        """Return the ids of all records, newest first: they begin with their time."""
        names = [name for name in files.names(self._folder) if name.endswith(_SUFFIX)]
        return sorted((name.removesuffix(_SUFFIX) for name in names), reverse=True)

    def read(self, record_id: str) -> Record | None:
        """Return one record as it stands; None if there is none, or none that can be read."""
        try:
            found = files.json_if_there(self._url(record_id))
        except DamagedFile:
            return None
        return found if isinstance(found, dict) and {"id", "state"} <= found.keys() else None

    def write(self, record: Record) -> None:
        files.write_json(self._url(record["id"]), masked_content(record))

    def records(self) -> Iterator[Record]:
        """Yield all records, newest first; executions that died are marked so on the way."""
        for record_id in self.ids():
            record = self.read(record_id)
            if record is not None:
                yield self._looked_after(record)

    def find(self, asked: str) -> Record:
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
            return self._looked_after(record)
        of_run = (each for each in self.records() if asked and str(each.get("run_id") or "").startswith(asked))
        found = next(of_run, None)
        if found is None:
            raise BadInput(f"{asked}: no such record under {self._root}; funkflow runs lists them")
        return found

    def mark_died(self, record_id: str) -> None:
        """Mark a record "died" if it still says "running"; only for who knows that its execution is gone."""
        record = self.read(record_id)
        if record is not None and record["state"] == RUNNING:
            self.write({**record, "state": DIED, "found": in_seconds(), "error": "died without a word, as if killed"})

    def _looked_after(self, record: Record) -> Record:
        """Mark a record "died" if its execution is gone, as far as a store that can only be read lets us."""
        if record["state"] != RUNNING:
            return record
        holder = holder_of(self._root)
        if holder.get("record") == record["id"] and not is_gone(self._root, holder):
            return record
        # Its end, if there was one, was written before the root was given back: it is seen by now.
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


class Execution:
    """The record of the execution that this process is."""

    def __init__(self, ledger: Ledger, settings: dict[str, Any], date: str, until: str) -> None:
        self._ledger = ledger
        began = datetime.now(UTC)
        settings = masked_content(settings)
        self._content: Record = {
            "format_version": FORMAT_VERSION,
            "id": _id_of(began),
            "date": date,
            "until": until,
            "settings_hash": content_id(settings={key: settings[key] for key in settings if key not in IDLE_SECTIONS}),
            "settings": settings,
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
        } | {name: this_process()[name] for name in ("host", "process")}

    @property
    def id(self) -> str:
        return str(self._content["id"])

    @property
    def content(self) -> Record:
        """The record as it stands now."""
        return dict(self._content)

    def open(self, left_by: str = "") -> None:
        """Write that it runs, and since when it holds the root. `left_by`: the record of who died holding it."""
        if left_by:
            self._ledger.mark_died(left_by)
        self._content |= {"held": in_seconds(), "attempt": self._count()}
        self._ledger.write(self._content)

    def begun(self, run_id: str, dataset: str) -> None:
        """Write which run this is, and the id of its data."""
        self._content |= {"run_id": run_id, "dataset": dataset}
        self._ledger.write(self._content)

    def close(self, state: str, exit_code: int, error: str | None = None, result: RunResult | None = None) -> None:
        """Write how it ended, and what it came to so far."""
        if result is not None:
            self._content |= _facts_of(result)
        self._content |= {"state": state, "exit_code": exit_code, "error": error, "ended": in_seconds()}
        self._ledger.write(self._content)

    def close_locked(self, error: FunkflowError) -> None:
        """Write that the root was not to be had: this never ran."""
        self._content["attempt"] = self._count()
        self.close(FAILED, error.exit_code, error.message)

    def close_on(self, error: BaseException, result: RunResult) -> None:
        """Write how it ended, from what ended it."""
        self.close(*outcome_of(error), result)

    def _count(self) -> int:
        """Return the how-many-th try in a row this is, of these settings for this date."""
        for record_id in self._ledger.ids():
            record = self._ledger.read(record_id)
            if record_id == self.id or record is None:
                continue
            same = all(record.get(name) == self._content[name] for name in ("date", "settings_hash", "until"))
            return int(record.get("attempt", 1)) + 1 if same and record["state"] not in WELL else 1
        return 1


def _facts_of(result: RunResult) -> Record:
    """Return what a record has of a result: which run and data, where they lie, and plain figures to compare."""
    figures: dict[str, Any] = {name: getattr(result, name) for name in _FIGURES}
    figures |= {name: result.ranking[name] for name in RANKING_MEASURES if name in result.ranking}
    figures |= {
        f"{name} rmse": result.evaluation[name]["rmse"] for name in ("mean", "biases") if name in result.evaluation
    }
    seconds = {name: round(value, 3) for name, value in result.seconds.items()}
    metrics = {**figures, "seconds": seconds.pop("total", None), "stage_seconds": seconds}
    dataset = result.paths.get("dataset", "").rstrip("/").rsplit("/", 1)[-1] or None
    facts = {"run_id": result.run_id, "dataset": dataset, "paths": dict(result.paths)}
    return {**facts, "metrics": {name: value for name, value in metrics.items() if value not in (None, {})}}


def _id_of(began: datetime) -> str:
    """Return an id that sorts by time, to the microsecond, and tells two apart that begin in the same one."""
    return f"{began:%Y%m%dT%H%M%S}-{began.microsecond:05x}{secrets.randbelow(16):x}"
