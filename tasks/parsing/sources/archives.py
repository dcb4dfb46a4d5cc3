"""Read archives like folders: a tar in place; compressed files are unpacked once.

Covers: .tar by the offsets of its members, zip and packed files and tars in one streaming pass, damaged archives.
Does not cover: which members hold ratings (layouts.py), the codecs (codecs.py), or the members' content.
"""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from funkflow.tasks.errors import BadInput
from funkflow.tasks.parsing.sources.chunks import RawFile
from funkflow.tasks.parsing.sources.codecs import codec_of, damage, is_packed_tar, plain_name, unpack_stream
from funkflow.tasks.parsing.sources.layouts import pick_rating_files
from funkflow.tasks.parsing.sources.other_kinds import kind_of_bytes, refuse_named
from funkflow.tasks.parsing.sources.sources import StoredFile, read_range
from funkflow.tasks.storage.filesystems import filesystem, opened, reaching, streamed

_COPY_BYTES = 4 * 2**20
_TAR_BLOCK_BYTES = 512
_MAGIC_BYTES = 16
_OF_ARCHIVES = tarfile.TarError, zipfile.BadZipFile


def needs_unpacking(stored: StoredFile) -> bool:
    """Return whether a file is packed, so that it can only be read from its beginning."""
    return bool(codec_of(stored.name)) or _is_zip(stored.name)


def raw_files(stored: StoredFile) -> list[RawFile]:
    """Return the plain files in a stored file that needs no unpacking: itself, or the members of a tar.

    Raises
    ------
    BadInput
        funkflow does not read this kind of file, or a tar is damaged, cut short or without ratings.
    """
    refuse_named(stored.name)
    if not stored.name.endswith(".tar"):
        return [RawFile(stored.url, 0, stored.bytes, stored.name)]
    with _explain_damage(stored):
        return _choose_members(_tar_members(stored), stored.name)


def unpack(stored: StoredFile, target: str) -> list[RawFile]:
    """Unpack a packed file, or all ratings of a packed tar or a zip, into the one file `target`.

    It takes a few MiB of memory and returns the plain files in `target`, which keep their names for messages.

    Raises
    ------
    BadInput
        The archive is damaged, cut short, empty or without ratings.
    """
    system, path = filesystem(stored.url)
    with _explain_damage(stored), reaching(stored.url), system.open(path, "rb") as packed, streamed(target) as out:
        if _is_zip(stored.name):
            return _unzip(packed, out, stored.name, target)
        stream = unpack_stream(packed, codec_of(stored.name))
        if is_packed_tar(stored.name):
            return _choose_members(_copy_members(stream, out, stored.name, target), stored.name)
        shutil.copyfileobj(stream, out, _COPY_BYTES)
        size = out.tell()
        if size == 0:
            raise BadInput(f"{stored.name}: the file is empty; fetch it again or leave it out of ingest.ratings")
    return [RawFile(target, 0, size, plain_name(stored.name))]


def _is_zip(name: str) -> bool:
    return name.lower().endswith(".zip")


@contextmanager
def _explain_damage(stored: StoredFile) -> Iterator[None]:
    """Turn errors of broken bytes into BadInput; an OSError with a number comes from a disk or a store and passes."""
    try:
        yield
    except damage(*_OF_ARCHIVES, OSError) as cause:
        if isinstance(cause, OSError) and not isinstance(cause, damage(*_OF_ARCHIVES)) and cause.errno is not None:
            raise
        kind = kind_of_bytes(read_range(stored.url, 0, _MAGIC_BYTES))
        shown = str(cause).split("\n")[0]
        raise BadInput(
            f"{stored.name}: the archive is damaged or cut short ({shown}); fetch it again"
            if not kind or codec_of(stored.name) in kind
            else f"{stored.name}: its name says otherwise, but {kind}"
        ) from cause


def _unzip(packed: IO[bytes], out: IO[bytes], name: str, target: str) -> list[RawFile]:
    """Unpack the ratings among the members of a zip."""
    with zipfile.ZipFile(packed) as archive:
        members = {each.filename: each for each in archive.infolist() if not each.is_dir()}
        found = []
        for path in pick_rating_files(list(members), name):
            if members[path].flag_bits & 1:
                raise BadInput(f"{name}/{path}: it is encrypted; unpack it with its password and name what is in it")
            start = out.tell()
            try:
                with archive.open(path) as content:
                    shutil.copyfileobj(content, out, _COPY_BYTES)
            except NotImplementedError as cause:  # zipfile does not support this compression
                raise BadInput(f"{name}/{path}: {cause}; unpack it and name the files in it") from cause
            found.append(RawFile(target, start, out.tell(), f"{name}/{path}"))
    return _choose_members(found, name)


def _tar_members(stored: StoredFile) -> list[RawFile]:
    found = []
    end = 0
    with opened(stored.url) as file, tarfile.open(fileobj=file, mode="r:") as archive:
        for member in archive:
            stop = member.offset_data + member.size
            end = max(end, -(-stop // _TAR_BLOCK_BYTES) * _TAR_BLOCK_BYTES)
            if member.isfile():
                found.append(RawFile(stored.url, member.offset_data, stop, f"{stored.name}/{member.name}"))
        # tarfile accepts an archive that is cut between two members; a whole archive ends with a block of zeros.
        file.seek(end)
        if file.read(_TAR_BLOCK_BYTES) != bytes(_TAR_BLOCK_BYTES):
            raise tarfile.ReadError("the mark at its end is missing")
    return found


def _copy_members(stream: IO[bytes], out: IO[bytes], url: str, target: str) -> list[RawFile]:
    """Copy all members; the choice among them needs all names."""
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
    while stream.read(_COPY_BYTES):  # to the end, which has the checksum
        pass
    return found


def _choose_members(members: list[RawFile], url: str) -> list[RawFile]:
    by_name = {member.name: member for member in members}
    chosen = [by_name[name] for name in pick_rating_files(list(by_name), url)]
    for member in chosen:
        if codec_of(member.name) or member.name.endswith((".tar", ".zip")):
            raise BadInput(f"{member.name}: an archive inside an archive; unpack the outer one and name the inner one")
        if len(members) > 1 and member.name.endswith((".parquet", ".pq")):
            raise BadInput(f"{member.name}: Parquet beside other files in an archive is not read; unpack it first")
        if member.start == member.stop:
            raise BadInput(f"{member.name}: the file is empty; fetch the archive again")
    return chosen
