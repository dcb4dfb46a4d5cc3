"""Workers that Dask lets stand still because their memory is full: a run that waits for one of them ends.

Covers: noticing them, and ending the run with a line that says whose memory it is.
Does not cover: workers that die of want of memory (errors.py), or what a run is predicted to need
(pipeline/planning/budget.py).

Dask begins no task on a worker whose memory is fuller than `distributed.worker.memory.pause`. Where tasks wait there
that were given out before, and it has nothing that it could let go, that is for ever. conf/dask.yaml turns it off;
workers that somebody else started may have it on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from dask.utils import format_bytes
from distributed import Client, Future
from distributed.client import FutureCancelledError

from funkflow.tasks.errors import CannotFit

_LOOK_SECONDS = 5.0
_LIMIT_SECONDS = 60.0
"""So long may a worker stand still: its memory may yet be freed by what others fetch from it."""


@contextmanager
def no_endless_pause(
    client: Client, limit_seconds: float = _LIMIT_SECONDS, look_seconds: float = _LOOK_SECONDS
) -> Iterator[None]:
    """Cancel all that the client waits for once a worker has stood still for `limit_seconds` while tasks wait for it.

    Raises
    ------
    CannotFit
        With the worker, what it has in use and its limit.
    """
    ended, found = threading.Event(), list[str]()

    def watch() -> None:
        since: dict[str, float] = {}
        while not ended.wait(look_seconds):
            with suppress(OSError):  # the cluster went away: whoever waits for it is told so
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
                f"{found[0]}, as Dask has it do; start workers with more memory (--memory-limit), or with DASK_CONFIG "
                "naming conf/dask.yaml, which lets them use all of it"
            ) from cause
        raise
    finally:
        ended.set()
        thread.join()


def standing_workers(workers: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Say of each worker that is paused, runs nothing and has tasks waiting that it stands still, by its address.

    workers : as the scheduler describes them.
    """
    lines = {}
    for address, worker in workers.items():
        metrics = worker.get("metrics", {})
        counts = metrics.get("task_counts", {})
        if worker.get("status") == "paused" and not counts.get("executing") and counts.get("ready"):
            used, limit = format_bytes(metrics.get("memory", 0)), format_bytes(worker["memory_limit"])
            lines[address] = f"worker {address} has {used} of its {limit} in use and stood still"
    return lines
