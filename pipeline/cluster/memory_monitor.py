"""Measure the memory of all processes of a run on this machine, while it runs.

Covers: the peak of the proportional set size, summed over this process and its children, sampled ten times a second.
Does not cover: children that live for less than a second; workers on other machines (run_memory.py); predictions
(pipeline/planning/budget.py).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType

import psutil

_INTERVAL_SECONDS = 0.1
_SAMPLES_A_LISTING = 10
_GROWTH = 1.002
_GROWTH_ALONE = 1.05


class MemoryMonitor:
    """Context manager; `peak_bytes` is the greatest sum so far, `worker_peak_bytes` the greatest single child.

    `is_worker` : this process is the worker itself.

    The proportional set size counts a page of n processes as 1/n in each. Outside Linux, the monitor takes the resident
    set size, which counts shared pages several times.
    """

    def __init__(self) -> None:
        self.peak_bytes = self.worker_peak_bytes = 0
        self.is_worker = False
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
        """Return the peak since the last call, and reset it."""
        taken, self._since_bytes, self._since_resident = self._since_bytes, 0, 0
        return taken

    def _watch(self) -> None:
        me = psutil.Process()
        members, samples = [me], 0
        while True:
            if samples % _SAMPLES_A_LISTING == 0:  # the search for children looks at every process of the machine
                members = [me, *me.children(recursive=True)]
            self._sample(members)
            samples += 1
            if self._stop.wait(_INTERVAL_SECONDS):
                return

    def _sample(self, members: list[psutil.Process]) -> None:
        """Read the resident sizes, which is cheap, and the proportional sizes of processes that have grown.

        A proportional size takes a walk through all pages: 7 % of a core for every sample. The sum of these sizes peaks
        with that of the resident sizes, as processes share the same few libraries all the time.
        """
        sizes = [_ask_process(_resident_bytes, member) for member in members]
        resident, self.worker_peak_bytes = (
            sum(sizes),
            max(self.worker_peak_bytes, *sizes[0 if self.is_worker else 1 :], 0),
        )
        if resident > self._since_resident * _GROWTH:
            self._since_resident = resident
            used = sum(map(self._share, members, sizes))
            self.peak_bytes, self._since_bytes = max(self.peak_bytes, used), max(self._since_bytes, used)

    def _share(self, member: psutil.Process, resident: int) -> int:
        """Return the proportional size of a process: the last one, if its resident size has hardly changed.

        What a process without children has gained since, it shares with no other of this run.
        """
        then, share = self._shares.get(member, (0, 0))
        if len(self._shares) == 1 and then <= resident <= then * _GROWTH_ALONE:
            return share + resident - then
        if not then / _GROWTH <= resident <= then * _GROWTH:
            share = _ask_process(_proportional_bytes, member)
            self._shares[member] = resident, share
        return share


def _ask_process(question: Callable[[psutil.Process], int], process: psutil.Process) -> int:
    try:
        return question(process)
    except (psutil.Error, OSError):  # it ended after it was listed
        return 0


def _resident_bytes(process: psutil.Process) -> int:
    return int(process.memory_info().rss)


def _proportional_bytes(process: psutil.Process) -> int:
    try:
        with open(f"/proc/{process.pid}/smaps_rollup", encoding="ascii") as rollup:
            for line in rollup:
                if line.startswith("Pss:"):
                    return int(line.split()[1]) * 1024
    except FileNotFoundError:
        pass
    return _resident_bytes(process)
