"""A worker that Dask lets stand still for want of memory: a run that waits for it ends, and says so.

Covers: a real worker that is paused with tasks before it, and what is said of one that is not waited for.
Does not cover: refusing before a run starts what memory is too small for (test_attach.py), or workers that die of it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dask_processes import address_of, scheduler, worker
from distributed import Client
from distributed.client import FutureCancelledError

from funkflow.pipeline.cluster.paused_workers import no_endless_pause, standing_workers
from funkflow.tasks.errors import CannotFit

KEEPS_ALL = {f"DASK_DISTRIBUTED__WORKER__MEMORY__{name}": "False" for name in ("TARGET", "SPILL")}
"""Nothing can be let go, as with numbers that are not Dask's."""


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Client]:
    """A cluster of one worker of 400 MiB, which Dask pauses at 320."""
    with (
        scheduler(tmp_path) as file,
        worker(file, "small", memory_limit="400MiB", **KEEPS_ALL),
        Client(address_of(file), set_as_default=False) as client,
    ):
        yield client


def test_a_run_that_waits_for_a_paused_worker_ends_with_its_memory(small: Client) -> None:
    (address,) = small.scheduler_info(n_workers=-1)["workers"]
    line = rf"^worker {address} has \d\d\d\.\d\d MiB of its 400.00 MiB in use and stood still for 1 s"
    kept = small.submit(np.ones, 45_000_000)

    @no_endless_pause(small, limit_seconds=1, look_seconds=0.1)
    def sleep_and_sleep() -> None:
        small.gather([kept, *small.map(time.sleep, np.linspace(0.2, 0.3, 50).tolist())])

    with pytest.raises(CannotFit, match=line):
        sleep_and_sleep()


@pytest.mark.long
def test_what_is_cancelled_by_somebody_else_is_not_taken_for_it(small: Client) -> None:
    futures = small.map(time.sleep, [0.3, 0.4])
    small.cancel(futures)
    with pytest.raises(FutureCancelledError), no_endless_pause(small, limit_seconds=0, look_seconds=0.1):
        small.gather(futures)


def test_a_worker_stands_still_only_if_it_is_paused_and_tasks_wait_for_it_alone() -> None:
    def told(status: str = "paused", **counts: int) -> dict[str, Any]:
        return {"status": status, "memory_limit": 2**30, "metrics": {"memory": 2**29, "task_counts": counts}}

    workers = {
        "stands": told(ready=1, memory=4),
        "works": told(ready=1, executing=1),
        "waits": told(memory=4),
        "runs": told("running", ready=1),
        "has told nothing": {"status": "paused", "memory_limit": 2**30},
    }
    assert standing_workers(workers) == {
        "stands": "worker stands has 512.00 MiB of its 1.00 GiB in use and stood still"
    }
