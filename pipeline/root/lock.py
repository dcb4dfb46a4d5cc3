"""One run at a time under one root.

Covers: a lock that the system frees when its holder dies, for roots on a local or shared file system; waiting for a
root of any kind; and who holds it.
Does not cover: the lease that takes its place in object stores, which have no such locks (lease.py).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from filelock import FileLock, Timeout

from funkflow.pipeline.root.disk_errors import as_disk_errors
from funkflow.pipeline.root.holder import Holder, is_dead, is_of_this_machine, read_holder, said, same, this_process
from funkflow.pipeline.root.lease import Held, is_silent, leased
from funkflow.tasks.errors import FunkflowError, RootIsHeld, SettingsError
from funkflow.tasks.storage import files

_LOCK = ".lock"
_HOLDER = ".holder.json"
"""Beside a local lock, whose own file says nothing; an object store's lease says it itself."""
_MOMENT_SECONDS = 0.5
"""How long a lock is tried for at least: one that looks whether it is free holds it for a moment."""
_LOOK_SECONDS = 2.0


@dataclass(frozen=True)
class Waiting:
    """How long to wait for a root, and who is told for whom; `record` is the waiter's own in the ledger."""

    seconds: float = 0.0
    notify: Callable[[str], None] = lambda _words: None
    record: str = ""


NO_WAITING = Waiting()


@contextmanager
def hold_root(root: str, option: str = "--root", within: str = "", waiting: Waiting = NO_WAITING) -> Iterator[Held]:
    """Hold `root` for this process; yield what raises TryAgainLater if it is not held any more.

    Parameters
    ----------
    option : what names another folder, for the message.
    within : folder under `root` for the lock's file; empty: `root` itself.

    Raises
    ------
    RootIsHeld
        By another run, for longer than was waited.
    TryAgainLater
        The store is out of reach.
    SettingsError
        The folder cannot be made, or the store refuses to be written.
    """
    end = time.monotonic() + waiting.seconds
    told = _TellsOnce(waiting, end)
    if "://" in root:
        with leased(root, within, waiting.record, end, told) as held:
            yield held
        return
    folder = os.path.join(root, within)
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as cause:
        raise SettingsError(f"{root}: cannot be made ({cause.strerror}); set root to another place") from cause
    holder_url = os.path.join(folder, _HOLDER)
    lock = FileLock(os.path.join(folder, _LOCK))
    while True:
        left = end - time.monotonic()
        try:
            lock.acquire(timeout=max(_MOMENT_SECONDS, min(left, _LOOK_SECONDS)), poll_interval=0.05)
            break
        except Timeout as cause:
            holder = read_holder(holder_url)
            if time.monotonic() >= end:
                who = f" ({said(holder)})" if holder else ""
                raise RootIsHeld(
                    f"{root}: another run{who} is at work in this folder; wait for it to end, or use another {option}"
                ) from cause
            told(holder)
    try:
        before = read_holder(holder_url)
        with as_disk_errors(root):
            files.write_json(holder_url, this_process(waiting.record))
        yield Held(lambda: None, before)
    finally:
        with suppress(OSError, FunkflowError):
            files.remove_tree(holder_url)
        lock.release()


def holder_of(root: str) -> Holder:
    """Return who holds a root, or died holding it; nothing if nobody does."""
    return read_holder(files.join(root, _LOCK if "://" in root else _HOLDER))


def is_gone(root: str, holder: Holder) -> bool:
    """Say whether a holder, as just read, is known to be dead: its process is gone, or its lock free."""
    if is_of_this_machine(holder):
        return is_dead(holder)
    if "://" in root:
        return is_silent(holder)
    lock = FileLock(os.path.join(root, _LOCK))
    try:
        with lock.acquire(timeout=0):
            return same(holder_of(root), holder)
    except (Timeout, OSError):
        return False


class _TellsOnce:
    """Says for whom a root is waited for, anew only when that is another."""

    def __init__(self, waiting: Waiting, end: float) -> None:
        self._waiting, self._end = waiting, end
        self._told: str | None = None

    def __call__(self, holder: Holder) -> None:
        who = said(holder) or "another run"
        if who != self._told:
            self._told = who
            left = max(0.0, self._end - time.monotonic())
            self._waiting.notify(f"this root is held by {who}; waiting for it to end, {left:,.0f} s at most")
