"""One run at a time under one root.

Covers: a lock that the system frees when its holder dies, for roots on a local or shared file system.
Does not cover: the lease that takes its place in object stores, which have no such locks (lease.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from pipeline.runtime.lease import leased
from tasks.errors import SettingsError, TryAgainLater


@contextmanager
def hold_root(root: str, option: str = "--root", within: str = "") -> Iterator[Callable[[], None]]:
    """Hold `root` for this process; yield what raises TryAgainLater if it is not held any more.

    Parameters
    ----------
    option : what names another folder, for the message.
    within : folder under `root` for the lock's file; empty: `root` itself.

    Raises
    ------
    TryAgainLater
        Another run holds it, or the store is out of reach.
    SettingsError
        The folder cannot be made, or the store refuses to be written.
    """
    if "://" in root:
        with leased(root) as still_held:
            yield still_held
        return
    try:
        os.makedirs(os.path.join(root, within), exist_ok=True)
    except OSError as cause:
        raise SettingsError(f"{root}: cannot be made ({cause.strerror}); set root to another place") from cause
    path = os.path.join(root, within, ".lock")
    try:
        with FileLock(path, timeout=0):
            yield lambda: None
    except Timeout as cause:
        raise TryAgainLater(
            f"{root}: another run is at work in this folder; wait for it to end, or use another {option}"
        ) from cause
