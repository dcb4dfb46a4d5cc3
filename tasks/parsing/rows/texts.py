"""The text of a piece, ready to parse: without its header, after a check of it, and with the movie above it.

Covers: joining texts of several files. Does not cover: reading whole records (tasks/parsing/format/records.py), parsing
them (text.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from funkflow.tasks.errors import BadInput
from funkflow.tasks.parsing.format.delimiters import is_comment, split_line
from funkflow.tasks.parsing.format.formats import Form
from funkflow.tasks.parsing.format.quoting import record_end
from funkflow.tasks.parsing.format.records import read_records
from funkflow.tasks.parsing.sources.chunks import Piece, RawFile, header_above
from funkflow.tasks.parsing.sources.other_kinds import refuse_bytes

_BLANK_OR_COMMENT = re.compile(rb"[ \t]*(?:[#%][^\n]*)?\r?\n")


@dataclass(frozen=True)
class Text:
    """Whole records without byte order mark and column header. `item`: the movie above the first, or ""."""

    data: bytes
    file: RawFile
    begin: int
    lines_above: int
    item: str
    leaves_open: bool
    sound: bool


def read_text(piece: Piece, form: Form) -> Text:
    """Return the records that begin within a piece.

    Raises
    ------
    BadInput
        The whole file is bad (see `read_records`), or its header is not the first file's.
    """
    found = read_records(piece, form)
    data, begin = found.data, found.begin
    item, lines_above = "", 0
    if begin == piece.file.start:
        refuse_bytes(data, piece.file.name)
        above = _above_rows(data, form) if form.kind == "text" else b""
        data, lines_above = data[len(above) :], above.count(b"\n")
        if form.header:
            end = record_end(data, form.delimiter) if form.quoted else data.find(b"\n") + 1
            first, data = (data[:end], data[end:]) if end > 0 else (data, b"")
            header = first.rstrip(b"\r\n").replace(b"\r\n", b"\n").decode("utf-8", "backslashreplace")
            columns = tuple(split_line(header, form.delimiter, form.quoted))
            if columns != form.header:
                raise BadInput(
                    f"{piece.file.name}:{lines_above + 1}: the columns {', '.join(columns)!r} are not those of the "
                    f"first file, {', '.join(form.header)!r}; ingest them apart"
                )
            lines_above += first.count(b"\n")
    elif form.kind == "netflix" and data:
        above = header_above(piece.file, begin, b":" if form.width == 1 else None, form.line_end)
        item = above[:-1].decode() if re.fullmatch(rb"[0-9]+:", above) else ""
    return Text(
        data, piece.file, begin, lines_above=lines_above, item=item, leaves_open=found.leaves_open, sound=found.sound
    )


def _above_rows(data: bytes, form: Form) -> bytes:
    """Return the blank lines, comments and sizes above the header and the rows of a file, by their number of fields."""
    end = 0
    while (line := _BLANK_OR_COMMENT.match(data, end)) is not None:
        text = line.group().decode("utf-8", "backslashreplace").rstrip("\r\n")
        fields = len(split_line(text, form.delimiter, form.quoted))
        if text.strip() and not is_comment(text, fields in (form.width, len(form.header))):
            break
        end = line.end()
    return data[: data.find(b"\n", end) + 1 if form.sizes else end]


def can_join(texts: list[Text], form: Form) -> bool:
    """Return whether texts can be parsed as one: each Netflix file has to begin with a movie header of its own."""
    if form.kind != "netflix":
        return all(text.sound for text in texts)
    return all(text.data[: text.data.find(b"\n")].rstrip(b"\r").endswith(b":") for text in texts[1:])


def join_texts(texts: list[Text]) -> bytes:
    """Return the concatenated texts."""
    if len(texts) == 1:
        return texts[0].data
    return b"".join(_with_line_end(text.data) for text in texts)


def _with_line_end(data: bytes) -> bytes:
    return data if data.endswith(b"\n") or not data else data + b"\n"
