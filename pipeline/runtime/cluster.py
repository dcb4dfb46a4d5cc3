"""Open the cluster: the one place where a Dask client comes from.

Covers: attaching to a running scheduler, or starting workers on this machine, and Dask's own settings for our kind of
load.
Does not cover: how much memory a run needs (budget.py). A cluster that is not ours is never shut down or restarted.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import dask
from distributed import Client, LocalCluster

from pipeline.runtime.budget import available_memory_bytes, refuse_an_empty_cluster_that_cannot_fit
from pipeline.settings import ClusterSettings
from tasks.errors import SettingsError, TryAgainLater
from tasks.kernels import cpu_target

DASK_SETTINGS = {
    # Shards and blocks are in use all the time: spilling them would be slower than not starting,
    # which budget.py sees to.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    # A paused worker could free nothing and would wait for ever.
    "distributed.worker.memory.pause": False,
    # A task that no worker can take is an error after a while, not a hang.
    "distributed.scheduler.no-workers-timeout": "5 minutes",
    # All stages hand out their tasks evenly; stealing would only carry user shards from worker to worker.
    "distributed.scheduler.work-stealing": False,
    "distributed.admin.large-graph-warning-threshold": "100 MiB",
    # Each connection remembers its last messages, those below 1 MB with all they carried: of 1,000, vectors of a few
    # hundred kB that products take along (block_matrix.py) held 330 MB.
    "distributed.admin.low-level-log-length": 100,
    # Dask has the allocator hand every array of 128 KiB and more back to the system, and take it anew page by page:
    # ingest's arrays of some MiB are served from what they leave, longer ones as before.
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": 32 * 2**20,
    "distributed.nanny.pre-spawn-environ.MALLOC_MMAP_THRESHOLD_": 16 * 2**20,
    # Arrow's own allocator keeps freed memory; the system's gives it back.
    "distributed.nanny.pre-spawn-environ.ARROW_DEFAULT_MEMORY_POOL": "system",
}


@contextmanager
def open_client(settings: ClusterSettings) -> Iterator[Client]:
    """Yield a client with its workers there; close what was opened.

    Raises
    ------
    TryAgainLater
        No scheduler answers, or too few workers came in time.
    """
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(DASK_SETTINGS))
        address = scheduler_address(settings)
        client = _attached(stack, address, settings) if address else _local(stack, settings)
        yield client


def scheduler_address(settings: ClusterSettings) -> str:
    """Return the address of the scheduler to attach to; empty for a cluster of this machine's own."""
    return settings.scheduler or os.environ.get("DASK_SCHEDULER_ADDRESS", "")


def threads_per_worker(settings: ClusterSettings) -> int:
    """Return how many threads a worker of our own has."""
    return settings.threads or max(1, cores() // settings.workers)


def one_cpu_target(client: Client) -> str:
    """Return the CPU target that all workers compile for; the bits of a run hold for one target.

    Raises
    ------
    SettingsError
        The workers' targets differ.
    TryAgainLater
        There is no worker.
    """
    targets: list[str] = sorted(set(client.run(cpu_target).values()))
    if len(targets) > 1:
        raise SettingsError(
            f"workers compile for different CPU targets ({'; '.join(targets)}), which may round differently; "
            "use machines of one kind, or set NUMBA_CPU_NAME and NUMBA_CPU_FEATURES alike for all workers"
        )
    if not targets:
        raise TryAgainLater("the cluster has no worker; start some and run the same command again")
    return targets[0]


def _attached(stack: ExitStack, address: str, settings: ClusterSettings) -> Client:
    try:
        client: Client = stack.enter_context(Client(address, timeout=settings.wait_seconds, set_as_default=False))
        client.wait_for_workers(settings.workers, timeout=settings.wait_seconds)
    except (OSError, TimeoutError) as cause:
        raise TryAgainLater(
            f"{address}: no scheduler with {settings.workers} workers within {settings.wait_seconds:g} s ({cause}); "
            "check cluster.scheduler, start workers, or wait longer with cluster.wait_seconds"
        ) from cause
    return client


def _local(stack: ExitStack, settings: ClusterSettings) -> Client:
    memory = settings.memory or available_memory_bytes()
    refuse_an_empty_cluster_that_cannot_fit(memory, settings.workers)
    # Nannies report a lost worker and start another; their log lines would break the progress display.
    for name in ("distributed", "asyncio"):
        log = logging.getLogger(name)
        stack.callback(log.setLevel, log.level)
        log.setLevel(logging.CRITICAL)
    try:
        with _interrupts_ignored():
            cluster = stack.enter_context(
                LocalCluster(
                    n_workers=settings.workers,
                    threads_per_worker=threads_per_worker(settings),
                    memory_limit=memory // settings.workers,
                    host="127.0.0.1",
                    dashboard_address=settings.dashboard,
                    silence_logs=logging.CRITICAL,
                    preload="pipeline.runtime.worker_setup",
                )
            )
    except RuntimeError as cause:
        raise TryAgainLater(
            f"the workers on this machine did not start ({cause}); what they print says why; "
            'a script that calls run() does so under: if __name__ == "__main__":'
        ) from cause
    client: Client = stack.enter_context(Client(cluster, set_as_default=False))
    return client


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Ignore Ctrl-C for the second in which processes are started: they inherit that, and leave it to the client.

    A terminal sends it to the whole process group; workers that took it would die before the client stops the run.
    Those that are started later, in place of a lost one, are told by worker_setup.py.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def refuse_unguarded_call() -> None:
    """Refuse to run while a worker process imports the script that called for it: each worker would start a cluster.

    Raises
    ------
    SettingsError
        The script calls `run` at its top level.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise SettingsError(
            "run() was called at the top level of a script, which every worker process imports; "
            'put the call under: if __name__ == "__main__":'
        )


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
