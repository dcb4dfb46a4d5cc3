"""Workers that Dask pauses because their memory is full: a run that waits for one of them ends.

Covers: finding them, and ending the run with a line that names the worker.
Does not cover: workers that die from lack of memory (errors.py), or predictions (pipeline/planning/budget.py).

Dask starts no task on a worker whose memory is fuller than `distributed.worker.memory.pause`. If tasks already wait
there, and the worker can release nothing, the pause never ends. conf/dask.yaml turns pauses off; workers that somebody
else started may have them on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from distributed import Client, Future
from distributed.client import FutureCancelledError

from funkflow.pipeline.progress.words import format_bytes
from funkflow.tasks.errors import CannotFit

WorkerInfo = Mapping[str, Mapping[str, Any]]
"""Descriptions of workers by address, from Dask's scheduler."""
_LOOK_SECONDS = 5.0
_LIMIT_SECONDS = 60.0
"""Longest pause: others may fetch results from the worker and so free its memory."""


@contextmanager
def no_endless_pause(
    client: Client, limit_seconds: float = _LIMIT_SECONDS, look_seconds: float = _LOOK_SECONDS
) -> Iterator[None]:
    """Cancel all futures of the client once a worker has paused for `limit_seconds` while tasks wait for it.

    Raises
    ------
    CannotFit
        Names the worker, its memory in use and its limit.
    """
    ended, found = threading.Event(), list[str]()

    def watch() -> None:
        since: dict[str, float] = {}
        while not ended.wait(look_seconds):
            with suppress(OSError):  # the cluster went away: the caller gets that error
                standing = standing_workers(client.scheduler_info(n_workers=-1).get("workers", {}))
                since = {address: since.get(address, time.monotonic()) for address in standing}
                found[:] = [
                    f"{standing[address]} for {limit_seconds:g} s"
                    for address, first in since.items()
                    if time.monotonic() - first >= limit_seconds
                ]
                if found:
                    client.cancel([Future(key, client) for key in list(client.futures)])

    thread = threading.Thread(target=watch, name="pauses", daemon=True)
    thread.start()
    try:
        yield
    except FutureCancelledError as cause:
        if found:
            raise CannotFit(
                f"{found[0]}; Dask paused it. Start workers with more memory (--memory-limit), or set DASK_CONFIG to "
                "conf/dask.yaml, which lets them use all of it"
            ) from cause
        raise
    finally:
        ended.set()
        thread.join()


def standing_workers(workers: WorkerInfo) -> dict[str, str]:
    """Return a line by address for each worker that is paused, runs nothing and has tasks waiting.

    workers : descriptions by the scheduler.
    """
    lines = {}
    for address, worker in workers.items():
        metrics = worker.get("metrics", {})
        counts = metrics.get("task_counts", {})
        if worker.get("status") == "paused" and not counts.get("executing") and counts.get("ready"):
            used, limit = format_bytes(metrics.get("memory", 0)), format_bytes(worker["memory_limit"])
            lines[address] = f"worker {address} has {used} of its {limit} in use and stood still"
    return lines
