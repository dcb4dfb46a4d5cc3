"""Which workers may take part: those that run the same software and read what the driver wrote.

Covers: showing both before work starts, and for workers that join during a run; what those of a cluster that is not
ours may use.
Does not cover: opening the cluster (open.py), or what a worker is given to do (pipeline/training/placed_grid.py).
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
"""Of its limit: so far below where it is paused a worker should stay."""


def refuse_blind_workers(client: Client, root: str) -> None:
    """Have every worker read a file that this process writes under `root`.

    Raises
    ------
    SettingsError
        A worker cannot read it, by its address and machine.
    """
    for fault in reading_faults(client, root).values():
        raise SettingsError(fault)


def reading_faults(client: Client, root: str, workers: list[str] | None = None) -> dict[str, str]:
    """Return for each worker's address why it cannot read what is written under `root`, of those that cannot.

    One that is lost while it is asked is none of them.
    """
    with _probe(root) as (url, checksum):
        answers = client.run(_read, url, checksum, workers=workers, on_error="return")
    faults = {}
    for address, answer in sorted(answers.items()):
        if isinstance(answer, OSError):  # of the connection: what reading raises is caught on the worker
            continue
        host, reason = ("unknown", str(answer)) if isinstance(answer, BaseException) else answer
        if reason:
            faults[address] = (
                f"worker {address} on host {host} cannot read {root}, where this process has just written ({reason}); "
                "use a folder or URL that all machines share, by the same name"
            )
    return faults


def warn_of_uncached_kernels(client: Client, tell: Listener) -> None:
    """Tell once of the workers that cannot keep what they compile."""
    reasons = {address: why for address, why in client.run(why_uncached, on_error="ignore").items() if why}
    if reasons:
        address, why = min(reasons.items())
        where = f"worker {address}" if len(reasons) == 1 else f"worker {address} and {len(reasons) - 1} more"
        told = f"{where}: compiled kernels are not kept, and each process compiles them anew, as {why}"
        tell(Noticed(f"{told}; set NUMBA_CACHE_DIR to a folder that only this user can write to", warning=True))


def foreign_allowance(client: Client, root: str) -> Allowance | None:
    """Return what workers may use that somebody else started, as they told the scheduler; None if none has a limit.

    A run gives all of them alike to do, so the one with the least memory counts, and the one with most threads. Where
    Dask pauses one whose memory fills to some part, it must stay below that.
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
    """Return which part of its limit a worker may fill before Dask pauses it; all if it never does."""
    return float(dask_worker.memory_manager.memory_pause_fraction or 1)


def fit_workers(context: Context, known: Sequence[str] = ()) -> list[str]:
    """Return the addresses of the workers to use: of `known` those still there, in their order, then those that joined.

    A worker that joined and does not fit is said and left out. Waits for a worker if there is none: one that died may
    just be starting again.

    Raises
    ------
    TryAgainLater
        There is no worker.
    """
    client = context.client
    present = _awaited(client)
    kept = [address for address in known if address in present]
    joined = sorted(set(present) - set(known))
    if not joined:
        return kept
    faults = _faults(client, context.store.root, kept, joined)
    for fault in faults.values():
        context.tell(Noticed(f"left out: {fault}", warning=True))
    fit = [*kept, *(address for address in joined if address not in faults)]
    if not fit:
        raise TryAgainLater(next(iter(faults.values())))
    return fit


def _awaited(client: Client) -> list[str]:
    """Return the workers that are there, at least one: one that came may be gone again by the time it is looked up."""
    end = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            client.wait_for_workers(1, timeout=max(1.0, end - time.monotonic()))
        except TimeoutError as cause:
            raise TryAgainLater(f"the cluster had no worker for {_WAIT_SECONDS} s; start some and run again") from cause
        if present := running(client):
            return present


def running(client: Client) -> list[str]:
    """Return the addresses of the workers that take tasks: not those about to leave."""
    workers = client.scheduler_info(n_workers=-1)["workers"]
    return sorted(address for address, worker in workers.items() if worker.get("status", "running") == "running")


def _faults(client: Client, root: str, kept: list[str], joined: list[str]) -> dict[str, str]:
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
    """Yield the URL of a file under `root` and its checksum; both the file and a folder made for it are removed."""
    made = "://" not in root and not os.path.exists(root)
    content = secrets.token_bytes(16)
    url = files.join(root, f"{_PROBE}-{content.hex()}")
    files.write_bytes(url, content)
    try:
        yield url, files.checksum(content)
    finally:
        files.remove_tree(url)
        if made:
            with suppress(OSError):
                os.rmdir(root)


def _read(url: str, checksum: str) -> tuple[str, str]:
    """Return this machine's name, and why the file cannot be read; nothing if it can."""
    try:
        files.read_bytes(url, checksum)
    except FunkflowError as error:
        return socket.gethostname(), error.message.split("; ")[0]
    except Exception as error:  # whatever hinders it is what the user wants to know
        return socket.gethostname(), f"{type(error).__name__}: {error}".split("\n")[0]
    return socket.gethostname(), ""
