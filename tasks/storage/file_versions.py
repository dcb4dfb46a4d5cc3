"""What tells, without reading it, that a file is still the one it was: its time on a disk, its tag in an object store.

Covers: the version of a stored file as its store knows it, and whether that version can be trusted yet.
Does not cover: listing files (tasks/parsing/sources/sources.py), or what is remembered of them
(pipeline/datasets/input_hashes.py).

A file that is written twice within one tick of the store's clock has the same time both times. So a time speaks for a
content only once it is older than the reading by more than the coarsest tick: git calls the others "racily clean".
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import fsspec

from funkflow.tasks.storage.filesystems import is_local, is_object_store

SETTLED_SECONDS = 2.0
"""The coarsest tick in use, that of FAT; clocks of client and store may differ by less than that and their tick."""
_TAGS = ("ETag", "etag", "md5Hash", "Content-MD5")
_TIMES = ("LastModified", "last_modified", "Last-Modified", "mtime", "updated", "modified", "created")


def version_of(system: fsspec.AbstractFileSystem, info: dict[str, Any]) -> tuple[str, int | None]:
    """Return a file's version, empty where nothing tells a change, and when it changed last, in ns since the epoch.

    None in the place of the time: the version follows from the content, or nothing tells.
    """
    if is_local(system):
        try:
            status = os.stat(info["name"])
        except FileNotFoundError:  # gone since it was listed: who reads it says so
            return "", None
        # The time of the inode, too: tools that copy put the time of the content back.
        return f"{status.st_mtime_ns} {status.st_ctime_ns}", max(status.st_mtime_ns, status.st_ctime_ns)
    tag = next((str(info[name]).strip('"') for name in _TAGS if info.get(name)), "")
    changed = next((when for name in _TIMES if (when := _nanoseconds(info.get(name))) is not None), None)
    if tag and (is_object_store(system) or changed is None):
        return tag, None
    return (f"{tag} {changed}", changed) if changed is not None else ("", None)


def is_settled(version: str, changed_ns: int | None, read_ns: int) -> bool:
    """Say whether what was read of a file from `read_ns` on is what its version, taken before, stands for."""
    return bool(version) and (changed_ns is None or changed_ns + SETTLED_SECONDS * 1e9 < read_ns)


def _nanoseconds(when: Any) -> int | None:
    if isinstance(when, str):
        try:
            when = parsedate_to_datetime(when)
        except ValueError:
            return None
    if isinstance(when, datetime):
        when = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    return int(when * 1e9) if isinstance(when, int | float) else None
