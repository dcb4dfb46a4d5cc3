"""A soak in short: scheduled runs, each struck once, by a kill or a collision; and what the checks complain of.

Covers: chaos/soak.py and its checks. Does not cover: the soak in full (`make soak`), or by themselves: schedules whose
runs are killed (test_schedule.py), records of killed runs (test_ledger.py), killed runs (test_faults.py).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chaos.soak import Soak
from chaos.soak_checks import Known, complaints
from chaos.soak_watch import PointerWatch

MIDNIGHT = 1_780_272_000
"""2026-06-01 in UTC."""


@pytest.mark.long
def test_struck_runs_leave_no_overlap_no_lost_record_and_a_whole_model(tmp_path: Path) -> None:
    said: list[str] = []
    soak = Soak(tmp_path / "scene", 1, said.append)
    soak.run(2, ["run killed", "scheduler killed"], 4.0)
    assert soak.complaints == [], said
    assert soak.begun >= 2
    assert soak.struck.total() > 0
    assert soak.watch.looks >= soak.watch.moves > 0


def record(number: int, start: str, end: str | None, process: int = 10, **facts: Any) -> dict[str, Any]:
    started, ended = (f"2026-06-01T{time}+00:00" if time else None for time in (start, end))
    made = {
        "id": f"r{number}",
        "process": process,
        "started": started,
        "held": started,
        "ended": ended,
        "state": "done",
    }
    return {**made, "exit_code": 0, "run_id": f"run-{number}", "error": None, **facts}


@pytest.mark.parametrize(
    ("found", "runs", "complaint"),
    [
        ([record(1, "00:00:01", "00:00:05")], [Known(10, MIDNIGHT + 1.5), Known(11, MIDNIGHT + 1.0, early=True)], None),
        ([record(1, "00:00:01", "00:00:05")], [Known(11, MIDNIGHT + 1)], "the run of process 11 has no record"),
        ([record(1, "00:00:01", "00:00:05")], [Known(10, MIDNIGHT + 9)], "the run of process 10 has no record"),
        ([record(0, "00:00:01", "00:00:05"), record(1, "00:00:05", "00:00:09")], [], None),
        ([record(0, "00:00:01", "00:00:06"), record(1, "00:00:05", "00:00:09")], [], "r0 and r1 were at work at once"),
        ([record(0, "00:00:01", "00:00:06"), record(2, "00:00:05", "00:00:05", exit_code=75, state="failed"),
          record(1, "00:00:07", "00:00:09")], [], None),
        ([record(0, "00:00:01", None, state="died"), record(1, "00:00:05", "00:00:09")],
         [Known(10, MIDNIGHT + 1, killed=MIDNIGHT + 4.0)], None),
        ([record(0, "00:00:01", None, 9, state="died"), record(1, "00:00:05", "00:00:09")],
         [Known(9, MIDNIGHT + 1, killed=MIDNIGHT + 8.0)], "r0 and r1 were at work at once"),
        ([record(0, "00:00:01", None, state="running", exit_code=None), record(1, "00:00:05", "00:00:09", 11)],
         [Known(10, MIDNIGHT + 1, killed=MIDNIGHT + 4.0)], "r0 is left running"),
        ([record(0, "00:00:01", "00:00:02", state="failed", exit_code=1, error="E"), record(1, "00:00:05", "00:00:09")],
         [], "r0 ended with 1: E"),
        ([record(1, "00:00:01", "00:00:02"), record(2, "00:00:05", "00:00:09")], [],
         "current.json points at run-1, and the last that was done is run-2"),
    ],
)  # fmt: skip
def test_what_is_complained_of(
    tmp_path: Path, found: list[dict[str, Any]], runs: list[Known], complaint: str | None
) -> None:
    (tmp_path / "current.json").write_text(json.dumps({"run_id": "run-1"}), encoding="utf-8")
    assert list(complaints(tmp_path, found, runs)) == ([complaint] if complaint else [])


def test_a_pointer_at_half_a_model_is_complained_of(tmp_path: Path) -> None:
    watch = PointerWatch(tmp_path)
    watch.look()
    assert (watch.looks, watch.complaints) == (0, [])
    (tmp_path / "current.json").write_text(json.dumps({"model": "runs/x/model"}), encoding="utf-8")
    watch.look()
    (complaint,) = watch.complaints
    assert "current.json points at what is no whole model: " in complaint
