"""The memory of a run, on all its machines.

Covers: processes on this machine, by their monitor, and workers of a cluster of somebody else, by questions.
Does not cover: the scheduler of such a cluster, which serves others, too; predictions (pipeline/planning/budget.py).

A worker answers with the peak of its resident size, which Linux keeps for each process, so no peak goes unseen. It
resets the peak after each stage. Workers peak at different moments, so the sum of peaks is an upper bound; shared pages
count for each worker, as they do in its limit.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import psutil
from distributed import Client

from funkflow.pipeline.cluster.given_client import is_in_this_process
from funkflow.pipeline.cluster.memory_monitor import MemoryMonitor
from funkflow.pipeline.root.holder import this_process

_ASK_SECONDS = 5.0
"""Least time between two questions within a stage."""
_ANSWER_SECONDS = 5.0


class RunMemory:
    """Peaks, in bytes, of all processes together and of the greatest worker."""

    def __init__(self, monitor: MemoryMonitor) -> None:
        self._monitor = monitor
        self._client: Client | None = None
        self._workers: dict[str, int] = {}
        self._peak_bytes = self._worker_peak_bytes = 0
        self._last_question = 0.0

    @property
    def peak_bytes(self) -> int:
        """Peak of all processes on this machine and of all workers, as of the last question."""
        return self._peak_bytes if self._client else self._monitor.peak_bytes

    @property
    def worker_peak_bytes(self) -> int:
        """Peak of the greatest worker; 0 before any worker answered."""
        return self._worker_peak_bytes or self._monitor.worker_peak_bytes

    @property
    def is_worker(self) -> bool:
        """Whether this process is the worker."""
        return self._monitor.is_worker

    @is_worker.setter
    def is_worker(self, is_worker: bool) -> None:
        self._monitor.is_worker = is_worker

    def ask(self, client: Client) -> None:
        """Reset the peaks of the workers of a cluster, and ask them from now on."""
        self._client = client
        self.is_worker |= is_in_this_process(client)
        self._ask(reset=True)
        self._workers.clear()
        self._worker_peak_bytes = 0

    def look(self) -> None:
        """Update `peak_bytes`; ask workers every few seconds at most."""
        if self._client and time.monotonic() - self._last_question > _ASK_SECONDS:
            self._ask(reset=False)

    def take_stage(self) -> int:
        """Return the peak of all processes since the last call, and reset it."""
        if self._client:
            self._ask(reset=True)
        taken = self._monitor.take_peak() + sum(self._workers.values())
        self._workers.clear()
        return taken

    def _ask(self, reset: bool) -> None:
        """Ask all workers; a worker that does not answer keeps its last figure."""
        here = this_process()
        with suppress(Exception):  # a run does not fail for a missing figure
            answers = self._client.sync(  # type: ignore[union-attr]
                _answers, self._client, reset, here["machine"], here["process"], callback_timeout=_ANSWER_SECONDS
            )
            for address, peak in answers.items():
                self._workers[address] = max(self._workers.get(address, 0), peak)
        self._last_question = time.monotonic()
        self._worker_peak_bytes = max(self._worker_peak_bytes, *self._workers.values(), 0)
        self._peak_bytes = max(self._peak_bytes, self._monitor.untaken_bytes + sum(self._workers.values()))


async def _answers(client: Client, *arguments: Any) -> dict[str, int]:
    answers: dict[str, int] = await client.run(_resident_peak, *arguments, on_error="ignore")
    return answers


def _resident_peak(reset: bool, machine: str, process: int) -> int:
    """Return the peak of this process since its last reset, or since its start.

    0 if the given process of the given machine is this one, or a parent of it: its monitor covers this one.
    """
    me = psutil.Process()
    if this_process()["machine"] == machine and process in [each.pid for each in (me, *me.parents())]:
        return 0
    peak = int(me.memory_info().rss)
    with suppress(OSError), open("/proc/self/status", encoding="ascii") as status:
        peak = max(peak, *(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:")))
    if reset:
        with suppress(OSError), open("/proc/self/clear_refs", "w", encoding="ascii") as marks:
            marks.write("5")
    return peak
