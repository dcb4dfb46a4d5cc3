"""Client, scheduler and the only worker in this process.

Covers: opening them, how their memory is allocated, and one thread for each call of the linear algebra libraries, as
in worker processes.
Does not cover: when a run does so (pipeline/planning/one_process.py), clusters with worker processes (open.py).
"""

from __future__ import annotations

import ctypes
import logging
import os
from contextlib import ExitStack, suppress

import pyarrow as pa
from distributed import Client, LocalCluster
from threadpoolctl import threadpool_limits

from funkflow.pipeline.cluster.dask_settings import dask_settings
from funkflow.pipeline.planning.budget import available_memory_bytes
from funkflow.pipeline.progress.live.first_request import LATE, load_when_asked
from funkflow.pipeline.root.temporary import refuse_without_temporary_folder
from funkflow.pipeline.settings.cluster import ClusterSettings

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Dask sets them for worker processes (`distributed.nanny.pre-spawn-environ`)."""
_MALLOC_PARAMETERS = {-1: "MALLOC_TRIM_THRESHOLD_", -3: "MALLOC_MMAP_THRESHOLD_"}
"""By glibc's number of it, the variable of the environment that sets a parameter at the start of a process."""
_M_ARENA_MAX, _ARENAS = -8, 2
_ENVIRONMENT = "distributed.nanny.pre-spawn-environ"


def open_one_process(stack: ExitStack, settings: ClusterSettings) -> Client:
    """Return a client whose scheduler and worker live in this process; nothing but the dashboard listens on a port.

    `stack` : closes them.
    """
    refuse_without_temporary_folder()
    one_thread_a_call(stack)
    stack.callback(pa.set_memory_pool, pa.default_memory_pool())
    allocate_sparingly()
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


def allocate_sparingly() -> None:
    """Let freed memory be used again, as in worker processes (conf/dask.yaml), and by all threads; for small work.

    It takes 20 MiB less for 100,000 ratings. Each thread would have an arena of its own, and Arrow another one.
    """
    asked = dask_settings()
    with suppress(AttributeError):  # other C libraries than glibc
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_ARENA_MAX, _ARENAS)
        for parameter, name in _MALLOC_PARAMETERS.items():
            mallopt(parameter, asked[f"{_ENVIRONMENT}.{name}"])
    if asked[f"{_ENVIRONMENT}.ARROW_DEFAULT_MEMORY_POOL"] == "system":
        pa.set_memory_pool(pa.system_memory_pool())


def one_thread_a_call(stack: ExitStack) -> None:
    """Have BLAS and LAPACK use one thread a call until `stack` closes, as they do in worker processes.

    Tasks run side by side, and the bits of a result stay the same. The variables are for libraries that load later.
    """
    stack.enter_context(threadpool_limits(1))
    for name in _THREAD_VARIABLES:
        before = os.environ.get(name)
        if before is None:
            stack.callback(os.environ.pop, name, None)
        else:
            stack.callback(os.environ.__setitem__, name, before)
        os.environ[name] = "1"
