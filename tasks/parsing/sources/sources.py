"""Find the files of ratings behind a path, folder, glob or URL, and their companions.

Covers: listing, folders whose names give columns, and companions such as probe.txt and titles.
Does not cover: names of files with ratings (layouts.py), archives (archives.py), or the format of rows
(tasks/parsing/format/formats.py).
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import fsspec

from funkflow.tasks.errors import BadInput
from funkflow.tasks.parsing.sources.folder_columns import is_left_out, is_partition, name_within
from funkflow.tasks.parsing.sources.layouts import pick_rating_files, titles_beside
from funkflow.tasks.redact import masked, name_of, without_query
from funkflow.tasks.storage import files
from funkflow.tasks.storage.file_versions import FileInfo, file_version
from funkflow.tasks.storage.filesystems import filesystem, is_local, reaching, url_of
from funkflow.tasks.storage.paths import refuse_other_encoding

CHECKED_BYTES = 64 * 2**20
"""A file's checksum combines those of its ranges of this size, so that many tasks can read one big file."""

_BLOCK_BYTES = 2**20


@dataclass(frozen=True)
class StoredFile:
    """A file in a store, not yet unpacked. `version`, `changed_ns`: as in tasks/storage/file_versions.py."""

    url: str
    bytes: int
    version: str = ""
    changed_ns: int | None = None

    @property
    def name(self) -> str:
        """The file's URL without credentials."""
        return name_of(self.url)


@dataclass(frozen=True)
class Source:
    """The files of one entry of `ingest.ratings`. `name` is its last part, so that moving the data changes nothing."""

    name: str
    files: tuple[StoredFile, ...]


def find_sources(ratings: Sequence[str], without: str = "", setting: str = "ingest.ratings") -> list[Source]:
    """List the files of each entry in the order of their names, except the file `without`.

    `setting` : the setting that messages name.

    Raises
    ------
    BadInput
        There is no such file, a file is empty, or a folder holds no ratings or several kinds of them.
    """
    if not ratings:
        raise BadInput("no ratings are named; set ingest.ratings to files, folders, archives, globs or URLs")
    found = [_find_source(entry, setting) for entry in ratings]
    if not without:
        return found
    unwanted = url_of(*filesystem(without))
    return [Source(source.name, tuple(stored for stored in source.files if stored.url != unwanted)) for source in found]


def refuse_missing(url: str, setting: str, ratings: Sequence[str] = ()) -> None:
    """Raise BadInput early if the file of a setting is missing or empty, or is itself one of the ratings.

    Parameters
    ----------
    ratings : the entries of `ingest.ratings`.
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
    """Return the URLs of known companions of the ratings under "probe", "qualifying" and "titles"."""
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


def checksum_ranges(stored: StoredFile) -> list[tuple[str, int, int]]:
    """Return the ranges (url, start, stop) whose checksums make up that of a file."""
    return [
        (stored.url, start, min(start + CHECKED_BYTES, stored.bytes))
        for start in range(0, max(stored.bytes, 1), CHECKED_BYTES)
    ]


def input_record(source: Source, sums: Sequence[str]) -> dict[str, str | int]:
    """Return a manifest's record of an input: name, files, bytes and checksum; `sums`: those of all its ranges.

    One file of one range keeps its plain checksum; otherwise the checksum covers the names, sizes and checksums of all
    parts. Folders that give columns are part of a file's name.
    """
    parts = [(name_within(stored.name), stored.bytes) for stored in source.files]
    checksum = (
        sums[0]
        if len(sums) == 1 and "/" not in parts[0][0]
        else files.checksum(json.dumps([parts, list(sums)]).encode())
    )
    return {"name": source.name, "files": len(parts), "bytes": sum(size for _, size in parts), "checksum": checksum}


def checksum_all(jobs: Sequence[tuple[str, int, int]]) -> list[str]:
    """Return the checksums of ranges."""
    return [files.checksum_of(_read_blocks(url, start, stop)) for url, start, stop in jobs]


def _read_blocks(url: str, start: int, stop: int) -> Iterator[bytes]:
    """Yield a local range in blocks that fit the cache, and a remote one in one request."""
    system, _ = filesystem(url)
    step = _BLOCK_BYTES if is_local(system) else max(stop - start, 1)
    for begin in range(start, stop, step):
        yield read_range(url, begin, min(begin + step, stop))


def read_range(url: str, start: int, stop: int) -> bytes:
    """Read bytes [start, stop) of a file; fewer if it ends before.

    Raises
    ------
    BadInput
        The file is missing or cannot be read.
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


def _find_source(entry: str, setting: str) -> Source:
    entry = entry.rstrip("/") or entry
    system, path = filesystem(entry)
    with reaching(entry):
        listed = _list_files(system, path, entry, setting)
        return Source(
            posixpath.basename(name_of(entry)), tuple(_to_stored_file(system, each, setting) for each in listed)
        )


def _list_files(system: fsspec.AbstractFileSystem, path: str, entry: str, setting: str) -> list[FileInfo]:
    """Return fsspec's description of each file of an entry; a whole folder takes one listing."""
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
    known = _list_folder(system, path, where)
    return [known[name] for name in pick_rating_files(list(known), where)]


def _list_folder(system: fsspec.AbstractFileSystem, path: str, where: str) -> dict[str, FileInfo]:
    """Return the files of a folder and of all folders below it whose names give columns.

    The Netflix Prize has ratings one level deeper, too, in training_set/.
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


def _to_stored_file(system: fsspec.AbstractFileSystem, entry: FileInfo, setting: str) -> StoredFile:
    url = url_of(system, entry["name"])
    refuse_other_encoding(url)
    size = system.size(entry["name"]) if entry["size"] is None else entry["size"]  # an HTTP server's listing has none
    if size == 0:
        raise BadInput(f"{masked(url)}: the file is empty; fetch it again or leave it out of {setting}")
    return StoredFile(url, int(size), *file_version(system, entry))
