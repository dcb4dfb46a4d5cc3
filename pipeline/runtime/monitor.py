"""Measure the memory of the run as it goes: all of this machine's processes together.

Covers: the peak of the proportional set size, summed over this process and its children, sampled ten times a second.
Does not cover: workers on other machines, or what a run is predicted to need (budget.py).
"""

from __future__ import annotations

import threading
from types import TracebackType

import psutil

_INTERVAL_SECONDS = 0.1


class MemoryMonitor:
    """Context manager; `peak_bytes` is the greatest sum seen so far.

    Proportional set size counts a page shared by n processes as 1/n in each; where the system has no such figure
    (anything but Linux), the resident set size is taken, which counts shared pages several times.
    """

    def __init__(self) -> None:
        self.peak_bytes = 0
        self._since_bytes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory-monitor", daemon=True)

    def __enter__(self) -> MemoryMonitor:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def take_peak(self) -> int:
        """Return the peak since this was last asked, and begin anew."""
        taken, self._since_bytes = self._since_bytes, 0
        return taken

    def _watch(self) -> None:
        me = psutil.Process()
        while True:
            used = _tree_bytes(me)
            self.peak_bytes, self._since_bytes = max(self.peak_bytes, used), max(self._since_bytes, used)
            if self._stop.wait(_INTERVAL_SECONDS):
                return


def _tree_bytes(process: psutil.Process) -> int:
    total = 0
    for member in (process, *process.children(recursive=True)):
        try:
            total += _process_bytes(member)
        except (psutil.Error, OSError):  # it ended between being listed and being asked
            continue
    return total


def _process_bytes(process: psutil.Process) -> int:
    try:
        with open(f"/proc/{process.pid}/smaps_rollup", encoding="ascii") as rollup:
            for line in rollup:
                if line.startswith("Pss:"):
                    return int(line.split()[1]) * 1024
    except FileNotFoundError:
        pass
    return int(process.memory_info().rss)
