"""Measure the memory of the run as it goes: all of this machine's processes together.

Covers: the peak of the proportional set size, summed over this process and its children, sampled ten times a second.
Does not cover: a child that lives for less than a second, which may go unseen; workers on other machines
(run_memory.py); what a run is predicted to need (pipeline/planning/budget.py).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType

import psutil

_INTERVAL_SECONDS = 0.1
_SAMPLES_A_LISTING = 10
_GROWTH = 1.002


class MemoryMonitor:
    """Context manager; `peak_bytes` is the greatest sum seen so far, `worker_peak_bytes` the greatest single child.

    Proportional set size counts a page shared by n processes as 1/n in each; where the system has no such figure
    (anything but Linux), the resident set size is taken, which counts shared pages several times.
    """

    def __init__(self) -> None:
        self.peak_bytes = self.worker_peak_bytes = 0
        self._since_bytes = self._since_resident = 0
        self._shares: dict[psutil.Process, tuple[int, int]] = {}
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

    @property
    def untaken_bytes(self) -> int:
        """The peak since `take_peak`."""
        return self._since_bytes

    def take_peak(self) -> int:
        """Return the peak since this was last asked, and begin anew."""
        taken, self._since_bytes, self._since_resident = self._since_bytes, 0, 0
        return taken

    def _watch(self) -> None:
        me = psutil.Process()
        members, samples = [me], 0
        while True:
            if samples % _SAMPLES_A_LISTING == 0:  # children are found by looking at every process of the machine
                members = [me, *me.children(recursive=True)]
            self._sample(members)
            samples += 1
            if self._stop.wait(_INTERVAL_SECONDS):
                return

    def _sample(self, members: list[psutil.Process]) -> None:
        """Ask for the resident sizes, which cost nothing, and for the shares of pages where these have grown.

        Adding up the shares takes a walk through all pages, 7 % of a core if it is done each time. Their sum is highest
        when the sum of the resident sizes is, but for what they share, which is the same few libraries all along.
        """
        sizes = [_asked(_resident_bytes, member) for member in members]
        resident, self.worker_peak_bytes = sum(sizes), max(self.worker_peak_bytes, *sizes[1:], 0)
        if resident > self._since_resident * _GROWTH:
            self._since_resident = resident
            used = sum(map(self._share, members, sizes))
            self.peak_bytes, self._since_bytes = max(self.peak_bytes, used), max(self._since_bytes, used)

    def _share(self, member: psutil.Process, resident: int) -> int:
        """Return a process's shared out size: that of last time, if it is still about as large as it was then."""
        then, share = self._shares.get(member, (0, 0))
        if not then / _GROWTH <= resident <= then * _GROWTH:
            share = _asked(_shared_out_bytes, member)
            self._shares[member] = resident, share
        return share


def _asked(question: Callable[[psutil.Process], int], process: psutil.Process) -> int:
    try:
        return question(process)
    except (psutil.Error, OSError):  # it ended between being listed and being asked
        return 0


def _resident_bytes(process: psutil.Process) -> int:
    return int(process.memory_info().rss)


def _shared_out_bytes(process: psutil.Process) -> int:
    try:
        with open(f"/proc/{process.pid}/smaps_rollup", encoding="ascii") as rollup:
            for line in rollup:
                if line.startswith("Pss:"):
                    return int(line.split()[1]) * 1024
    except FileNotFoundError:
        pass
    return _resident_bytes(process)
