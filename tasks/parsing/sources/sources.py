"""Which files hold the ratings, given a path, folder, glob or URL, and what else lies beside them.

Covers: listing, folders of folders whose names give columns, and companions such as probe.txt and titles.
Does not cover: names of files with ratings (layouts.py), archives (archives.py), or how rows are written
(tasks/parsing/format/formats.py).
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import fsspec

from funkflow.tasks.errors import BadInput
from funkflow.tasks.parsing.sources.folder_columns import is_left_out, is_partition, name_within
from funkflow.tasks.parsing.sources.layouts import pick, titles_beside
from funkflow.tasks.redact import masked, name_of, without_query
from funkflow.tasks.storage import files
from funkflow.tasks.storage.file_versions import version_of
from funkflow.tasks.storage.filesystems import filesystem, is_local, reaching, url_of
from funkflow.tasks.storage.paths import refuse_other_encoding

CHECKED_BYTES = 64 * 2**20
"""A file's checksum is that of the checksums of its ranges of this size, so that one big file is read by many tasks."""

_BLOCK_BYTES = 2**20


@dataclass(frozen=True)
class StoredFile:
    """A file as it lies in a store: not yet unpacked. `version`, `changed_ns`: as in tasks/storage/file_versions.py."""

    url: str
    bytes: int
    version: str = ""
    changed_ns: int | None = None

    @property
    def name(self) -> str:
        """What it is called: its URL, but for credentials."""
        return name_of(self.url)


@dataclass(frozen=True)
class Source:
    """What one entry of `ingest.ratings` stands for. `name` is its last part: moving the data changes nothing."""

    name: str
    files: tuple[StoredFile, ...]


def find_sources(ratings: Sequence[str], without: str = "", setting: str = "ingest.ratings") -> list[Source]:
    """List the files behind every entry, each entry's files in the order of their names, but not the file `without`.

    `setting` is what messages say that the entries stand in.

    Raises
    ------
    BadInput
        Nothing is there, a file is empty, or a folder holds no ratings or several kinds of them.
    """
    if not ratings:
        raise BadInput("no ratings are named; set ingest.ratings to files, folders, archives, globs or URLs")
    found = [_find(entry, setting) for entry in ratings]
    if not without:
        return found
    unwanted = url_of(*filesystem(without))
    return [Source(source.name, tuple(stored for stored in source.files if stored.url != unwanted)) for source in found]


def refuse_missing(url: str, setting: str, ratings: Sequence[str] = ()) -> None:
    """Raise BadInput, naming the setting, if a file that is only read late is not there, is empty, or is the ratings.

    Parameters
    ----------
    ratings : the entries of `ingest.ratings`, where the file must not be one of them.
    """
    system, path = filesystem(url)
    where = masked(url)
    with reaching(url):
        if not system.exists(path):
            raise BadInput(f"{where}: no such file; check {setting}")
        if (without_query(url) != url or not system.isdir(path)) and system.size(path) == 0:
            raise BadInput(f"{where}: the file is empty; check {setting}")
    if any(filesystem(entry)[1] == path for entry in ratings):
        raise BadInput(f"{where}: {setting} names the ratings themselves; name a file of other pairs or ratings")


def find_companions(sources: Sequence[Source]) -> dict[str, str]:
    """Return what lies beside the ratings and is known: URLs under "probe", "qualifying" and "titles"."""
    found: dict[str, str] = {}
    for first in (without_query(source.files[0].url) for source in sources if source.files):
        base = posixpath.basename(first)
        titles = titles_beside(base)
        netflix = "movie_titles.txt" in titles
        wanted = {"probe": ("probe.txt",), "qualifying": ("qualifying.txt",)} if netflix else {}
        folder = posixpath.dirname(first)
        folders = [folder, posixpath.dirname(folder)] if posixpath.basename(folder) == "training_set" else [folder]
        for role, names in {**wanted, "titles": titles}.items():
            for url in (files.join(place, name) for name in names for place in folders):
                if role not in found and files.exists(url):
                    found[role] = url
    return found


def ranges(stored: StoredFile) -> list[tuple[str, int, int]]:
    """Cut a file into the ranges whose checksums make up its own: (url, start, stop)."""
    return [
        (stored.url, start, min(start + CHECKED_BYTES, stored.bytes))
        for start in range(0, max(stored.bytes, 1), CHECKED_BYTES)
    ]


def record(source: Source, sums: Sequence[str]) -> dict[str, str | int]:
    """Return what a manifest says of an input: name, files, bytes and checksum; `sums` are those of all its ranges.

    One file of one range has its plain checksum; otherwise it is that of the names, sizes and checksums of all parts.
    Folders that give columns are part of a file's name.
    """
    parts = [(name_within(stored.name), stored.bytes) for stored in source.files]
    checksum = (
        sums[0]
        if len(sums) == 1 and "/" not in parts[0][0]
        else files.checksum(json.dumps([parts, list(sums)]).encode())
    )
    return {"name": source.name, "files": len(parts), "bytes": sum(size for _, size in parts), "checksum": checksum}


def checksums(jobs: Sequence[tuple[str, int, int]]) -> list[str]:
    """Return the checksum of every range."""
    return [files.checksum_of(_blocks(url, start, stop)) for url, start, stop in jobs]


def _blocks(url: str, start: int, stop: int) -> Iterator[bytes]:
    """Yield a range in blocks that stay in the cache where it is local, and at once where each read is a request."""
    system, _ = filesystem(url)
    step = _BLOCK_BYTES if is_local(system) else max(stop - start, 1)
    for begin in range(start, stop, step):
        yield read_range(url, begin, min(begin + step, stop))


def read_range(url: str, start: int, stop: int) -> bytes:
    """Read bytes [start, stop) of a file; fewer come back where it ends before.

    Raises
    ------
    BadInput
        The file is not there or cannot be read.
    """
    system, path = filesystem(url)
    try:
        if is_local(system):
            with open(path, "rb") as file:
                file.seek(start)
                return file.read(stop - start)
        with reaching(url):
            data: bytes = system.cat_file(path, start=start, end=stop)
        return data
    except OSError as cause:
        raise BadInput(
            f"{masked(url)}: cannot be read ({cause.strerror or cause}); check the path and its permissions"
        ) from cause


def _find(entry: str, setting: str) -> Source:
    entry = entry.rstrip("/") or entry
    system, path = filesystem(entry)
    with reaching(entry):
        listed = _files(system, path, entry, setting)
        return Source(posixpath.basename(name_of(entry)), tuple(_stored(system, each, setting) for each in listed))


def _files(system: fsspec.AbstractFileSystem, path: str, entry: str, setting: str) -> list[dict[str, Any]]:
    """Return what fsspec says of each file that an entry stands for; one listing for a whole folder."""
    where = masked(entry)
    if any(sign in path for sign in "*?[") and not system.exists(path):
        found = system.glob(path, detail=True)
        chosen = [found[name] for name in sorted(found) if found[name]["type"] != "directory"]
        if not chosen:
            raise BadInput(f"{where}: no file matches; check {setting}")
        return chosen
    if not system.exists(path):
        raise BadInput(f"{where}: no such file or folder; check {setting}")
    # An HTTP server would be asked for the whole file to see whether it lists others; what has a query is one file.
    if without_query(entry) != entry or not system.isdir(path):
        return [system.info(path)]
    known = _folder(system, path, where)
    return [known[name] for name in pick(list(known), where)]


def _folder(system: fsspec.AbstractFileSystem, path: str, where: str) -> dict[str, dict[str, Any]]:
    """Files of a folder, and of those in it whose names give columns, however deep.

    The Netflix Prize has its ratings one level deeper, too, in training_set/.
    """
    entries = list(system.ls(path, detail=True))
    folders = {posixpath.basename(each["name"].rstrip("/")): each for each in entries if each["type"] == "directory"}
    if "_delta_log" in folders:
        raise BadInput(
            f"{where}: a Delta table, whose files have rows that no longer count, too; "
            "write what it holds now as Parquet"
        )
    if any(is_partition(name) for name in folders):
        found = system.find(path, detail=True)
        return {name: each for name, each in found.items() if not is_left_out(name[len(path) :].lstrip("/"))}
    if "training_set" in folders:
        entries += system.ls(folders["training_set"]["name"], detail=True)
    found = {entry["name"]: entry for entry in entries if entry["type"] != "directory"}
    if folders and not found:
        raise BadInput(
            f"{where}: holds only folders ({', '.join(sorted(folders))[:80]}); name one of them, or files in all of "
            f"them by a glob, such as {where}/**/*.csv"
        )
    return found


def _stored(system: fsspec.AbstractFileSystem, entry: dict[str, Any], setting: str) -> StoredFile:
    url = url_of(system, entry["name"])
    refuse_other_encoding(url)
    size = system.size(entry["name"]) if entry["size"] is None else entry["size"]  # an HTTP server's listing has none
    if size == 0:
        raise BadInput(f"{masked(url)}: the file is empty; fetch it anew or leave it out of {setting}")
    return StoredFile(url, int(size), *version_of(system, entry))
