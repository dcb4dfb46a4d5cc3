"""Errors of disks and folders as readable errors.

Covers: a full disk, a root that does not allow writing.
Does not cover: errors of Dask (pipeline/cluster/errors.py), remote stores (tasks/storage/filesystems.py).
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from funkflow.tasks.errors import CannotFit, SettingsError

_IN_THE_WAY = (errno.ENOTDIR, errno.EEXIST)
_UNUSABLE = (*_IN_THE_WAY, errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR)


def unusable(place: str, cause: OSError) -> SettingsError:
    """Return the error of a place that cannot be written to."""
    if cause.errno in _IN_THE_WAY:
        return SettingsError(f"{place}: is a file, or in one; set root, or --out, to a folder")
    return SettingsError(f"{place}: cannot be written ({cause.strerror}); set root, or --out, to another place")


@contextmanager
def as_disk_errors(root: str) -> Iterator[None]:
    """Turn an error without a remedy into a FunkflowError that has one, with the original as its cause."""
    try:
        yield
    except OSError as cause:
        if cause.errno in (errno.ENOSPC, errno.EDQUOT):
            raise CannotFit(
                f"{cause.filename or root}: no space is left on the disk; free some and run the same command again, "
                "or set root to another place"
            ) from cause
        if cause.errno in _UNUSABLE:
            raise unusable(cause.filename or root, cause) from cause
        raise
