"""What each fault does, from within the scheduler's process, at the very moment it is called.

Covers: killing, freezing and restarting processes, filling the disk, starting a second run, eating memory.
Does not cover: when (striker.py), what is done between attempts: damage to files, healing (room.py).
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import re
import signal
import subprocess
import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
from distributed import Scheduler
from distributed.comm.addressing import get_address_host

from chaos import journal
from chaos.forked import run
from chaos.kinds import STORE_FAILS
from chaos.strikes import Plan, Strike

BALLAST = "chaos-ballast"
"""The file that fills the disk, in the root; room.py removes it."""
BLIP_SECONDS = 8
COMPILE_SECONDS = 30


def process_of(plan: Plan, address: str) -> int:
    """Return the process id that the worker at `address` told."""
    return next(
        int(each["process"])
        for each in reversed(journal.read(plan.journal))
        if each["event"] == "worker" and each["address"] == address
    )


def eat_memory(limit: int) -> None:
    """Take more memory than a worker may have, and hold it until the nanny ends this process."""
    held = np.ones(limit, np.int8)  # not zeros, which the system gives no memory for before they are written
    while held.any():
        signal.pause()


def _signal_worker(plan: Plan, strike: Strike, key: str, address: str, number: signal.Signals) -> None:
    process = process_of(plan, address)
    os.kill(process, number)
    _struck(plan, strike, key, address=address, process=process)


def _kill_worker(plan: Plan, scheduler: Scheduler, strike: Strike, key: str, address: str) -> None:
    _signal_worker(plan, strike, key, address, signal.SIGKILL)


def _kill_all_but_one(plan: Plan, scheduler: Scheduler, strike: Strike, key: str, address: str) -> None:
    """Leave the one that comes first by address, or the second where the first has the task."""
    others = sorted(set(scheduler.workers) - {address})
    for each in [address, *others[1:]]:
        _signal_worker(plan, strike, key, each, signal.SIGKILL)


def _freeze(plan: Plan, scheduler: Scheduler, strike: Strike, key: str, address: str) -> None:
    _signal_worker(plan, strike, key, address, signal.SIGSTOP)


def _restart(plan: Plan, scheduler: Scheduler, strike: Strike, key: str, address: str) -> None:
    process = process_of(plan, address)
    restart = scheduler.restart_workers([address], wait_for_workers=False, stimulus_id=f"chaos-{uuid.uuid4().hex}")
    _UNDER_WAY.add(asyncio.ensure_future(restart))
    _struck(plan, strike, key, address=address, process=process)


def _kill_here(plan: Plan, scheduler: Scheduler, strike: Strike, key: str, address: str) -> None:
    """Kill this process: of a local cluster it is the client's, else the scheduler's own."""
    _struck(plan, strike, key, process=os.getpid())
    os.kill(os.getpid(), signal.SIGKILL)


def _fill_disk(plan: Plan, scheduler: Scheduler, strike: Strike, key: str, address: str) -> None:
    """Leave no byte free under the root."""
    with open(os.path.join(plan.root, BALLAST), "ab") as file:
        block = 2**20
        while block:
            try:
                os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, block)
            except OSError:
                block //= 2
        size = os.fstat(file.fileno()).st_size
    _struck(plan, strike, key, ballast=size)


def _cut(plan: Plan, scheduler: Scheduler, strike: Strike, key: str, address: str) -> None:
    """Cut the link of the host that has the task."""
    host = get_address_host(address)
    subprocess.run(plan.cut[host], check=True)
    _struck(plan, strike, key, address=address, host=host)


def _cut_all(plan: Plan, scheduler: Scheduler, strike: Strike, key: str, address: str) -> None:
    """Cut the link of every host that has a worker."""
    for each in sorted(scheduler.workers):
        _cut(plan, scheduler, strike, key, each)


def _cut_for_a_while(plan: Plan, scheduler: Scheduler, strike: Strike, key: str, address: str) -> None:
    """Cut the link, and have this very loop heal it later."""
    _cut(plan, scheduler, strike, key, address)

    def heal() -> None:
        subprocess.run(plan.heal[get_address_host(address)], check=True)
        journal.note(plan.journal, "healed", address=address)

    asyncio.get_running_loop().call_later(BLIP_SECONDS, heal)


def hold_interpreter() -> None:
    """Keep all other threads of this process from running, as a compiler does."""
    ctypes.PyDLL(None).sleep(COMPILE_SECONDS)


def _second_run(plan: Plan, scheduler: Scheduler, strike: Strike, key: str, address: str) -> None:
    """Run the same command beside this run, which stands still meanwhile."""
    environment = {name: value for name, value in os.environ.items() if not re.match("DASK_|FUNKFLOW_CHAOS", name)}
    done = run(plan.second_run, environment, 120, anew=plan.anew)
    _struck(plan, strike, key, exit_code=done.returncode, said=done.stderr)


def _by_worker(plan: Plan, scheduler: Scheduler, strike: Strike, key: str, address: str) -> None:
    """The worker does it itself as it begins this task, and with each such task after it (striker.py: Witness)."""
    _struck(plan, strike, key, address=address, process=process_of(plan, address))


def _begins(plan: Plan, scheduler: Scheduler, strike: Strike, key: str, address: str) -> None:
    """The store fails all along (failing_store.py): what it fails from now on is asked for by this stage."""
    _struck(plan, strike, key)


def _struck(plan: Plan, strike: Strike, key: str, **facts: Any) -> None:
    journal.note(plan.journal, "struck", kind=strike.kind, stage=strike.stage, key=key, **facts)


_UNDER_WAY: set[asyncio.Future[Any]] = set()
"""Restarts that were begun: the loop itself holds no strong reference to what it runs."""

BY_WORKER = ("out of memory", "long compile")
"""What the worker does to itself, once the scheduler has noted it."""
DEEDS: dict[str, Callable[[Plan, Scheduler, Strike, str, str], None]] = {
    "worker killed": _kill_worker,
    "only worker killed": _kill_worker,
    "all workers but one killed": _kill_all_but_one,
    "nanny restarts a worker": _restart,
    "worker frozen": _freeze,
    "worker frozen, settings as shipped": _freeze,
    "client killed": _kill_here,
    "checkpoint damaged": _kill_here,
    "finished shard damaged": _kill_here,
    "scheduler killed": _kill_here,
    "disk full": _fill_disk,
    "second run on one root": _second_run,
    STORE_FAILS: _begins,
    **dict.fromkeys(BY_WORKER, _by_worker),
    "host vanishes": _cut,
    "all hosts vanish": _cut_all,
    "network away for 8 s": _cut_for_a_while,
}
