"""Recognise the form of plain files, and cut them into chunks to parse.

Covers: recognising the form of the first file, text, JSON lines or Parquet, and cutting all files.
Does not cover: finding files (tasks/parsing/sources/sources.py), archives (tasks/parsing/sources/archives.py), parsing
(tasks/parsing/rows/text.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from funkflow.tasks.errors import BadInput
from funkflow.tasks.parsing.format.formats import HEAD_BYTES, Form, Wanted, recognise_text
from funkflow.tasks.parsing.rows.jsonl import is_json_lines, recognise_jsonl
from funkflow.tasks.parsing.rows.parquet import cut_parquet, recognise_parquet
from funkflow.tasks.parsing.sources.archives import needs_unpacking, raw_files, unpack
from funkflow.tasks.parsing.sources.chunks import Chunk, Piece, RawFile, cut, whole
from funkflow.tasks.parsing.sources.folder_columns import columns_in
from funkflow.tasks.parsing.sources.sources import Source, read_range
from funkflow.tasks.storage.files import join

_LONG_ROWS, _USUAL_ROW_BYTES = 8_000_000, 24
_DATE_BYTES = len("2005-12-31")
_LEAST_ROW_BYTES = 4  # of JSON lines


@dataclass(frozen=True)
class ParseInput:
    """Chunks to parse, in the order of the input. `rows_at_most` is a bound, not a count.

    `is_long` : rows enough that compiled loops save more time than it takes to load or compile them.
    """

    form: Form
    chunks: tuple[Chunk, ...]
    rows_at_most: int
    is_long: bool = False


def prepare(plain: Sequence[RawFile], wanted: Wanted, chunk_bytes: int) -> ParseInput:
    """Recognise the form of `plain` files by the first one, and cut them into chunks.

    Raises
    ------
    BadInput
        The first file is empty or in a wrong encoding, or its columns are unclear.
    """
    if not plain:
        raise BadInput("no ratings file is left to read; check ingest.ratings")
    return prepare_pieces([whole(file) for file in plain], recognise(plain[0], wanted), chunk_bytes)


def prepare_pieces(pieces: Sequence[Piece], form: Form, chunk_bytes: int) -> ParseInput:
    """Cut pieces of files of a given form into chunks; Parquet files are always read whole."""
    if form.kind == "parquet":
        chunks, rows = cut_parquet([piece.file for piece in pieces], chunk_bytes)
        return ParseInput(form, tuple(chunks), rows, rows >= _LONG_ROWS)
    size = sum(piece.stop - piece.start for piece in pieces)
    is_long = size >= _LONG_ROWS * _USUAL_ROW_BYTES
    return ParseInput(form, tuple(cut(pieces, chunk_bytes)), size // _least_row_bytes(form) + 1, is_long)


def _least_row_bytes(form: Form) -> int:
    """Return the length of the shortest row: one letter for each value, ten for a date, and what stands between."""
    if form.kind == "jsonl":
        return _LEAST_ROW_BYTES
    values = sum(place >= 0 for place in (form.user, form.item, form.rating, form.timestamp))
    date = _DATE_BYTES - 1 if form.timestamp >= 0 and form.clock == "iso" else 0
    return values + date + (form.width - 1) * len(form.delimiter) + 1


def recognise(file: RawFile, wanted: Wanted) -> Form:
    """Return the form of one plain file."""
    if wanted.format == "parquet" or (wanted.format == "auto" and file.name.endswith((".parquet", ".pq"))):
        return recognise_parquet(file, wanted)
    head = read_range(file.url, file.start, min(file.start + HEAD_BYTES, file.stop))
    in_folders = ", ".join(columns_in(file.name))
    if in_folders:  # which may hold the ratings
        wanted = replace(wanted, events=False)
    is_json = wanted.format == "jsonl" or (wanted.format == "auto" and is_json_lines(head, file.name))
    try:
        return (recognise_jsonl if is_json else recognise_text)(head, file.name, wanted)
    except BadInput as cause:
        if in_folders:
            raise BadInput(
                f"{cause.message}; columns in folder names ({in_folders}) are read for Parquet only"
            ) from cause
        raise


def prepare_leniently(plain: Sequence[RawFile], wanted: Wanted, chunk_bytes: int) -> ParseInput:
    """Prepare files of any form; use the ratings' settings for columns and delimiter only if they fit."""
    try:
        return prepare(plain, wanted, chunk_bytes)
    except BadInput:
        return prepare(plain, replace(wanted, columns=(None, None, None, None), delimiter=""), chunk_bytes)


def unpack_here(source: Source, scratch: str) -> list[RawFile]:
    """Return the plain files of a source; unpack archives to `scratch`."""
    plain: list[RawFile] = []
    for number, stored in enumerate(source.files):
        plain += (
            unpack(stored, join(scratch, f"unpacked-{number:05d}")) if needs_unpacking(stored) else raw_files(stored)
        )
    return plain
