"""The workers that take part: they run the same software and can read the files of the driver.

Covers: both checks before work starts, and for workers that join during a run; memory and threads of workers that
somebody else started.
Does not cover: opening the cluster (open.py), or the tasks of a worker (pipeline/training/placed_grid.py).
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from distributed import Client, Worker

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.cluster.software import software_faults
from funkflow.pipeline.planning.budget import USABLE_PART, Allowance
from funkflow.pipeline.progress.events import Listener, Noticed
from funkflow.tasks.errors import FunkflowError, SettingsError, TryAgainLater
from funkflow.tasks.kernels.cache import why_uncached
from funkflow.tasks.kernels.score import cpu_target
from funkflow.tasks.storage import files

_PROBE = ".funkflow-probe"
_WAIT_SECONDS = 60
_BELOW_PAUSE = 0.05
"""Part of its limit that a worker keeps free below the point at which Dask pauses it."""


def refuse_blind_workers(client: Client, root: str) -> None:
    """Have every worker read a file that this process writes under `root`.

    Raises
    ------
    SettingsError
        A worker cannot read it: names its address and machine.
    """
    for fault in reading_faults(client, root).values():
        raise SettingsError(fault)


def reading_faults(client: Client, root: str, workers: list[str] | None = None) -> dict[str, str]:
    """Return by address why workers cannot read a file under `root`, for those that cannot.

    A worker that is lost during the question is not among them.
    """
    with _probe(root) as (url, checksum):
        answers = client.run(_read_probe, url, checksum, workers=workers, on_error="return")
    faults = {}
    for address, answer in sorted(answers.items()):
        if isinstance(answer, OSError):  # an error of the connection: the worker catches those of reading
            continue
        host, reason = ("unknown", str(answer)) if isinstance(answer, BaseException) else answer
        if reason:
            faults[address] = (
                f"worker {address} on host {host} cannot read {root}, to which this process just wrote ({reason}); "
                "use a folder or URL that all machines share under the same name"
            )
    return faults


def warn_of_uncached_kernels(client: Client, notify: Listener) -> None:
    """Warn once of workers that cannot cache compiled kernels."""
    reasons = {address: why for address, why in client.run(why_uncached, on_error="ignore").items() if why}
    if reasons:
        address, why = min(reasons.items())
        where = f"worker {address}" if len(reasons) == 1 else f"worker {address} and {len(reasons) - 1} more"
        warning = f"{where}: compiled kernels are not kept, so each process compiles them again: {why}"
        notify(Noticed(f"{warning}; set NUMBA_CACHE_DIR to a folder that only this user can write to", warning=True))


def foreign_allowance(client: Client, root: str) -> Allowance | None:
    """Return memory and threads of workers that somebody else started; None if none has a limit of memory.

    All workers get equal work, so the least memory and the most threads count. If Dask pauses a worker at some part of
    its limit, it must stay below that part.
    """
    workers = client.scheduler_info(n_workers=-1)["workers"]
    paused_at = client.run(_paused_at, on_error="ignore")
    usable = {
        address: min(USABLE_PART, paused_at.get(address, 1.0) - _BELOW_PAUSE)
        for address, worker in workers.items()
        if worker["memory_limit"]
    }
    if not usable:
        return None
    least = min(usable, key=lambda address: usable[address] * workers[address]["memory_limit"])
    threads = max(worker["nthreads"] for worker in workers.values())
    memory = workers[least]["memory_limit"] * len(workers)
    return Allowance(len(workers), threads, memory, root, foreign=True, usable_part=usable[least])


def _paused_at(dask_worker: Worker) -> float:
    """Return the part of its limit at which Dask pauses a worker; 1 if never."""
    return float(dask_worker.memory_manager.memory_pause_fraction or 1)


def fit_workers(context: Context, known: Sequence[str] = ()) -> list[str]:
    """Return the addresses of the workers to use: remaining ones of `known` in their order, then new ones.

    Leave out new workers that do not fit, with a warning. Wait for a worker if there is none, as one may be restarting.

    Raises
    ------
    TryAgainLater
        There is no worker.
    """
    client = context.client
    present = _wait_for_worker(client)
    kept = [address for address in known if address in present]
    joined = sorted(set(present) - set(known))
    if not joined:
        return kept
    faults = _worker_faults(client, context.store.root, kept, joined)
    for fault in faults.values():
        context.notify(Noticed(f"left out: {fault}", warning=True))
    fit = [*kept, *(address for address in joined if address not in faults)]
    if not fit:
        raise TryAgainLater(next(iter(faults.values())))
    return fit


def _wait_for_worker(client: Client) -> list[str]:
    """Return the running workers, at least one; a worker that joined may be gone again at the next look."""
    end = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            client.wait_for_workers(1, timeout=max(1.0, end - time.monotonic()))
        except TimeoutError as cause:
            raise TryAgainLater(f"the cluster had no worker for {_WAIT_SECONDS} s; start some and run again") from cause
        if present := running_workers(client):
            return present


def running_workers(client: Client) -> list[str]:
    """Return the addresses of the workers that take tasks, without those about to leave."""
    workers = client.scheduler_info(n_workers=-1)["workers"]
    return sorted(address for address, worker in workers.items() if worker.get("status", "running") == "running")


def _worker_faults(client: Client, root: str, kept: list[str], joined: list[str]) -> dict[str, str]:
    software = software_faults(client, joined)
    faults = {where.removeprefix("worker "): f"{where}: {what}" for where, what in software.items()}
    still = [address for address in joined if address not in faults]
    if still:
        faults |= reading_faults(client, root, still)
    if kept and still:
        targets = client.run(cpu_target, workers=[kept[0], *still], on_error="return")
        ours = targets[kept[0]]
        faults |= {
            address: f"worker {address} compiles for {targets.get(address)}, the others for {ours}: results may differ"
            for address in still
            if targets.get(address) != ours
        }
    return faults


@contextmanager
def _probe(root: str) -> Iterator[tuple[str, str]]:
    """Yield the URL of a new file under `root` and its checksum; remove the file and a new folder at the end."""
    is_new = "://" not in root and not os.path.exists(root)
    content = secrets.token_bytes(16)
    url = files.join(root, f"{_PROBE}-{content.hex()}")
    files.write_bytes(url, content)
    try:
        yield url, files.checksum(content)
    finally:
        files.remove_tree(url)
        if is_new:
            with suppress(OSError):
                os.rmdir(root)


def _read_probe(url: str, checksum: str) -> tuple[str, str]:
    """Return this machine's name, and the reason why the file is unreadable; empty if it is readable."""
    try:
        files.read_bytes(url, checksum)
    except FunkflowError as error:
        return socket.gethostname(), error.message.split("; ")[0]
    except Exception as error:  # the user wants to know any reason
        return socket.gethostname(), f"{type(error).__name__}: {error}".split("\n")[0]
    return socket.gethostname(), ""
