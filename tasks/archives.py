"""Archives as if their members lay in a folder: tar read in place, gzip unpacked once.

Covers: .tar by the offsets of its members, .gz and .tar.gz in one streaming pass, archives damaged or cut short.
Does not cover: zip (refused by name), which members hold ratings (sources.py: pick), or what is in them.
"""

from __future__ import annotations

import gzip
import shutil
import tarfile
import zlib
from typing import IO

from tasks.chunks import RawFile
from tasks.errors import BadInput
from tasks.filesystems import filesystem, opened, reaching, streamed
from tasks.sources import StoredFile, pick

_COPY_BYTES = 4 * 2**20
_TAR_BLOCK_BYTES = 512
_BROKEN = (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError)


def needs_unpacking(stored: StoredFile) -> bool:
    """Say whether a file can only be read from its beginning: gzip in any form."""
    return stored.name.endswith((".gz", ".tgz"))


def raw_files(stored: StoredFile) -> list[RawFile]:
    """Return the plain files in a stored file that needs no unpacking: itself, or the members of a tar.

    Raises
    ------
    BadInput
        A zip archive, or a tar that is damaged, cut short or without ratings.
    """
    if stored.name.endswith(".zip"):
        raise BadInput(f"{stored.name}: zip archives are not read; unpack it and name the files in it")
    if not stored.name.endswith(".tar"):
        return [RawFile(stored.url, 0, stored.bytes, stored.name)]
    try:
        return _chosen(_tar_members(stored), stored.name)
    except _BROKEN as cause:
        raise _damaged(stored.name, cause) from cause


def unpack(stored: StoredFile, target: str) -> list[RawFile]:
    """Unpack a gzip file, or all ratings in a .tar.gz one after another, into the one file `target`.

    Memory stays bounded by a few MiB. Returns the plain files in it, which keep their names for messages.

    Raises
    ------
    BadInput
        The archive is damaged, cut short, empty or without ratings.
    """
    system, path = filesystem(stored.url)
    try:
        with (
            reaching(stored.url),
            system.open(path, "rb") as packed,
            gzip.GzipFile(fileobj=packed) as stream,
            streamed(target) as out,
        ):
            if stored.name.endswith((".tar.gz", ".tgz")):
                members = _copy_members(stream, out, stored.name, target)
                return _chosen(members, stored.name)
            shutil.copyfileobj(stream, out, _COPY_BYTES)
            size = out.tell()
    except _BROKEN as cause:
        raise _damaged(stored.name, cause) from cause
    if size == 0:
        raise BadInput(f"{stored.name}: the file is empty; fetch it anew or leave it out of ingest.ratings")
    return [RawFile(target, 0, size, stored.name.removesuffix(".gz"))]


def _tar_members(stored: StoredFile) -> list[RawFile]:
    found = []
    end = 0
    with opened(stored.url) as file, tarfile.open(fileobj=file, mode="r:") as archive:
        for member in archive:
            stop = member.offset_data + member.size
            end = max(end, -(-stop // _TAR_BLOCK_BYTES) * _TAR_BLOCK_BYTES)
            if member.isfile():
                found.append(RawFile(stored.url, member.offset_data, stop, f"{stored.name}/{member.name}"))
        # tarfile takes an archive cut between two members for a whole one; a whole one ends with a block of zeros.
        file.seek(end)
        if file.read(_TAR_BLOCK_BYTES) != bytes(_TAR_BLOCK_BYTES):
            raise tarfile.ReadError("the mark at its end is missing")
    return found


def _copy_members(stream: gzip.GzipFile, out: IO[bytes], url: str, target: str) -> list[RawFile]:
    """Copy every member that may hold ratings; the choice among them is made when all names are known."""
    found = []
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isfile() else None
            if content is not None:
                start = out.tell()
                shutil.copyfileobj(content, out, _COPY_BYTES)
                if out.tell() - start != member.size:
                    raise tarfile.ReadError(f"{member.name} is cut short")
                found.append(RawFile(target, start, out.tell(), f"{url}/{member.name}"))
    while stream.read(_COPY_BYTES):  # to the end, where gzip keeps its checksum
        pass
    return found


def _chosen(members: list[RawFile], url: str) -> list[RawFile]:
    by_name = {member.name: member for member in members}
    chosen = [by_name[name] for name in pick(list(by_name), url)]
    for member in chosen:
        if member.name.endswith((".tar", ".tgz", ".gz", ".zip")):
            raise BadInput(f"{member.name}: an archive inside an archive; unpack the outer one and name the inner one")
        if member.start == member.stop:
            raise BadInput(f"{member.name}: the file is empty; fetch the archive anew")
    return chosen


def _damaged(url: str, cause: BaseException) -> BadInput:
    return BadInput(f"{url}: the archive is damaged or cut short ({cause}); fetch it anew")
