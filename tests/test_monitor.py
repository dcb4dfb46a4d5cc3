"""What a run's memory monitor sees of its processes.

Covers: that the pages of a child count from when it starts until it ends, alone and in the sum, and a stage's peak.
Does not cover: what a run is predicted to need (test_budget.py), or where the peak is reported (test_report.py).
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from pipeline.runtime.monitor import MemoryMonitor

CHILD_BYTES = 150 * 2**20
# Says when it holds its pages, and lets go of them when it is told to.
HOLD = f"import sys; held = b'x' * {CHILD_BYTES}; print('held', flush=True); sys.stdin.readline(); "
WAIT_SECONDS = 30


@pytest.fixture
def child() -> Iterator[Callable[[], None]]:
    """Give what starts a process that holds pages; a second call lets go of them and ends it."""
    started: list[subprocess.Popen[bytes]] = []

    def turn() -> None:
        if started:
            started[0].communicate(b"\n")
            return
        started.append(subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        assert started[0].stdout is not None
        assert started[0].stdout.readline() == b"held\n"

    yield turn
    for process in started:
        process.kill()
        process.wait()


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds, or fail."""
    end = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert time.monotonic() < end, f"nothing of it in {WAIT_SECONDS} s"
        time.sleep(0.02)


def test_a_child_that_starts_while_it_watches_counts_in_the_sum_and_as_the_greatest_single_one(
    child: Callable[[], None],
) -> None:
    with MemoryMonitor() as monitor:
        until(lambda: monitor.peak_bytes > 0)
        before, alone = monitor.peak_bytes, monitor.worker_peak_bytes
        assert alone < CHILD_BYTES
        child()
        until(lambda: monitor.peak_bytes >= before + CHILD_BYTES)
        assert CHILD_BYTES <= monitor.worker_peak_bytes <= 2 * CHILD_BYTES


def test_a_stages_peak_begins_anew_and_forgets_what_is_gone(child: Callable[[], None]) -> None:
    with MemoryMonitor() as monitor:
        until(lambda: monitor.peak_bytes > 0)
        before = monitor.peak_bytes
        child()
        until(lambda: monitor.peak_bytes >= before + CHILD_BYTES)
        whole = monitor.take_peak()
        assert whole == monitor.peak_bytes
        child()
        until(lambda: 0 < monitor.take_peak() <= whole - CHILD_BYTES)
        assert monitor.peak_bytes == whole
