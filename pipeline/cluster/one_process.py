"""Client, scheduler and the only worker in this process.

Covers: opening them, and one thread for each call of the linear algebra libraries, as in worker processes.
Does not cover: when a run does so (pipeline/planning/one_process.py), clusters with worker processes (open.py).
"""

from __future__ import annotations

import ctypes
import logging
import os
from contextlib import ExitStack, suppress

import dask
import pyarrow as pa
from distributed import Client, LocalCluster
from threadpoolctl import threadpool_limits

from funkflow.pipeline.cluster.temporary_folder import refuse_without_temporary_folder
from funkflow.pipeline.planning.budget import available_memory_bytes
from funkflow.pipeline.progress.live.first_request import LATE, load_when_asked
from funkflow.pipeline.settings.cluster import ClusterSettings

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Dask sets them for worker processes (`distributed.nanny.pre-spawn-environ`)."""
_MALLOC_PARAMETERS = {-1: "MALLOC_TRIM_THRESHOLD_", -3: "MALLOC_MMAP_THRESHOLD_"}
"""By glibc's number of it, the variable of the environment that sets a parameter at the start of a process."""
_ARROW_POOL = "ARROW_DEFAULT_MEMORY_POOL"


def open_one_process(stack: ExitStack, settings: ClusterSettings) -> Client:
    """Return a client whose scheduler and worker live in this process; nothing but the dashboard listens on a port.

    Until `stack` closes, BLAS and LAPACK use one thread a call, as they do in worker processes: tasks run side by side,
    and the bits of a result stay the same.
    """
    refuse_without_temporary_folder()
    stack.enter_context(threadpool_limits(1))
    _allocate_as_workers_do(stack)
    _set_for_libraries_that_load_later(stack)
    cluster = stack.enter_context(
        LocalCluster(
            n_workers=1,
            processes=False,
            threads_per_worker=settings.threads_per_worker,
            memory_limit=settings.memory or available_memory_bytes(),
            dashboard_address=settings.dashboard,
            scheduler_kwargs=LATE,
            silence_logs=logging.CRITICAL,
        )
    )
    load_when_asked(cluster.scheduler)
    client: Client = stack.enter_context(Client(cluster, set_as_default=False))
    return client


def _allocate_as_workers_do(stack: ExitStack) -> None:
    """Let freed memory be used again, as the settings of Dask do for worker processes (conf/dask.yaml says why)."""
    asked = dask.config.get("distributed.nanny.pre-spawn-environ")
    with suppress(AttributeError):  # other C libraries than glibc
        for parameter, name in _MALLOC_PARAMETERS.items():
            ctypes.CDLL(None).mallopt(parameter, asked[name])
    if asked[_ARROW_POOL] == "system":
        stack.callback(pa.set_memory_pool, pa.default_memory_pool())
        pa.set_memory_pool(pa.system_memory_pool())


def _set_for_libraries_that_load_later(stack: ExitStack) -> None:
    for name in _THREAD_VARIABLES:
        before = os.environ.get(name)
        if before is None:
            stack.callback(os.environ.pop, name, None)
        else:
            stack.callback(os.environ.__setitem__, name, before)
        os.environ[name] = "1"
