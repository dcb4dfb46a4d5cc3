"""The lock of a root: one run at a time.

Covers: a lock that the system frees when its holder dies, for roots on a local or shared file system; waiting for a
root of any kind; its holder.
Does not cover: the lease of roots in object stores, which have no such locks (lease.py).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from filelock import FileLock, Timeout

from funkflow.pipeline.root.disk_errors import as_disk_errors, unusable
from funkflow.pipeline.root.holder import (
    RootHolder,
    describe_holder,
    is_dead,
    is_of_this_machine,
    is_same_holder,
    read_holder,
    this_process,
)
from funkflow.pipeline.root.lease import Held, is_silent, leased
from funkflow.tasks.errors import FunkflowError, RootIsHeld
from funkflow.tasks.storage import files

_LOCK = ".lock"
_HOLDER = ".holder.json"
"""The holder of a local lock, beside the empty file of the lock; a lease contains its holder."""
_MOMENT_SECONDS = 0.5
"""The shortest wait for a lock: a process that checks whether it is free holds it for a moment."""
_LOOK_SECONDS = 2.0


@dataclass(frozen=True)
class Waiting:
    """The longest wait for a root. `notify` : gets a line about its holder; `record` : id of the waiting execution."""

    seconds: float = 0.0
    notify: Callable[[str], None] = lambda _words: None
    record: str = ""


NO_WAITING = Waiting()


@contextmanager
def hold_root(root: str, option: str = "--root", within: str = "", waiting: Waiting = NO_WAITING) -> Iterator[Held]:
    """Hold `root` for this process; yield a function that raises TryAgainLater once another process holds it.

    Parameters
    ----------
    option : the option that names another folder, for the message.
    within : the folder of the lock under `root`; empty: `root` itself.

    Raises
    ------
    RootIsHeld
        Another run holds it for longer than `waiting` allows.
    TryAgainLater
        The store cannot be reached.
    SettingsError
        The folder cannot be made, or the store does not allow writing.
    """
    end = time.monotonic() + waiting.seconds
    notify = _WaitingNotice(waiting, end)
    if "://" in root:
        with leased(root, within, waiting.record, end, notify) as held:
            yield held
        return
    folder = os.path.join(root, within)
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as cause:
        raise unusable(root, cause) from cause
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
                who = f" ({describe_holder(holder)})" if holder else ""
                raise RootIsHeld(
                    f"{root}: another run{who} is at work in this folder; wait for it to end, or use another {option}"
                ) from cause
            notify(holder)
    try:
        before = read_holder(holder_url)
        with as_disk_errors(root):
            files.write_json(holder_url, this_process(waiting.record))
        yield Held(lambda: None, before)
    finally:
        with suppress(OSError, FunkflowError):
            files.remove_tree(holder_url)
        lock.release()


def holder_of(root: str) -> RootHolder:
    """Return the holder of a root, even a dead one; {} if there is none."""
    return read_holder(files.join(root, _LOCK if "://" in root else _HOLDER))


def is_gone(root: str, holder: RootHolder) -> bool:
    """Return whether a holder, just read, is certainly dead: its process has ended, or its lock is free."""
    if is_of_this_machine(holder):
        return is_dead(holder)
    if "://" in root:
        return is_silent(holder)
    lock = FileLock(os.path.join(root, _LOCK))
    try:
        with lock.acquire(timeout=0):
            return is_same_holder(holder_of(root), holder)
    except (Timeout, OSError):
        return False


class _WaitingNotice:
    """Notifies once of each holder that the root is waited for."""

    def __init__(self, waiting: Waiting, end: float) -> None:
        self._waiting, self._end = waiting, end
        self._last: str | None = None

    def __call__(self, holder: RootHolder) -> None:
        who = describe_holder(holder) or "another run"
        if who != self._last:
            self._last = who
            left = max(0.0, self._end - time.monotonic())
            self._waiting.notify(f"this root is held by {who}; waiting for it to end, {left:,.0f} s at most")
