"""The records of a piece of text: whole ones, also where a quote holds line ends and a piece begins inside one.

Covers: reading a piece from its first record to the end of its last, what a quote that is left open means for the next
piece, and which pieces that concerns. Does not cover: cutting files (tasks/parsing/sources/chunks.py), scanning text
for quotes (quoting.py).

Every piece is read as if it began outside a quote. The first of a file does; so does each next one, as long as none
before it leaves a quote open. Where one does, the pieces behind it in the file are in doubt: what quotes do to each is
asked for both cases (`quote_ends`), and those that begin inside a quote are read anew. Other files are read only once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from funkflow.tasks.errors import BadInput
from funkflow.tasks.parsing.format.delimiters import quotes_after_blanks
from funkflow.tasks.parsing.format.formats import Form
from funkflow.tasks.parsing.format.quoting import first_fault, is_sound, record_end, records, refusal, stays_open
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
    leaves_open : the next piece of the file begins inside a quote; what stands there of the last record is in `data`.
    sound : no quote is followed by text of its field.
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
        The file is shorter than it was when it was listed, has other line ends than the first one, or has a quote of
        which nobody knows what rows stand in it (see `first_fault`).
    """
    data, begin, end = _read(piece, form)
    if begin == piece.file.start:
        data = data.removeprefix(_BYTE_ORDER_MARK)
    if not form.quoted:
        return Records(data, begin)
    if piece.inside:
        skipped = record_end(data, form.delimiter, inside=True)
        if skipped < 0:
            return Records(b"", begin, stays_open(data, form.delimiter, inside=True))
        data, begin = data[skipped:], begin + skipped
    if is_sound(data, form.delimiter):
        return Records(data, begin)
    opened = first_fault(data, form.delimiter)
    leaves_open = opened < len(data) and stays_open(data, form.delimiter, position=opened)
    if leaves_open:
        data += _rest_of_record(piece.file, end, form)
        opened = first_fault(data, form.delimiter, opened)
    if opened < len(data):
        raise _refusal(data, begin, opened, piece.file, form)
    return Records(data, begin, leaves_open, is_sound(data, form.delimiter))


def split_records(data: bytes, form: Form) -> list[bytes]:
    """Cut a text into its records, or its lines where the form has no quotes, with their line ends."""
    if form.quoted and b'"' in data:
        return records(data, form.delimiter)
    return re.findall(rb"[^\n]*\n|[^\n]+", data)


def quote_ends(piece: Piece, form: Form) -> tuple[bool, bool]:
    """Say whether a piece ends inside a quote: if it begins outside one, and if it begins inside."""
    data, _, _ = _read(piece, form)
    return stays_open(data, form.delimiter), stays_open(data, form.delimiter, inside=True)


def in_doubt(chunks: Sequence[Chunk], leaves_open: Sequence[bool]) -> list[int]:
    """Return the places of the chunks that may begin inside a quote, given which ones left one open when read."""
    places: list[int] = []
    for place in range(1, len(chunks)):
        before = leaves_open[place - 1] or (bool(places) and places[-1] == place - 1)
        if before and goes_on(chunks[place - 1], chunks[place]):
            places.append(place)
    return places


def inside_quotes(places: Sequence[int], ends: Sequence[tuple[bool, bool]]) -> list[int]:
    """Return those of the `places` in doubt that do begin inside a quote; `ends` has what `quote_ends` says of each.

    The first of a file is behind a chunk that leaves a quote open, so it does.
    """
    found: list[int] = []
    inside, before = True, -1
    for place, (if_outside, if_inside) in zip(places, ends, strict=True):
        inside = inside if place == before + 1 else True
        if inside:
            found.append(place)
        inside, before = (if_inside if inside else if_outside), place
    return found


def goes_on(before: Chunk, after: Chunk) -> bool:
    """Say whether a chunk is the next one of the same file."""
    return before[-1].file == after[0].file and before[-1].stop == after[0].start


def begun_inside(chunk: Chunk) -> Chunk:
    """Return the chunk as one whose first line lies inside a quote."""
    return (replace(chunk[0], inside=True), *chunk[1:])


def continued(chunk: Chunk, before: Chunk | None, leaves_open: bool) -> Chunk:
    """Return the chunk as it is read after the one `before`, which may leave a quote open."""
    return begun_inside(chunk) if leaves_open and before and goes_on(before, chunk) else chunk


def _read(piece: Piece, form: Form) -> tuple[bytes, int, int]:
    """Return the lines of a piece, and the bytes of the url in which they begin and end."""
    data, begin = read_lines(piece, form.line_end)
    return _normal(data, form), begin, begin + len(data)


def _normal(data: bytes, form: Form) -> bytes:
    return quotes_after_blanks(data, form.delimiter) if form.blank_before_quote else data


def _rest_of_record(file: RawFile, position: int, form: Form) -> bytes:
    """Read on from a line end inside a quote to the end of the record, or as far as a record may go."""
    more = b""
    for size in (2**14, 2**17, LONGEST_LINE_BYTES):
        stop = min(position + size, file.stop)
        more = _normal(read_range(file.url, position, stop).replace(form.line_end.encode(), b"\n"), form)
        length = record_end(more, form.delimiter, inside=True)
        if length >= 0:
            return more[:length]
        if stop == file.stop:
            break
    return more


def _refusal(data: bytes, begin: int, fault: int, file: RawFile, form: Form) -> BadInput:
    line = 1 + count_lines_before(file, begin, form.line_end) + data.count(b"\n", 0, fault)
    how_far = f" within {LONGEST_LINE_BYTES} bytes" if len(data) - fault > LONGEST_LINE_BYTES else ""
    return refusal(data, fault, form.delimiter, f"{file.name}:{line}", how_far)
