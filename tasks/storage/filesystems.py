"""Any store that fsspec reaches: the file system behind a URL, how it is read and written, and its failures in words.

Covers: local disks, object stores such as s3://, and whatever else fsspec knows; credentials come from the environment.
Does not cover: whole files and their checksums (files.py), or the folders under a root (pipeline/root/store.py).
"""

from __future__ import annotations

import errno
import os
import posixpath
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import fsspec
import fsspec.core

from funkflow.tasks.errors import FunkflowError, SettingsError, TryAgainLater
from funkflow.tasks.redact import masked
from funkflow.tasks.storage.paths import expanded

_OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "oci"}
"""Protocols of stores without folders, where an object appears whole when its upload ends."""

_LIBRARIES = ("botocore", "aiobotocore", "aiohttp", "s3fs", "gcsfs", "adlfs", "azure", "google", "requests", "urllib3")
_NO_CREDENTIALS = ("Credential", "Profile", "Token")
_AGAIN_LATER = {errno.EBUSY, errno.ETIMEDOUT, errno.ECONNREFUSED, errno.ECONNRESET, getattr(errno, "EREMOTEIO", 121)}
"""What s3fs makes of 500, 503 and SlowDown, and the network's own; they come after its own retries."""


def filesystem(url: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """Return the fsspec file system behind `url` and the path inside it.

    Listings are not kept: other processes write to the same store.
    """
    url = expanded(url)
    # s3fs would ask for a file's size before reading it, so as to read long ones in pieces side by side: here tasks are
    # what runs side by side, and each read is one request.
    options = {"max_concurrency": 1} if url.startswith(("s3://", "s3a://")) else {}
    try:
        system, path = fsspec.core.url_to_fs(url, use_listings_cache=False, **options)
    except (ImportError, ValueError) as cause:
        extras = "pip install 'funkflow[s3]' reads s3://, 'funkflow[http]' reads http://"
        raise SettingsError(f"{masked(url)}: this kind of URL cannot be opened ({cause}); {extras}") from cause
    return system, path


def is_local(system: fsspec.AbstractFileSystem) -> bool:
    """Say whether files of a file system can be opened by their paths."""
    return "file" in protocols(system)


def is_object_store(system: fsspec.AbstractFileSystem) -> bool:
    """Say whether there are no folders to make, and an object is there whole or not at all."""
    return not _OBJECT_STORES.isdisjoint(protocols(system))


def url_of(system: fsspec.AbstractFileSystem, path: str) -> str:
    """Return what opens a path of a file system again: the path itself where it is local."""
    return path if is_local(system) else str(system.unstrip_protocol(path))


def make_parent(system: fsspec.AbstractFileSystem, path: str) -> None:
    """Make the folder that a file is to lie in; where there are no folders that would ask for the bucket each time."""
    if not is_object_store(system):
        system.makedirs(posixpath.dirname(path), exist_ok=True)


@contextmanager
def opened(url: str) -> Iterator[IO[bytes]]:
    """Yield a file for reading here and there: only what is asked for is fetched."""
    system, path = filesystem(url)
    with reaching(url):
        if is_local(system):
            with open(path, "rb") as file:
                yield file
        else:
            with system.open(path, "rb", cache_type="none") as file:
                yield file


@contextmanager
def streamed(url: str) -> Iterator[IO[bytes]]:
    """Yield a file for writing piece by piece; it is there under its name when all is, and never if the body fails."""
    system, path = filesystem(url)
    with reaching(url):
        make_parent(system, path)
        if is_object_store(system):
            file = system.open(path, "wb")
            try:
                yield file
            except BaseException:
                file.discard()
                file.closed = True  # closing would complete the upload
                raise
            file.close()
            return
        beside = f"{path}.{uuid.uuid4().hex}.part"
        try:
            with open(beside, "wb") if is_local(system) else system.open(beside, "wb") as file:
                yield file
            (os.replace if is_local(system) else system.mv)(beside, path)
        except BaseException:
            if system.exists(beside):
                system.rm(beside)
            raise


def share(source: str, target: str) -> None:
    """Let a file that is never changed stand in a second place: a hard link where there are such, else a copy.

    Either of the two may be removed, and the other stays whole. An object store copies on its own side.
    """
    system, path = filesystem(source)
    _, place = filesystem(target)
    if is_object_store(system):
        with reaching(target):
            system.cp_file(path, place)
        return
    make_parent(system, place)
    try:
        os.link(path, place)
    except OSError:  # another file system, one without hard links, or a task that is run again
        with opened(source) as file, streamed(target) as copy:
            shutil.copyfileobj(file, copy)


@contextmanager
def reaching(url: str) -> Iterator[None]:
    """Raise what a remote store, or the library that speaks to it, has to say as an error with a remedy.

    That a file is not there stays a FileNotFoundError, and a local disk's errors stay what they are.

    Raises
    ------
    SettingsError
        No credentials, none that are allowed to do this, or no such bucket.
    TryAgainLater
        The store cannot be reached, or asks for patience.
    """
    try:
        yield
    except FunkflowError:
        raise
    except Exception as error:
        explained = _explained(url, error) if "://" in url else None
        if explained is None:
            raise
        raise explained from error


def _explained(url: str, error: Exception) -> FunkflowError | None:
    kinds = named_errors(error)
    said, where = masked(str(error).split("\n")[0]), masked(url)
    if "NoSuchBucket" in kinds or (isinstance(error, FileNotFoundError) and "bucket does not exist" in said):
        return SettingsError(f"{where}: there is no such bucket; make it, or check the URL")
    if isinstance(error, FileNotFoundError | FileExistsError):
        return None
    if isinstance(error, PermissionError):
        return SettingsError(f"{where}: the store refuses access ({said}); check credentials and their rights")
    theirs = any(type(each).__module__.split(".")[0] in _LIBRARIES for each in _chain(error))
    if theirs and any(word in kind for kind in kinds for word in _NO_CREDENTIALS):
        return SettingsError(
            f"{where}: {said}; put credentials into the environment of client and workers "
            "(for s3://: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE)"
        )
    out_of_reach = isinstance(error, TimeoutError | ConnectionError) or getattr(error, "errno", None) in _AGAIN_LATER
    if out_of_reach or (theirs and not isinstance(error, OSError)):
        return TryAgainLater(
            f"{where}: the store cannot be reached or is overloaded ({said}); "
            "see that it is up and the endpoint is right, and run the same command again"
        )
    return None


def named_errors(error: Exception) -> set[str]:
    """Return what an error and its causes are called: their classes, and the codes that a store gave."""
    return {name for each in _chain(error) for name in _names(each)}


def protocols(system: fsspec.AbstractFileSystem) -> tuple[str, ...]:
    """Return the beginnings of URLs that lead to a file system."""
    protocol = system.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _names(error: BaseException) -> Iterator[str]:
    yield from (kind.__name__ for kind in type(error).__mro__)
    response: Any = getattr(error, "response", None)
    if isinstance(response, dict):
        yield str(response.get("Error", {}).get("Code", ""))
