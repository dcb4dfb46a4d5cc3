"""Objects that are put, replaced and removed on a condition, so that of two writers at the same moment one succeeds.

Covers: stores that compare and write in one step (S3, by If-None-Match and If-Match), and what is done in others.
Does not cover: what is decided by it (pipeline/root/lease.py).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import fsspec

from funkflow.tasks.storage import files
from funkflow.tasks.storage.filesystems import filesystem, make_parent, named_errors, protocols, reaching

_REFUSED = {"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey", "FileExistsError", "409", "412"}
"""What a store says where another write came first."""


def put_new(url: str, data: bytes) -> bool:
    """Put an object where there is none; return whether there was none."""
    system, path = filesystem(url)
    make_parent(system, path)
    return _was_done(url, lambda: system.pipe_file(path, data, mode="create"))


def version_of(url: str) -> str:
    """Return what tells the object from all that were or will be at its place.

    Empty if there is none, or the store takes no conditions. It has to be asked for before the object is read: what is
    read is then of this version, or of one that `replace` will refuse.
    """
    system, path = filesystem(url)
    if _takes_conditions(system):
        with suppress(FileNotFoundError), reaching(url):
            return str(system.info(path).get("ETag", ""))
    return ""


def replace(url: str, data: bytes, version: str) -> bool:
    """Put an object in the place of that version alone; return whether it was still there.

    Where the store takes no conditions, another writer may come in between and be replaced, too.
    """
    system, path = filesystem(url)
    if not version:
        if not _takes_conditions(system):
            files.remove_tree(url)
        return put_new(url, data)
    return _was_done(url, lambda: system.pipe_file(path, data, IfMatch=version), lambda: files.write_bytes(url, data))


def remove(url: str, version: str) -> None:
    """Remove that version of an object, and leave another; any version where the store takes no conditions."""
    system, path = filesystem(url)
    if not version:
        files.remove_tree(url)
        return
    bucket, key, _ = system.split_path(path)
    request = {"Bucket": bucket, "Key": key, "IfMatch": version}
    _was_done(url, lambda: system.call_s3("delete_object", **request), lambda: files.remove_tree(url))


def _takes_conditions(system: fsspec.AbstractFileSystem) -> bool:
    """Say whether a store's library passes conditions on."""
    return "s3" in protocols(system)


def _was_done(url: str, request: Callable[[], object], instead: Callable[[], object] | None = None) -> bool:
    """Return whether the condition of a request held; do something `instead` if the store takes no such request."""
    try:
        with reaching(url):
            request()
    except Exception as error:
        names = named_errors(error)
        if instead and "NotImplemented" in names:
            instead()
        elif _REFUSED.isdisjoint(names) or "NoSuchBucket" in names:
            raise
        else:
            return False
    return True
