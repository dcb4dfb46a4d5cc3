"""What Dask and the operating system raise, as errors that a user can read.

Covers: lost workers, a cluster that went away; a full disk and a root that cannot be written
(pipeline/root/disk_errors.py).
Does not cover: errors of the data and the settings, which are FunkflowErrors where they arise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import distributed.scheduler
from distributed import KilledWorker
from distributed.client import FutureCancelledError
from distributed.comm.core import CommClosedError

from funkflow.pipeline.root.disk_errors import as_disk_errors
from funkflow.tasks.errors import CannotFit, FunkflowError, TryAgainLater

_GONE: tuple[type[Exception], ...] = (
    FutureCancelledError,
    CommClosedError,
    *(
        getattr(distributed.scheduler, name)
        for name in ("NoValidWorkerError", "NoWorkerError")
        if hasattr(distributed.scheduler, name)
    ),
)
"""The last two end a task that waited for a worker in vain; not every Dask that we go with has both."""


@contextmanager
def as_readable_errors(
    root: str, memory: Callable[[], str] = str, is_short: Callable[[], bool] = bool
) -> Iterator[None]:
    """Raise in place of what has no remedy in it a FunkflowError that has one, with the original as its cause.

    memory : says what a worker was predicted to need and what it had, for the case that workers die of it; `is_short` :
    whether one had all that it may have, so that workers that do not come back most likely died of it, too.
    """
    try:
        with as_disk_errors(root):
            yield
    except FunkflowError:
        raise
    except KilledWorker as cause:
        raise _starved(f"at task {cause.task}", memory()) from cause
    except _GONE as cause:
        if is_short():
            raise _starved("and none came back", memory()) from cause
        raise TryAgainLater(
            f"the cluster went away or lost all its workers ({type(cause).__name__}); "
            "the same command goes on from the last checkpoint"
        ) from cause


def _starved(how: str, memory: str) -> CannotFit:
    return CannotFit(
        f"workers died again and again {how}, most likely for want of memory (dmesg says){memory}; "
        "lower train.rank, ingest.chunk_bytes or cluster.threads, or give them more: with cluster.memory, or where "
        "they are started"
    )
