"""Errors of Dask and of the operating system, as errors that a user can read.

Covers: lost workers, a cluster that went away; a full disk and a root that cannot be written
(pipeline/root/disk_errors.py).
Does not cover: errors of the data and the settings, which are FunkflowErrors from the start.
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
"""The last two end a task that waited for a worker in vain; not every supported Dask has both."""


@contextmanager
def as_readable_errors(
    root: str, memory: Callable[[], str] = str, is_short: Callable[[], bool] = bool
) -> Iterator[None]:
    """Replace errors without a remedy by a FunkflowError with one; the original is its cause.

    `memory` : describes the predicted memory and the limit of a worker; `is_short` : whether a worker had reached its
    limit, so that workers that do not come back most likely died of it.
    """
    try:
        with as_disk_errors(root):
            yield
    except FunkflowError:
        raise
    except KilledWorker as cause:
        raise _out_of_memory(f"at task {cause.task}", memory()) from cause
    except _GONE as cause:
        if is_short():
            raise _out_of_memory("and none came back", memory()) from cause
        raise TryAgainLater(
            f"the cluster went away or lost all its workers ({type(cause).__name__}); "
            "the same command resumes from the last checkpoint"
        ) from cause


def _out_of_memory(how: str, memory: str) -> CannotFit:
    return CannotFit(
        f"workers died again and again {how}, most likely from lack of memory (see dmesg){memory}; "
        "lower train.rank, ingest.chunk_bytes or cluster.threads, or give workers more memory: by "
        "cluster.memory, or by the command that starts them"
    )
