"""Open the cluster and its client; nothing else makes a Dask client.

Covers: the choice of a cluster, attaching to a running scheduler, waiting for workers, starting workers here.
Does not cover: starting the cluster of a file (launch.py), Dask's settings (dask_settings.py), the memory of a run
(pipeline/planning/budget.py). A run never shuts down or restarts a cluster of somebody else.
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
from funkflow.pipeline.cluster.given_client import use_given
from funkflow.pipeline.cluster.launch import launch_cluster, listens_on_this_machine
from funkflow.pipeline.cluster.one_process import open_one_process
from funkflow.pipeline.cluster.placement import keep_placement_loose
from funkflow.pipeline.cluster.security import (
    in_need_of_security,
    refuse_other_security,
    security_of,
    temporary_security,
)
from funkflow.pipeline.cluster.software import refuse_other_software
from funkflow.pipeline.planning.budget import available_memory_bytes, refuse_an_empty_cluster_that_cannot_fit
from funkflow.pipeline.progress.live.first_request import LATE, load_when_asked
from funkflow.pipeline.root.temporary import refuse_without_temporary_folder
from funkflow.pipeline.settings.cluster_preset import read_preset
from funkflow.pipeline.settings.sections import ClusterSettings
from funkflow.tasks.errors import SettingsError, TryAgainLater
from funkflow.tasks.garbage import search_as_usual
from funkflow.tasks.kernels.score import cpu_target

ClusterKind = Literal["scheduler", "scheduler_file", "preset", "local"]
_POLL_SECONDS = 0.1
_NO_WORKERS_TIMEOUT = "60s"
"""Tasks fail after this time without any worker on this machine: a restart takes seconds, and Dask gives up after a
start that fails."""


@contextmanager
def open_client(
    settings: ClusterSettings, notify: Callable[[str], None] = lambda _words: None, one_process: bool = False,
    given: Client | None = None,
) -> Iterator[Client]:  # fmt: skip
    """Yield a client once its workers are there; close at the end whatever this opened.

    Parameters
    ----------
    notify : gets a line if TLS is on by default.
    one_process : of a cluster on this machine: the only worker is in this process; nothing listens on a port but the
        dashboard.
    given : the user's own client, which is used as it is and stays open.

    Raises
    ------
    TryAgainLater
        No scheduler answers, or too few workers join in time.
    SettingsError
        The cluster file is wrong, or a process of the cluster runs different software.
    """
    place, name = where_to_run(settings)
    search_as_usual()
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(dask_settings()))
        _mute(stack)
        if given is not None:
            yield use_given(stack, given, settings)
            return
        if place == "local" and one_process:
            yield open_one_process(stack, settings)
            return
        security = security_of(settings) or _automatic_security(settings, notify)
        match place:
            case "scheduler":
                client = _attach(stack, name, settings, security)
            case "scheduler_file":
                began = time.monotonic()
                address = address_in(name, settings.wait_seconds)
                left = max(1.0, settings.wait_seconds - (time.monotonic() - began))
                client = _attach(stack, address, settings.model_copy(update={"wait_seconds": left}), security)
            case "preset":
                client = _open_preset(stack, name, security)
            case "local":
                client = _open_local(stack, settings, security)
        keep_placement_loose(client)
        yield client


def where_to_run(settings: ClusterSettings, environment: Mapping[str, str] = os.environ) -> tuple[ClusterKind, str]:
    """Return the kind of cluster, and its address, file or name; empty for a cluster on this machine.

    Options of the command come first: they set `environment` to false. Then come DASK_SCHEDULER_ADDRESS, the other
    settings, and a cluster on this machine.
    """
    address = environment.get("DASK_SCHEDULER_ADDRESS", "")
    if settings.environment and address:
        return "scheduler", address
    places: tuple[ClusterKind, ...] = ("scheduler", "scheduler_file", "preset")
    return next(((place, name) for place in places if (name := str(getattr(settings, place)))), ("local", ""))


def _automatic_security(settings: ClusterSettings, notify: Callable[[str], None]) -> Security | None:
    """Return TLS if others on this machine could send code to our processes; otherwise None."""
    place, name = where_to_run(settings)
    if place != "local" and not (place == "preset" and listens_on_this_machine(read_preset(name)[0])):
        return None
    other = in_need_of_security(settings)
    if not other:
        return None
    notify(
        f"other people may use this machine ({other}), so this run uses TLS with a certificate of its own; "
        'cluster.tls = "off" turns it off'
    )
    return temporary_security()


def address_in(path: str, seconds: float) -> str:
    """Return the address in a scheduler file; wait for the scheduler to write it.

    Dask's own `Client(scheduler_file=...)` waits without end.

    Raises
    ------
    TryAgainLater
        The file did not appear in time.
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
    """Return the CPU target of all workers; the bits of a result are those of one target.

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
    """Keep Dask's log off the terminal: events and errors report lost workers and schedulers.

    A client that loses its scheduler logs tracebacks, and nannies log every restart of a worker.
    """
    for name in ("distributed", "distributed.client", "asyncio", "tornado.application"):
        log = logging.getLogger(name)
        stack.callback(log.setLevel, log.level)
        log.setLevel(logging.CRITICAL)


def _attach(stack: ExitStack, address: str, settings: ClusterSettings, security: Security | None) -> Client:
    began = time.monotonic()
    try:
        refuse_other_security(address, security, settings.wait_seconds)
        client = _connect(stack, address, settings.wait_seconds, security)
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


def _connect(stack: ExitStack, to: Any, seconds: float, security: Security | None = None) -> Client:
    """Return a client of an address or a cluster, without its table of versions; software.py checks them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VersionMismatchWarning)
        client: Client = stack.enter_context(Client(to, timeout=seconds, security=security, set_as_default=False))
        return client


def _open_preset(stack: ExitStack, name: str, security: Security | None) -> Client:
    preset, where = read_preset(name)
    if security is not None:  # launch.py refuses it, as any argument that the class does not take
        preset = preset.model_copy(update={"kwargs": {**preset.kwargs, "security": security}})
    settings = dask_settings(preset.dask)
    stack.enter_context(dask.config.set(settings))
    with _ignore_interrupts():
        cluster = stack.enter_context(launch_cluster(preset, where, settings))
    client = _connect(stack, cluster, preset.wait_timeout_seconds)
    try:
        client.wait_for_workers(preset.wait_for_workers, timeout=preset.wait_timeout_seconds)
    except TimeoutError as cause:
        there = len(client.scheduler_info(n_workers=-1)["workers"])
        raise TryAgainLater(
            f"{where}: {there} of {preset.wait_for_workers} workers came within {preset.wait_timeout_seconds:g} s; "
            "find out what delays them, lower wait_for_workers, or wait longer with wait_timeout_seconds"
        ) from cause
    refuse_other_software(client)
    return client


def _open_local(stack: ExitStack, settings: ClusterSettings, security: Security | None) -> Client:
    refuse_without_temporary_folder()
    memory = settings.memory or available_memory_bytes()
    refuse_an_empty_cluster_that_cannot_fit(memory, settings.workers)
    stack.enter_context(dask.config.set({"distributed.scheduler.no-workers-timeout": _NO_WORKERS_TIMEOUT}))
    try:
        with _ignore_interrupts():
            cluster = stack.enter_context(
                LocalCluster(
                    n_workers=settings.workers,
                    threads_per_worker=settings.threads_per_worker,
                    memory_limit=memory // settings.workers,
                    host="127.0.0.1",
                    dashboard_address=settings.dashboard,
                    scheduler_kwargs=LATE,
                    silence_logs=logging.CRITICAL,
                    preload="funkflow.pipeline.cluster.worker_setup",
                    security=security,
                )
            )
    except RuntimeError as cause:
        raise TryAgainLater(
            f"the workers on this machine did not start ({cause}); see what they print; "
            'in a script, put the call of run() under: if __name__ == "__main__":'
        ) from cause
    load_when_asked(cluster.scheduler)
    client: Client = stack.enter_context(Client(cluster, set_as_default=False))
    return client


@contextmanager
def _ignore_interrupts() -> Iterator[None]:
    """Ignore Ctrl-C while processes start: they inherit that and leave Ctrl-C to the client.

    A terminal sends it to the whole process group; workers would die before the client stops the run. In workers that
    start later, in place of lost ones, worker_setup.py ignores it.
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
    """Raise SettingsError in a worker process that imports a script with `run` at its top level.

    Each worker would start a cluster of its own.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise SettingsError(
            "run() was called at the top level of a script, which every worker process imports; "
            'put the call under: if __name__ == "__main__":'
        )
