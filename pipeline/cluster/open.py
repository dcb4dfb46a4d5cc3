"""Open the cluster: the one place where a Dask client comes from.

Covers: where to run, attaching to a running scheduler, waiting for workers, and starting workers on this machine.
Does not cover: starting what a cluster file names (launch.py), Dask's own settings (dask_settings.py), how much memory
a run needs (pipeline/planning/budget.py). A cluster that is not ours is never shut down or restarted.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

import dask
from distributed import Client, LocalCluster, Security
from distributed.versions import VersionMismatchWarning

from funkflow.pipeline.cluster.dask_settings import dask_settings
from funkflow.pipeline.cluster.launch import launched, listens_on_this_machine
from funkflow.pipeline.cluster.placement import keep_placement_loose
from funkflow.pipeline.cluster.security import (
    in_need_of_security,
    refuse_other_security,
    security_of,
    temporary_security,
)
from funkflow.pipeline.cluster.software import refuse_other_software
from funkflow.pipeline.cluster.temporary_folder import refuse_without_temporary_folder
from funkflow.pipeline.planning.budget import available_memory_bytes, refuse_an_empty_cluster_that_cannot_fit
from funkflow.pipeline.settings.cluster_preset import read_preset
from funkflow.pipeline.settings.sections import ClusterSettings
from funkflow.tasks.errors import SettingsError, TryAgainLater
from funkflow.tasks.kernels.score import cpu_target

Place = Literal["scheduler", "scheduler_file", "preset", "local"]
_POLL_SECONDS = 0.1
_NONE_COMES_BACK = "60s"
"""After that long without any worker on this machine nothing is waited for: one that is started anew takes seconds, and
who starts them gives up where a start fails."""


@contextmanager
def open_client(settings: ClusterSettings, tell: Callable[[str], None] = lambda _words: None) -> Iterator[Client]:
    """Yield a client with its workers there; close what was opened.

    Parameters
    ----------
    tell : is told in a line where TLS is on without having been asked for.

    Raises
    ------
    TryAgainLater
        No scheduler answers, or too few workers came in time.
    SettingsError
        The cluster file is wrong, or a process of the cluster runs other software than this one.
    """
    place, named = where_to_run(settings)
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(dask_settings()))
        _mute(stack)
        security = security_of(settings) or _unasked_security(settings, tell)
        match place:
            case "scheduler":
                client = _attached(stack, named, settings, security)
            case "scheduler_file":
                began = time.monotonic()
                address = address_in(named, settings.wait_seconds)
                left = max(1.0, settings.wait_seconds - (time.monotonic() - began))
                client = _attached(stack, address, settings.model_copy(update={"wait_seconds": left}), security)
            case "preset":
                client = _from_preset(stack, named, security)
            case "local":
                client = _local(stack, settings, security)
        keep_placement_loose(client)
        yield client


def where_to_run(settings: ClusterSettings, environment: Mapping[str, str] = os.environ) -> tuple[Place, str]:
    """Return where tasks run, and its address, file or name; nothing for a cluster of this machine's own.

    The command's options come first: they are settings that have the environment passed over. Then come
    DASK_SCHEDULER_ADDRESS, the other settings, and a cluster on this machine.
    """
    address = environment.get("DASK_SCHEDULER_ADDRESS", "")
    if settings.environment and address:
        return "scheduler", address
    places: tuple[Place, ...] = ("scheduler", "scheduler_file", "preset")
    return next(((place, named) for place in places if (named := str(getattr(settings, place)))), ("local", ""))


def _unasked_security(settings: ClusterSettings, tell: Callable[[str], None]) -> Security | None:
    """Return what keeps others on this machine out of processes that would run any code they send."""
    place, named = where_to_run(settings)
    if place != "local" and not (place == "preset" and listens_on_this_machine(read_preset(named)[0])):
        return None
    other = in_need_of_security(settings)
    if not other:
        return None
    tell(
        f"other people may be on this machine ({other}), so the processes of this run speak TLS with each other, by a "
        'certificate of their own; cluster.tls = "off" does without'
    )
    return temporary_security()


def address_in(path: str, seconds: float) -> str:
    """Return the address in a scheduler file, which the scheduler may be about to write.

    Dask's own `Client(scheduler_file=...)` waits for it for ever.

    Raises
    ------
    TryAgainLater
        It was not there in time.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            with open(path, encoding="utf-8") as file:
                return str(json.load(file)["address"])
        except (OSError, ValueError, KeyError, TypeError) as cause:
            if time.monotonic() > end:
                reason = "no such file" if isinstance(cause, FileNotFoundError) else f"not readable: {cause}"
                raise TryAgainLater(
                    f"{path}: no scheduler wrote its address there within {seconds:g} s ({reason}); start one with "
                    "dask scheduler --scheduler-file, or wait longer with cluster.wait_seconds"
                ) from cause
        time.sleep(_POLL_SECONDS)


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


def _mute(stack: ExitStack) -> None:
    """Keep Dask's log off the terminal: what matters of lost workers and schedulers is told as events and errors.

    A client that loses its scheduler logs tracebacks, and nannies report each worker that they start anew.
    """
    for name in ("distributed", "distributed.client", "asyncio", "tornado.application"):
        log = logging.getLogger(name)
        stack.callback(log.setLevel, log.level)
        log.setLevel(logging.CRITICAL)


def _attached(stack: ExitStack, address: str, settings: ClusterSettings, security: Security | None) -> Client:
    began = time.monotonic()
    try:
        refuse_other_security(address, security, settings.wait_seconds)
        client = _connected(stack, address, settings.wait_seconds, security)
        left = max(1.0, settings.wait_seconds - (time.monotonic() - began))
        client.wait_for_workers(settings.workers, timeout=left)
    except (OSError, TimeoutError, ValueError) as cause:
        raise TryAgainLater(
            f"{address}: no scheduler with {settings.workers} workers within {settings.wait_seconds:g} s ({cause}); "
            "check cluster.scheduler (tls://… if it speaks TLS), start workers, or wait longer with "
            "cluster.wait_seconds"
        ) from cause
    refuse_other_software(client)
    return client


def _connected(stack: ExitStack, to: Any, seconds: float, security: Security | None = None) -> Client:
    """Return a client of an address or a cluster. Its warning of versions is a table; software.py says it in a line."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VersionMismatchWarning)
        client: Client = stack.enter_context(Client(to, timeout=seconds, security=security, set_as_default=False))
        return client


def _from_preset(stack: ExitStack, named: str, security: Security | None) -> Client:
    preset, where = read_preset(named)
    if security is not None:  # a class that does not take it is refused as any argument is that it does not know
        preset = preset.model_copy(update={"kwargs": {**preset.kwargs, "security": security}})
    settings = dask_settings(preset.dask)
    stack.enter_context(dask.config.set(settings))
    with _interrupts_ignored():
        cluster = stack.enter_context(launched(preset, where, settings))
    client = _connected(stack, cluster, preset.wait_timeout_seconds)
    try:
        client.wait_for_workers(preset.wait_for_workers, timeout=preset.wait_timeout_seconds)
    except TimeoutError as cause:
        there = len(client.scheduler_info(n_workers=-1)["workers"])
        raise TryAgainLater(
            f"{where}: {there} of {preset.wait_for_workers} workers came within {preset.wait_timeout_seconds:g} s; "
            "see what holds them up, lower wait_for_workers, or wait longer with wait_timeout_seconds"
        ) from cause
    refuse_other_software(client)
    return client


def _local(stack: ExitStack, settings: ClusterSettings, security: Security | None) -> Client:
    refuse_without_temporary_folder()
    memory = settings.memory or available_memory_bytes()
    refuse_an_empty_cluster_that_cannot_fit(memory, settings.workers)
    stack.enter_context(dask.config.set({"distributed.scheduler.no-workers-timeout": _NONE_COMES_BACK}))
    try:
        with _interrupts_ignored():
            cluster = stack.enter_context(
                LocalCluster(
                    n_workers=settings.workers,
                    threads_per_worker=settings.threads_per_worker,
                    memory_limit=memory // settings.workers,
                    host="127.0.0.1",
                    dashboard_address=settings.dashboard,
                    silence_logs=logging.CRITICAL,
                    preload="funkflow.pipeline.cluster.worker_setup",
                    security=security,
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
