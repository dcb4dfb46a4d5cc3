"""File systems behind URLs: open, stream and copy files, and explain a store's errors.

Covers: local disks, object stores such as s3://, and all else that fsspec knows. The environment has the credentials.
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
from funkflow.tasks.storage.paths import expand_home

_OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "oci"}
"""Protocols of stores without folders; an object appears whole at the end of its upload."""

_LIBRARIES = ("botocore", "aiobotocore", "aiohttp", "s3fs", "gcsfs", "adlfs", "azure", "google", "requests", "urllib3")
_NO_CREDENTIALS = ("Credential", "Profile", "Token")
_TEMPORARY = {errno.EBUSY, errno.ETIMEDOUT, errno.ECONNREFUSED, errno.ECONNRESET, getattr(errno, "EREMOTEIO", 121)}
"""Error numbers that s3fs gives for 500, 503 and SlowDown, and network errors; s3fs has retried before."""


def filesystem(url: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """Return the fsspec file system behind `url` and the path inside it.

    Listings are not cached, because other processes write to the same store.
    """
    url = expand_home(url)
    # Without this, s3fs asks for a file's size first, to read long files in parallel pieces. Our tasks already run in
    # parallel, so each read is one request.
    options = {"max_concurrency": 1} if url.startswith(("s3://", "s3a://")) else {}
    try:
        system, path = fsspec.core.url_to_fs(url, use_listings_cache=False, **options)
    except (ImportError, ValueError) as cause:
        extras = "pip install 'funkflow[s3]' reads s3://, 'funkflow[http]' reads http://"
        raise SettingsError(f"{masked(url)}: this kind of URL cannot be opened ({cause}); {extras}") from cause
    return system, path


def is_local(system: fsspec.AbstractFileSystem) -> bool:
    """Return whether paths of a file system open as local files."""
    return "file" in protocols(system)


def is_object_store(system: fsspec.AbstractFileSystem) -> bool:
    """Return whether a file system is an object store: no folders, and objects appear whole."""
    return not _OBJECT_STORES.isdisjoint(protocols(system))


def url_of(system: fsspec.AbstractFileSystem, path: str) -> str:
    """Return the URL of a path in a file system; a local path stays as it is."""
    return path if is_local(system) else str(system.unstrip_protocol(path))


def make_parent(system: fsspec.AbstractFileSystem, path: str) -> None:
    """Create the parent folder of a file; skip object stores, where this would check the bucket each time."""
    if not is_object_store(system):
        system.makedirs(posixpath.dirname(path), exist_ok=True)


@contextmanager
def opened(url: str) -> Iterator[IO[bytes]]:
    """Yield a file for random reads; a remote store sends only the ranges that are read."""
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
    """Yield a file to write piece by piece; it appears under its name once complete, never if the body fails."""
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
    """Put an immutable file at a second path: a hard link if possible, else a copy.

    Removing one of the two leaves the other whole. An object store copies on the server.
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
    except OSError:  # another file system, no hard links, or a repeated task
        with opened(source) as file, streamed(target) as copy:
            shutil.copyfileobj(file, copy)


@contextmanager
def reaching(url: str) -> Iterator[None]:
    """Translate errors of a remote store, or of its library, into errors with a remedy.

    FileNotFoundError and the errors of local disks pass unchanged.

    Raises
    ------
    SettingsError
        The credentials are missing or insufficient, or the bucket does not exist.
    TryAgainLater
        The store is out of reach or overloaded.
    """
    try:
        yield
    except FunkflowError:
        raise
    except Exception as error:
        explained = _store_error(url, error) if "://" in url else None
        if explained is None:
            raise
        raise explained from error


def _store_error(url: str, error: Exception) -> FunkflowError | None:
    kinds = error_names(error)
    message, where = masked(str(error).split("\n")[0]), masked(url)
    if "NoSuchBucket" in kinds or (isinstance(error, FileNotFoundError) and "bucket does not exist" in message):
        return SettingsError(f"{where}: there is no such bucket; make it, or check the URL")
    if isinstance(error, FileNotFoundError | FileExistsError):
        return None
    if isinstance(error, PermissionError):
        return SettingsError(f"{where}: the store refuses access ({message}); check credentials and their rights")
    from_library = any(type(each).__module__.split(".")[0] in _LIBRARIES for each in _chain(error))
    if from_library and any(word in kind for kind in kinds for word in _NO_CREDENTIALS):
        return SettingsError(
            f"{where}: {message}; put credentials into the environment of client and workers "
            "(for s3://: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE)"
        )
    out_of_reach = isinstance(error, TimeoutError | ConnectionError) or getattr(error, "errno", None) in _TEMPORARY
    if out_of_reach or (from_library and not isinstance(error, OSError)):
        return TryAgainLater(
            f"{where}: the store cannot be reached or is overloaded ({message}); "
            "see that it is up and the endpoint is right, and run the same command again"
        )
    return None


def error_names(error: Exception) -> set[str]:
    """Return the class names of an error and its causes, and the store's error codes."""
    return {name for each in _chain(error) for name in _names_of_one(each)}


def protocols(system: fsspec.AbstractFileSystem) -> tuple[str, ...]:
    """Return the URL protocols of a file system."""
    protocol = system.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _names_of_one(error: BaseException) -> Iterator[str]:
    yield from (kind.__name__ for kind in type(error).__mro__)
    response: Any = getattr(error, "response", None)
    if isinstance(response, dict):
        yield str(response.get("Error", {}).get("Code", ""))
