"""Which of the present input files an earlier dataset has seen: unchanged, grown at the end, or not at all.

Covers: what a dataset remembers of each file, and matching that with the files of now, by content and never by place.
Does not cover: which dataset is asked (pipeline/datasets/parent.py), or reading what is new
(tasks/parsing/rows/text.py).
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass

from funkflow.tasks.parsing.sources.codecs import codec_of
from funkflow.tasks.parsing.sources.folder_columns import name_within
from funkflow.tasks.parsing.sources.sources import CHECKED_BYTES, Source, StoredFile, ranges, read_range
from funkflow.tasks.storage import files

_NEVER_GROWN = (".tar", ".zip", ".parquet", ".pq")
"""Files whose rows do not stand in lines, one after another; nor do those of packed files."""


@dataclass(frozen=True)
class SeenFile:
    """One input file as a dataset remembers it: name, bytes, and the checksum of each of its ranges.

    Its name is the last part of its path, below the folders that give it columns.
    """

    name: str
    bytes: int
    sums: tuple[str, ...]

    @classmethod
    def read(cls, entry: Sequence[object]) -> SeenFile:
        """Take it from a manifest, where it is a list."""
        name, size, sums = entry
        return cls(str(name), int(str(size)), tuple(map(str, sums)))  # type: ignore[call-overload]

    def written(self) -> list[object]:
        """Return it as it stands in a manifest."""
        return [self.name, self.bytes, list(self.sums)]


@dataclass(frozen=True)
class Match:
    """How the files of now stand to those seen before.

    Attributes
    ----------
    begins : for each file of now, the byte from which on it is new: 0 for one never seen, its size for one that is
        unchanged, and in between for one that may have grown (`grown` says whether it did, by reading).
    whole : all that was seen before is still there, so only what is new has to be read.
    seen_bytes : bytes of now that were seen before.
    names : files of now whose name was seen before.
    """

    begins: tuple[int, ...]
    whole: bool
    seen_bytes: int
    names: int


def seen_in(source: Source, sums: Sequence[str]) -> list[SeenFile]:
    """Return every file of a source as it is now; `sums` are the checksums of all its ranges."""
    found, rest = [], list(sums)
    for stored in source.files:
        count = len(ranges(stored))
        found.append(SeenFile(name_within(stored.name), stored.bytes, tuple(rest[:count])))
        rest = rest[count:]
    return found


def signs(file: SeenFile) -> tuple[str, str]:
    """Return checksums of what a file holds and of its name: a file that was seen before shares one with it.

    `match` can find all files that were seen before only where this holds for each of them.
    """
    return files.checksum(repr(_content(file)).encode()), files.checksum(file.name.encode())


def match(before: Sequence[SeenFile], now: Sequence[SeenFile], may_grow: bool) -> Match:
    """Match what was seen before with the files of now: by content, and then, for those left, by name and first ranges.

    Parameters
    ----------
    may_grow : the rows stand in lines, so that a file of them may have become longer.
    """
    begins = [0] * len(now)
    free: dict[tuple[object, ...], list[int]] = {}
    for place, file in enumerate(now):
        free.setdefault(_content(file), []).append(place)
    left = []
    for file in before:
        if places := free.get(_content(file)):
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
    return Match(tuple(begins), whole, sum(begins), sum(file.name in names for file in now))


def _content(file: SeenFile) -> tuple[object, ...]:
    """Return what a file holds: its bytes, and what its folders say of them."""
    return posixpath.dirname(file.name), file.bytes, file.sums


def _may_be_beginning(old: SeenFile, new: SeenFile) -> bool:
    """Say whether all whole ranges of the old file are the first of the new one, whose name allows that it grew."""
    whole = old.bytes // CHECKED_BYTES
    can_grow = not new.name.endswith(_NEVER_GROWN) and not codec_of(new.name)
    return can_grow and 0 < old.bytes < new.bytes and old.sums[:whole] == new.sums[:whole]


def has_grown(stored: StoredFile, old_sums: Sequence[str], old_bytes: int) -> bool:
    """Read the last range of what was there before: it must be what it was, and end with a line."""
    start = (old_bytes - 1) // CHECKED_BYTES * CHECKED_BYTES
    data = read_range(stored.url, start, old_bytes)
    return data.endswith(b"\n") and files.checksum(data) == old_sums[-1]
