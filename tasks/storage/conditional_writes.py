"""Conditional writes: if two writers write an object at the same moment, only one succeeds.

Covers: stores that compare and write in one step (S3: If-None-Match, If-Match), and a fallback for all others.
Does not cover: who may write (pipeline/root/lease.py).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import fsspec

from funkflow.tasks.storage import files
from funkflow.tasks.storage.filesystems import error_names, filesystem, make_parent, protocols, reaching

_CONFLICTS = {"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey", "FileExistsError", "409", "412"}
"""Error names by which a store reports that another write came first."""


def put_new(url: str, data: bytes) -> bool:
    """Create an object; return False if one already exists."""
    system, path = filesystem(url)
    make_parent(system, path)
    return _succeeds(url, lambda: system.pipe_file(path, data, mode="create"))


def object_version(url: str) -> str:
    """Return the ETag of an object; "" if there is none, or the store takes no conditions.

    Get the version before you read the object: then you read this version, or a later one that `replace` refuses.
    """
    system, path = filesystem(url)
    if _takes_conditions(system):
        with suppress(FileNotFoundError), reaching(url):
            return str(system.info(path).get("ETag", ""))
    return ""


def replace(url: str, data: bytes, version: str) -> bool:
    """Replace this version of an object; return False if another writer has changed it.

    In a store without conditions this may also overwrite another writer's object.
    """
    system, path = filesystem(url)
    if not version:
        if not _takes_conditions(system):
            files.remove_tree(url)
        return put_new(url, data)
    return _succeeds(url, lambda: system.pipe_file(path, data, IfMatch=version), lambda: files.write_bytes(url, data))


def remove_version(url: str, version: str) -> None:
    """Remove this version of an object and keep any other; a store without conditions removes any version."""
    system, path = filesystem(url)
    if not version:
        files.remove_tree(url)
        return
    bucket, key, _ = system.split_path(path)
    request = {"Bucket": bucket, "Key": key, "IfMatch": version}
    _succeeds(url, lambda: system.call_s3("delete_object", **request), lambda: files.remove_tree(url))


def _takes_conditions(system: fsspec.AbstractFileSystem) -> bool:
    """Return whether the store's library passes conditions on."""
    return "s3" in protocols(system)


def _succeeds(url: str, request: Callable[[], object], instead: Callable[[], object] | None = None) -> bool:
    """Return whether the condition of a request held; call `instead` if the store rejects such requests."""
    try:
        with reaching(url):
            request()
    except Exception as error:
        names = error_names(error)
        if instead and "NotImplemented" in names:
            instead()
        elif _CONFLICTS.isdisjoint(names) or "NoSuchBucket" in names:
            raise
        else:
            return False
    return True
