"""Read whole records from a piece of text, even if quotes hold line ends or the piece begins inside a quote.

Covers: reading a piece from its first record to the end of its last, and finding the pieces that begin inside a quote.
Does not cover: cutting files (tasks/parsing/sources/chunks.py), scanning text for quotes (quoting.py).

Each piece is first read as if it began outside a quote. This holds for the first of a file, and for the next ones until
a piece leaves a quote open. The later pieces of this file are doubtful: `quote_ends` scans each for both cases, and
those that begin inside a quote are read again. Other files are read only once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from funkflow.tasks.errors import BadInput
from funkflow.tasks.parsing.format.delimiters import quotes_after_blanks
from funkflow.tasks.parsing.format.formats import Form
from funkflow.tasks.parsing.format.quoting import ends_open, first_fault, is_sound, quote_fault, record_end, records
from funkflow.tasks.parsing.sources.chunks import (
    LONGEST_LINE_BYTES,
    Chunk,
    Piece,
    RawFile,
    count_lines_before,
    read_lines,
)
from funkflow.tasks.parsing.sources.sources import read_range

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Records:
    """Whole records, the first at byte `begin` of the url, without byte order mark.

    Attributes
    ----------
    leaves_open : the next piece of the file begins inside a quote; `data` has the rest of the last record from there.
    sound : no text follows a closing quote in its field.
    """

    data: bytes
    begin: int
    leaves_open: bool = False
    sound: bool = True


def read_records(piece: Piece, form: Form) -> Records:
    """Return the records that begin within a piece.

    Raises
    ------
    BadInput
        The file is shorter than at its listing, has other line ends than the first file, or has a quote that may
        swallow rows (see `first_fault`).
    """
    data, begin, end = _read_piece(piece, form)
    if begin == piece.file.start:
        data = data.removeprefix(_BYTE_ORDER_MARK)
    if not form.quoted:
        return Records(data, begin)
    if piece.inside:
        skipped = record_end(data, form.delimiter, inside=True)
        if skipped < 0:
            return Records(b"", begin, ends_open(data, form.delimiter, inside=True))
        data, begin = data[skipped:], begin + skipped
    if is_sound(data, form.delimiter):
        return Records(data, begin)
    opened = first_fault(data, form.delimiter)
    leaves_open = opened < len(data) and ends_open(data, form.delimiter, position=opened)
    if leaves_open:
        data += _rest_of_record(piece.file, end, form)
        opened = first_fault(data, form.delimiter, opened)
    if opened < len(data):
        raise _piece_fault(data, begin, opened, piece.file, form)
    return Records(data, begin, leaves_open, is_sound(data, form.delimiter))


def split_records(data: bytes, form: Form) -> list[bytes]:
    """Split a text into records, or lines if the form has no quotes, with their line ends."""
    if form.quoted and b'"' in data:
        return records(data, form.delimiter)
    return re.findall(rb"[^\n]*\n|[^\n]+", data)


def quote_ends(piece: Piece, form: Form) -> tuple[bool, bool]:
    """Return whether a piece ends inside a quote: first if it begins outside one, then if it begins inside."""
    data, _, _ = _read_piece(piece, form)
    return ends_open(data, form.delimiter), ends_open(data, form.delimiter, inside=True)


def doubtful_places(chunks: Sequence[Chunk], leaves_open: Sequence[bool]) -> list[int]:
    """Return the places of chunks that may begin inside a quote, given which chunks left one open."""
    places: list[int] = []
    for place in range(1, len(chunks)):
        before = leaves_open[place - 1] or (bool(places) and places[-1] == place - 1)
        if before and follows(chunks[place - 1], chunks[place]):
            places.append(place)
    return places


def inside_quotes(places: Sequence[int], ends: Sequence[tuple[bool, bool]]) -> list[int]:
    """Return the doubtful `places` whose chunks begin inside a quote; `ends` has the `quote_ends` of each.

    The first doubtful chunk of a file follows a chunk that leaves a quote open, so it begins inside one.
    """
    found: list[int] = []
    inside, before = True, -1
    for place, (if_outside, if_inside) in zip(places, ends, strict=True):
        inside = inside if place == before + 1 else True
        if inside:
            found.append(place)
        inside, before = (if_inside if inside else if_outside), place
    return found


def follows(before: Chunk, after: Chunk) -> bool:
    """Return whether a chunk is the next one of the same file."""
    return before[-1].file == after[0].file and before[-1].stop == after[0].start


def start_inside(chunk: Chunk) -> Chunk:
    """Return the chunk, marked as beginning inside a quote."""
    return (replace(chunk[0], inside=True), *chunk[1:])


def continue_chunk(chunk: Chunk, before: Chunk | None, leaves_open: bool) -> Chunk:
    """Mark a chunk as beginning inside a quote if it follows the chunk `before` and this leaves a quote open."""
    return start_inside(chunk) if leaves_open and before and follows(before, chunk) else chunk


def _read_piece(piece: Piece, form: Form) -> tuple[bytes, int, int]:
    """Return the lines of a piece, and their first and last byte in the url."""
    data, begin = read_lines(piece, form.line_end)
    return _normalise_quotes(data, form), begin, begin + len(data)


def _normalise_quotes(data: bytes, form: Form) -> bytes:
    return quotes_after_blanks(data, form.delimiter) if form.blank_before_quote else data


def _rest_of_record(file: RawFile, position: int, form: Form) -> bytes:
    """Read on from a line end inside a quote to the end of the record, or as far as a record may go."""
    more = b""
    for size in (2**14, 2**17, LONGEST_LINE_BYTES):
        stop = min(position + size, file.stop)
        more = _normalise_quotes(read_range(file.url, position, stop).replace(form.line_end.encode(), b"\n"), form)
        length = record_end(more, form.delimiter, inside=True)
        if length >= 0:
            return more[:length]
        if stop == file.stop:
            break
    return more


def _piece_fault(data: bytes, begin: int, fault: int, file: RawFile, form: Form) -> BadInput:
    line = 1 + count_lines_before(file, begin, form.line_end) + data.count(b"\n", 0, fault)
    how_far = f" within {LONGEST_LINE_BYTES} bytes" if len(data) - fault > LONGEST_LINE_BYTES else ""
    return quote_fault(data, fault, form.delimiter, f"{file.name}:{line}", how_far)
