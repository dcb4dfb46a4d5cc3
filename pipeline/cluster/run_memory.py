"""How much memory a run takes, wherever its processes are.

Covers: this machine's processes, by their monitor, and the workers of a cluster that is not ours, who are asked.
Does not cover: the scheduler of such a cluster, which serves others, too; what a run is predicted to need
(pipeline/planning/budget.py).

A worker answers with the peak of its resident size, which Linux keeps for each process: what it is while nobody asks is
not missed. After each stage it begins anew. Workers have their peaks at different moments, so their sum is an upper
bound; and pages that several of them share count for each, as they do in each one's limit.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import psutil
from distributed import Client

from funkflow.pipeline.cluster.memory_monitor import MemoryMonitor
from funkflow.pipeline.root.holder import this_process

_ASK_SECONDS = 5.0
"""Within a stage workers are asked that often at most."""
_ANSWER_SECONDS = 5.0


class RunMemory:
    """Peaks, in bytes, of all processes together and of the worker that had most."""

    def __init__(self, monitor: MemoryMonitor) -> None:
        self._monitor = monitor
        self._client: Client | None = None
        self._workers: dict[str, int] = {}
        self._peak_bytes = self._worker_peak_bytes = 0
        self._asked = 0.0

    @property
    def peak_bytes(self) -> int:
        """Of the client's machine's processes and of all workers, as far as they were asked."""
        return self._peak_bytes if self._client else self._monitor.peak_bytes

    @property
    def worker_peak_bytes(self) -> int:
        """Of the worker that had most; 0 where no worker was seen."""
        return self._worker_peak_bytes or self._monitor.worker_peak_bytes

    def ask(self, client: Client) -> None:
        """Have the workers of a cluster begin to count, and ask them from now on."""
        self._client = client
        self._ask(anew=True)
        self._workers.clear()
        self._worker_peak_bytes = 0

    def look(self) -> None:
        """Bring `peak_bytes` up to date, but do not ask workers again and again."""
        if self._client and time.monotonic() - self._asked > _ASK_SECONDS:
            self._ask(anew=False)

    def take_stage(self) -> int:
        """Return the peak of all processes since this was last asked, and begin anew."""
        if self._client:
            self._ask(anew=True)
        taken = self._monitor.take_peak() + sum(self._workers.values())
        self._workers.clear()
        return taken

    def _ask(self, anew: bool) -> None:
        """Ask all workers; one that is lost or does not answer keeps what it said before."""
        here = this_process()
        with suppress(Exception):  # a figure less is no reason for a run to fail
            answers = self._client.sync(  # type: ignore[union-attr]
                _answers, self._client, anew, here["machine"], here["process"], callback_timeout=_ANSWER_SECONDS
            )
            for address, peak in answers.items():
                self._workers[address] = max(self._workers.get(address, 0), peak)
        self._asked = time.monotonic()
        self._worker_peak_bytes = max(self._worker_peak_bytes, *self._workers.values(), 0)
        self._peak_bytes = max(self._peak_bytes, self._monitor.untaken_bytes + sum(self._workers.values()))


async def _answers(client: Client, *arguments: Any) -> dict[str, int]:
    answers: dict[str, int] = await client.run(_resident_peak, *arguments, on_error="ignore")
    return answers


def _resident_peak(anew: bool, machine: str, process: int) -> int:
    """Return this process's peak since it was last asked to begin anew, or as long as the system remembers.

    0 where that process of that machine started this one: its own monitor sees it.
    """
    me = psutil.Process()
    if this_process()["machine"] == machine and process in [parent.pid for parent in me.parents()]:
        return 0
    peak = int(me.memory_info().rss)
    with suppress(OSError), open("/proc/self/status", encoding="ascii") as status:
        peak = max(peak, *(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:")))
    if anew:
        with suppress(OSError), open("/proc/self/clear_refs", "w", encoding="ascii") as marks:
            marks.write("5")
    return peak
