"""Versions show, without reading a file, that it has not changed: its times on a disk, its tag in an object store.

Covers: the version of a stored file, and whether that version is reliable yet.
Does not cover: listing files (tasks/parsing/sources/sources.py), or storing their hashes
(pipeline/datasets/input_hashes.py).

Two writes within one tick of the store's clock give a file the same time. So a time identifies a content only if it is
older than the read by more than the coarsest tick; git calls younger times "racily clean".
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import fsspec

from funkflow.tasks.storage.filesystems import is_local, is_object_store

SETTLED_SECONDS = 2.0
"""The coarsest tick in use (FAT); the clocks of client and store may differ by less than this."""
FileInfo = Mapping[str, Any]
"""fsspec's description of one file; its keys differ between stores."""
_TAGS = ("ETag", "etag", "md5Hash", "Content-MD5")
_TIMES = ("LastModified", "last_modified", "Last-Modified", "mtime", "updated", "modified", "created")


def file_version(system: fsspec.AbstractFileSystem, info: FileInfo) -> tuple[str, int | None]:
    """Return a file's version, "" if the store gives none, and its last change in ns since 1970.

    The time is None if the version follows from the content, or if the store gives no time.
    """
    if is_local(system):
        try:
            status = os.stat(info["name"])
        except FileNotFoundError:  # gone since the listing: the reader reports it
            return "", None
        # Include the time of the inode: copying tools restore the time of the content.
        return f"{status.st_mtime_ns} {status.st_ctime_ns}", max(status.st_mtime_ns, status.st_ctime_ns)
    tag = next((str(info[name]).strip('"') for name in _TAGS if info.get(name)), "")
    changed = next((when for name in _TIMES if (when := _to_nanoseconds(info.get(name))) is not None), None)
    if tag and (is_object_store(system) or changed is None):
        return tag, None
    return (f"{tag} {changed}", changed) if changed is not None else ("", None)


def is_settled(version: str, changed_ns: int | None, read_ns: int) -> bool:
    """Return whether a read that began at `read_ns` saw the content of the version that was taken before it."""
    return bool(version) and (changed_ns is None or changed_ns + SETTLED_SECONDS * 1e9 < read_ns)


def _to_nanoseconds(when: Any) -> int | None:
    if isinstance(when, str):
        try:
            when = parsedate_to_datetime(when)
        except ValueError:
            return None
    if isinstance(when, datetime):
        when = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    return int(when * 1e9) if isinstance(when, int | float) else None
