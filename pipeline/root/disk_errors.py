"""What the operating system raises of disks and folders, as errors that a user can read.

Covers: a full disk, a root that cannot be written.
Does not cover: what Dask raises (pipeline/cluster/errors.py), remote stores (tasks/storage/filesystems.py).
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from funkflow.tasks.errors import CannotFit, SettingsError

_UNUSABLE = (errno.ENOTDIR, errno.EEXIST, errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR)


@contextmanager
def as_disk_errors(root: str) -> Iterator[None]:
    """Raise in place of what has no remedy in it a FunkflowError that has one, with the original as its cause."""
    try:
        yield
    except OSError as cause:
        if cause.errno in (errno.ENOSPC, errno.EDQUOT):
            raise CannotFit(
                f"{cause.filename or root}: no space is left on the disk; free some and run the same command again, "
                "or set root to another place"
            ) from cause
        if cause.errno in _UNUSABLE:
            raise SettingsError(
                f"{cause.filename or root}: cannot be written ({cause.strerror}); set root to another place"
            ) from cause
        raise
