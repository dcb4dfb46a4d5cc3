"""Cut raw files into chunks of about equal size, and read the whole lines of a chunk.

Covers: pieces of big files and groups of small ones, the movie header above a piece that starts mid-file, line numbers,
lines that end with a carriage return alone (they get line feeds).
Does not cover: archives (archives.py), records of several lines (tasks/parsing/format/records.py) and the meaning of a
line (tasks/parsing/rows/text.py, tasks/parsing/rows/lines.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from funkflow.tasks.errors import BadInput
from funkflow.tasks.parsing.sources.sources import read_range

LONGEST_LINE_BYTES = 2**20
"""A longer line is no line of ratings, and finding its end could read without bound."""

_BLOCK_BYTES, _EDGE_BYTES = 256 * 1024, 16 * 1024


@dataclass(frozen=True)
class RawFile:
    """One plain file: bytes [start, stop) of `url`, which may be an archive with more members."""

    url: str
    start: int
    stop: int
    name: str


@dataclass(frozen=True)
class Piece:
    """The lines of `file` that begin within bytes [start, stop) of its url; for Parquet, row groups [start, stop).

    `inside` : the first line begins inside a quote.
    """

    file: RawFile
    start: int
    stop: int
    inside: bool = False


Chunk = tuple[Piece, ...]


def whole(file: RawFile) -> Piece:
    """Return all lines of a file as one piece."""
    return Piece(file, file.start, file.stop)


def cut(pieces: Iterable[Piece], chunk_bytes: int) -> list[Chunk]:
    """Cut pieces into chunks of at most about `chunk_bytes`, in order: split big ones, group small ones."""
    chunks: list[Chunk] = []
    small: list[Piece] = []
    gathered = 0
    for piece in pieces:
        size = piece.stop - piece.start
        if small and gathered + size > chunk_bytes:
            chunks.append(tuple(small))
            small, gathered = [], 0
        if size <= chunk_bytes:
            small.append(piece)
            gathered += size
            continue
        count = -(-size // chunk_bytes)
        edges = [piece.start + size * number // count for number in range(count + 1)]
        chunks += [(Piece(piece.file, start, stop),) for start, stop in pairwise(edges)]
    return [*chunks, tuple(small)] if small else chunks


def read_lines(piece: Piece, line_end: str = "\n") -> tuple[bytes, int]:
    """Return the whole lines that begin within the piece, and the first one's place in the url.

    Parameters
    ----------
    line_end : the file's line end; the returned lines end with a line feed.

    Raises
    ------
    BadInput
        The file is shorter than at its listing, a line is longer than `LONGEST_LINE_BYTES`, or lines do not end with
        `line_end`.
    """
    file, letter = piece.file, line_end.encode()
    begin, end = piece.start, piece.stop
    if begin > file.start:
        begin = _after_line(file, begin - 1, piece.stop, letter)
    if begin >= piece.stop:
        return b"", piece.stop
    if end < file.stop:
        end = _after_line(file, end - 1, min(file.stop, end + LONGEST_LINE_BYTES + 1), letter)
    if end - piece.stop > LONGEST_LINE_BYTES:
        raise BadInput(
            f"{file.name}: a line near byte {end - file.start} is longer than {LONGEST_LINE_BYTES} bytes; "
            "this is no text of ratings, check ingest.ratings"
        )
    # Find the edges first, to read the chunk once and without a copy.
    data = read_range(file.url, begin, end)
    if len(data) < end - begin:
        raise BadInput(f"{file.name}: the file was cut short while it was being read; run again when it is whole")
    return _with_line_feeds(data, line_end, file, begin), begin


def header_above(file: RawFile, position: int, mark: bytes | None, line_end: str = "\n") -> bytes:
    """Return the nearest movie header line above `position` of Netflix text; b"" for none.

    With `mark`, a header is a line that ends with it; without, it is a line without a comma, which rows have. So a
    damaged header still separates the rows below it from the movie above it.
    """
    tail, end = b"", line_end.encode()
    while position > file.start:
        start = max(file.start, position - _BLOCK_BYTES)
        block = read_range(file.url, start, position) + tail
        first = 0 if start == file.start else block.find(end) + 1
        if first or start == file.start:
            header = _last_header(block[first:].removeprefix(b"" if first else b"\xef\xbb\xbf"), mark, end)
            if header:
                return header
        tail, position = block[: first - 1] if first else block, start
        if len(tail) > LONGEST_LINE_BYTES:
            break
    return b""


def _last_header(data: bytes, mark: bytes | None, line_end: bytes) -> bytes:
    """Return the last header among whole lines; b"" for none. Few lines are looked at: most are rows with a comma."""
    letters = np.frombuffer(data, np.uint8)
    ends = np.append(np.flatnonzero(letters == ord(line_end)), len(data))
    begins = np.append(0, ends[:-1] + 1)
    signs = np.flatnonzero(letters == ord(mark or b","))
    counts = np.searchsorted(signs, ends) - np.searchsorted(signs, begins)
    for n in np.flatnonzero(counts > 0 if mark else counts == 0)[::-1].tolist():
        line = data[begins[n] : ends[n]].strip()
        if line.endswith(mark) if mark else line:
            return line
    return b""


def count_lines_before(file: RawFile, position: int, line_end: str = "\n") -> int:
    """Count the line ends between the beginning of the file and `position`."""
    count = 0
    for start in range(file.start, position, 16 * 2**20):
        count += read_range(file.url, start, min(start + 16 * 2**20, position)).count(line_end.encode())
    return count


def _with_line_feeds(data: bytes, line_end: str, file: RawFile, begin: int) -> bytes:
    """Return lines with line feeds; refuse a file with two line ends, or with another one than the first file."""
    if line_end == "\r":
        if b"\n" in data:
            raise _other_line_ends(file, "has line feeds, too, where lines end with carriage returns")
        return data.replace(b"\r", b"\n")
    if begin == file.start and b"\r" in data.removesuffix(b"\r") and b"\n" not in data:
        raise _other_line_ends(file, "ends its lines with carriage returns, otherwise than the first file")
    return data


def _other_line_ends(file: RawFile, what: str) -> BadInput:
    return BadInput(f"{file.name}:1: {what}; convert it by tr '\\r' '\\n' < IN > OUT")


def _after_line(file: RawFile, position: int, stop: int, line_end: bytes) -> int:
    """Return the end of the line with byte `position`, at most `stop`."""
    while position < stop:
        block = read_range(file.url, position, min(position + _EDGE_BYTES, stop))
        end = block.find(line_end)
        if end >= 0:
            return position + end + 1
        if not block:
            break
        position += len(block)
    return stop
