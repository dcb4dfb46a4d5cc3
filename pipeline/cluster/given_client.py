"""A Dask client of the user's: the one that is given, or the one that is current in this process.

Covers: which client a run uses, and what it needs of one.
Does not cover: clients and clusters of our own, and schedulers by address (open.py). A run never closes this client.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from distributed import Client, get_worker

from funkflow.pipeline.cluster.one_process import one_thread_a_call
from funkflow.pipeline.cluster.placement import keep_placement_loose
from funkflow.pipeline.cluster.software import refuse_other_software
from funkflow.pipeline.settings.cluster import ClusterSettings
from funkflow.tasks.errors import SettingsError, TryAgainLater

OWN_CLUSTER = 'overrides=["cluster.processes=several"] starts workers of its own'


def current_client(settings: ClusterSettings) -> Client | None:
    """Return the client that is current in this process, unless the settings choose where to run.

    They do by an address, a file or a preset, by processes = "one" or "several", and by environment = false. A task
    runs on a cluster of its own: the worker that waits for it might be the only one.
    """
    chosen = settings.scheduler or settings.scheduler_file or settings.preset or settings.processes != "auto"
    if chosen or not settings.environment or _is_task():
        return None
    try:
        client = Client.current()
    except ValueError:
        return None
    return None if client.asynchronous or client.status != "running" else client


def checked_client(given: Any) -> Client:
    """Return what was given as `client=`.

    Raises
    ------
    SettingsError
        It is no client, is asynchronous, or was closed.
    """
    if not isinstance(given, Client):
        raise SettingsError(f"client= is a {type(given).__name__}: give a dask.distributed.Client")
    if given.asynchronous:
        raise SettingsError("client= is asynchronous, and a run waits for its results: give a Client that is not")
    if given.status != "running":
        raise SettingsError(f"client= is {given.status}: give a Client that is connected")
    return given


def place_of(client: Client) -> str:
    """Return where a client's tasks run, in a few words."""
    found = client.scheduler_info(n_workers=-1)
    workers = found["workers"]
    return f"{found['address']} ({len(workers)} worker{'' if len(workers) == 1 else 's'})"


def is_in_this_process(client: Client) -> bool:
    """Return whether a worker of the client shares this process."""
    return any(address.startswith("inproc://") for address in client.scheduler_info(n_workers=-1)["workers"])


def use_given(stack: ExitStack, client: Client, settings: ClusterSettings) -> Client:
    """Return the client once a worker is there, and all run the same software.

    Raises
    ------
    SettingsError
        A process runs different software.
    TryAgainLater
        No worker comes in time.
    """
    try:
        client.wait_for_workers(1, timeout=settings.wait_seconds)
    except TimeoutError as cause:
        raise TryAgainLater(
            f"{place_of(client)}: no worker within {settings.wait_seconds:g} s; start some, or wait longer with "
            "cluster.wait_seconds"
        ) from cause
    refuse_other_software(client)
    keep_placement_loose(client)
    if is_in_this_process(client):
        one_thread_a_call(stack)
    return client


def _is_task() -> bool:
    try:
        get_worker()
    except ValueError:
        return False
    return True
