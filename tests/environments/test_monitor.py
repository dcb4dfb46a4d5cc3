"""What a run's memory monitor sees of its processes.

Covers: that the pages of a child count from when it starts until it ends, alone and in the sum, a stage's peak, and how
often a process without children is weighed.
Does not cover: what a run is predicted to need (test_plan.py), or where the peak is reported (test_report.py).
"""

from __future__ import annotations

import json
import subprocess
import sys

import psutil
import pytest

from funkflow.pipeline.cluster import memory_monitor

CHILD_BYTES = 150 * 2**20
# In a process of its own, as that of the tests has children besides. The child says when it holds its pages, and lets
# go of them when it is told to; each `until` waits for the monitor to see what has happened.
WATCHED = f"""
import json, subprocess, sys, time
from funkflow.pipeline.cluster.memory_monitor import MemoryMonitor

hold = "import sys; held = b'x' * {CHILD_BYTES}; print('held', flush=True); sys.stdin.readline()"

def until(holds):
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end, "the monitor does not see it"
        time.sleep(0.02)

with MemoryMonitor() as monitor:
    until(lambda: monitor.peak_bytes > 0)
    before, alone = monitor.peak_bytes, monitor.worker_peak_bytes
    child = subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    child.stdout.readline()
    until(lambda: monitor.worker_peak_bytes >= {CHILD_BYTES})
    until(lambda: monitor.peak_bytes >= before + {CHILD_BYTES} * 0.95)
    stage = monitor.take_peak()
    child.communicate(b"\\n")
    until(lambda: 0 < monitor.take_peak() < before + {CHILD_BYTES} / 2)
    child, last = monitor.worker_peak_bytes, monitor.peak_bytes
    print(json.dumps(dict(before=before, alone=alone, child=child, stage=stage, last=last)))
"""


@pytest.fixture(scope="module")
def seen() -> dict[str, int]:
    done = subprocess.run([sys.executable, "-c", WATCHED], capture_output=True, text=True, check=False, timeout=150)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_a_child_that_starts_while_it_watches_is_the_greatest_single_one(seen: dict[str, int]) -> None:
    assert seen["alone"] == 0
    assert CHILD_BYTES <= seen["child"] <= 1.5 * CHILD_BYTES


def test_its_pages_are_in_the_sum(seen: dict[str, int]) -> None:
    assert 0.95 * CHILD_BYTES <= seen["stage"] - seen["before"] <= 1.5 * CHILD_BYTES


def test_a_stages_peak_is_forgotten_with_the_child_and_the_runs_peak_is_not(seen: dict[str, int]) -> None:
    assert seen["last"] >= seen["stage"] > seen["before"] + 0.9 * CHILD_BYTES


def test_a_lone_process_is_weighed_again_once_it_has_grown_by_a_twentieth(monkeypatch: pytest.MonkeyPatch) -> None:
    """A walk through its pages takes 3 ms; what it gains meanwhile counts whole."""
    resident, weighed = iter((1000, 1010, 1040, 1100)), iter((700, 790))
    monkeypatch.setattr(memory_monitor, "_resident_bytes", lambda _process: next(resident))
    monkeypatch.setattr(memory_monitor, "_proportional_bytes", lambda _process: next(weighed))
    monitor, peaks = memory_monitor.MemoryMonitor(), []
    for _ in range(4):
        monitor._sample([psutil.Process()])
        peaks.append(monitor.peak_bytes)
    assert peaks == [700, 710, 740, 790]
