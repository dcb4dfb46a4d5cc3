"""Compare the input files with those of an earlier dataset: unchanged, grown at the end, or new.

Covers: a dataset's record of each file, and matching records with the current files by content, never by path.
Does not cover: choosing the dataset (pipeline/datasets/parent.py), or reading new rows
(tasks/parsing/rows/text.py).
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass

from funkflow.tasks.parsing.sources.codecs import codec_of
from funkflow.tasks.parsing.sources.folder_columns import name_within
from funkflow.tasks.parsing.sources.sources import CHECKED_BYTES, Source, StoredFile, checksum_ranges, read_range
from funkflow.tasks.storage import files

_NEVER_GROWN = (".tar", ".zip", ".parquet", ".pq")
"""Files without one row per line; packed files have none either."""


@dataclass(frozen=True)
class SeenFile:
    """A dataset's record of one input file: name, bytes, and the checksum of each range.

    The name is the last part of the path, and the folders above it that give columns.
    """

    name: str
    bytes: int
    sums: tuple[str, ...]

    @classmethod
    def read(cls, entry: Sequence[object]) -> SeenFile:
        """Read a manifest's list."""
        name, size, sums = entry
        return cls(str(name), int(str(size)), tuple(map(str, sums)))  # type: ignore[call-overload]

    def written(self) -> list[object]:
        """Return the list for a manifest."""
        return [self.name, self.bytes, list(self.sums)]


@dataclass(frozen=True)
class FileMatch:
    """The current files compared with earlier ones.

    Attributes
    ----------
    begins : the byte of each current file at which new content begins: 0 for a new file, its size for an unchanged
        one, in between for one that may have grown (`has_grown` reads it to find out).
    whole : all earlier files still exist, so only new content has to be read.
    seen_bytes : bytes of the current files that are not new.
    names : number of current files whose name is not new.
    """

    begins: tuple[int, ...]
    whole: bool
    seen_bytes: int
    names: int


def list_seen_files(source: Source, sums: Sequence[str]) -> list[SeenFile]:
    """Return records of a source's current files; `sums` are the checksums of all their ranges."""
    found, rest = [], list(sums)
    for stored in source.files:
        count = len(checksum_ranges(stored))
        found.append(SeenFile(name_within(stored.name), stored.bytes, tuple(rest[:count])))
        rest = rest[count:]
    return found


def file_signatures(file: SeenFile) -> tuple[str, str]:
    """Return the checksums of a file's content and of its name.

    `match` can find an earlier file only if one of its two signatures is among those of the current files.
    """
    return files.checksum(repr(_content_key(file)).encode()), files.checksum(file.name.encode())


def match(before: Sequence[SeenFile], now: Sequence[SeenFile], may_grow: bool) -> FileMatch:
    """Match earlier files with current ones: first by content, then by name and first ranges.

    Parameters
    ----------
    may_grow : files have one row per line, so they may have grown.
    """
    begins = [0] * len(now)
    free: dict[tuple[object, ...], list[int]] = {}
    for place, file in enumerate(now):
        free.setdefault(_content_key(file), []).append(place)
    left = []
    for file in before:
        if places := free.get(_content_key(file)):
            place = places.pop(0)
            begins[place] = file.bytes
        else:
            left.append(file)
    by_name = {now[place].name: place for places in free.values() for place in reversed(places)}
    whole = True
    for file in left:
        place = by_name.pop(file.name, -1)
        if may_grow and place >= 0 and _may_be_beginning(file, now[place]):
            begins[place] = file.bytes
        else:
            whole = False
    names = {file.name for file in before}
    return FileMatch(tuple(begins), whole, sum(begins), sum(file.name in names for file in now))


def _content_key(file: SeenFile) -> tuple[object, ...]:
    """Return a key of a file's content: the folders that give columns, size and checksums."""
    return posixpath.dirname(file.name), file.bytes, file.sums


def _may_be_beginning(old: SeenFile, new: SeenFile) -> bool:
    """Return whether the new file may have grown from the old one: its kind allows it and its first ranges agree."""
    whole = old.bytes // CHECKED_BYTES
    can_grow = not new.name.endswith(_NEVER_GROWN) and not codec_of(new.name)
    return can_grow and 0 < old.bytes < new.bytes and old.sums[:whole] == new.sums[:whole]


def has_grown(stored: StoredFile, old_sums: Sequence[str], old_bytes: int) -> bool:
    """Read the old content's last range; return whether it is unchanged and ends with a line."""
    start = (old_bytes - 1) // CHECKED_BYTES * CHECKED_BYTES
    data = read_range(stored.url, start, old_bytes)
    return data.endswith(b"\n") and files.checksum(data) == old_sums[-1]
