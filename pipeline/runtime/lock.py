"""One run at a time under one root.

Covers: a lock that the system frees when its holder dies, for roots on a local or shared file system.
Does not cover: object stores, which have no such locks.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from tasks.errors import SettingsError, TryAgainLater


@contextmanager
def hold_root(root: str) -> Iterator[None]:
    """Hold `root` for this process.

    Raises
    ------
    TryAgainLater
        Another run holds it.
    SettingsError
        The folder cannot be made.
    """
    if "://" in root:
        yield
        return
    try:
        os.makedirs(root, exist_ok=True)
    except OSError as cause:
        raise SettingsError(f"{root}: cannot be made ({cause.strerror}); set root to another place") from cause
    path = os.path.join(root, ".lock")
    try:
        with FileLock(path, timeout=0):
            yield
    except Timeout as cause:
        raise TryAgainLater(
            f"{root}: another run is at work under this root; wait for it to end, or use another --root"
        ) from cause
