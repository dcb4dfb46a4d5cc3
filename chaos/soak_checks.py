"""What must hold after a soak: the ledger knows of every run, no two were at work at once, and nothing is left running.

Covers: reading the ledger's records as files, and what is wrong with them.
Does not cover: the pointer (soak_watch.py), striking (soak.py).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

Record = dict[str, Any]
TRY_AGAIN_LATER = 75
"""How a run ends that finds another one at work."""


@dataclass(frozen=True)
class Known:
    """What the soak itself knows of a run: its process, when it was started, and when it was killed, if it was.

    `early` : it was killed or interrupted before its record was there; it had not begun.
    """

    process: int
    started: float
    killed: float | None = None
    early: bool = False


def records(root: Path) -> list[Record]:
    """Return all records, oldest first; one that cannot be read is an error."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted((root / "ledger").glob("*.json"))]


def record_of(found: Sequence[Record], run: Known) -> Record | None:
    """Return the record of a run; process numbers come again, so its start counts, too."""
    mine = [each for each in found if each["process"] == run.process and _seconds(each["started"]) >= run.started - 1]
    return min(mine, key=lambda each: str(each["started"]), default=None)


def complaints(root: Path, found: Sequence[Record], runs: Sequence[Known]) -> Iterator[str]:
    """Say what is not as it must be."""
    for run in runs:
        if record_of(found, run) is None and not run.early:
            yield f"the run of process {run.process} has no record"
    for record in found:
        if record["state"] == "running":
            yield f"{record['id']} is left running"
        if not was_locked_out(record) and record["state"] in ("failed", "refused"):
            yield f"{record['id']} ended with {record['exit_code']}: {record['error']}"
    yield from _overlaps(found, runs)
    yield from _pointer(root, found)


def counts(found: Sequence[Record]) -> Counter[str]:
    """Return how many records there are of each state; locked out counts apart."""
    return Counter("locked out" if was_locked_out(each) else str(each["state"]) for each in found)


def was_locked_out(record: Mapping[str, Any]) -> bool:
    """Say whether a run found another one at work and left."""
    return bool(record["exit_code"] == TRY_AGAIN_LATER)


def _overlaps(found: Sequence[Record], runs: Sequence[Known]) -> Iterator[str]:
    """Say which two were at work at once. Records know whole seconds: both ends are rounded down alike.

    What counts is since when a run held the root: it looks for it some time after its start.
    """
    killed = {str(record["id"]): run.killed for run in runs if run.killed and (record := record_of(found, run))}
    at_work = []
    for record in found:
        if was_locked_out(record):
            continue
        end = _seconds(record["ended"]) if record["ended"] else float(int(killed.get(record["id"]) or 0))
        if not end:
            yield f"{record['id']} has no end, and was not killed by us"
            continue
        at_work.append((_seconds(record["held"]), end, record["id"]))
    latest, by = 0.0, ""
    for start, end, record_id in sorted(at_work):
        if start < latest:
            yield f"{by} and {record_id} were at work at once"
        if end > latest:
            latest, by = end, record_id


def _pointer(root: Path, found: Sequence[Record]) -> Iterator[str]:
    """The pointer must be at the model of the run that was done last."""
    done = [each for each in found if each["state"] in ("done", "up to date")]
    pointed = json.loads((root / "current.json").read_text(encoding="utf-8"))["run_id"]
    if not done or done[-1]["run_id"] != pointed:
        yield f"current.json points at {pointed}, and the last that was done is {done[-1]['run_id'] if done else None}"


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
