"""Parquet ratings to the same rows as text gives.

Covers: recognising the columns of a Parquet file, cutting it by row groups, and converting and judging its values.
Does not cover: text (parse.py), or Parquet files that funkflow itself wrote (files.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.chunks import Chunk, Piece, RawFile
from tasks.columns import place_columns
from tasks.errors import BadInput
from tasks.filesystems import filesystem, is_local, reaching
from tasks.formats import Form, Wanted
from tasks.parse_lines import BadField, judge_row
from tasks.rows import EARLIEST_SECONDS, LATEST_SECONDS, Parsed, Rejected, row_schema

_LARGEST_FLOAT32 = float(np.finfo(np.float32).max)


def recognise_parquet(file: RawFile, wanted: Wanted) -> Form:
    """Return the form of a Parquet file from its schema.

    Raises
    ------
    BadInput
        Not a Parquet file (or one cut short), or its columns are not recognised.
    """
    schema = _open(file).schema_arrow
    user, item, rating, timestamp = place_columns(schema.names, wanted.columns, wanted.ratings, file.name)
    types = [schema.field(place).type for place in (user, item)]
    user_type, item_type = (
        asked if asked != "auto" else "integer" if pa.types.is_integer(kind) else "string"
        for asked, kind in zip((wanted.user_type, wanted.item_type), types, strict=True)
    )
    return Form(
        kind="parquet",
        described=f"Parquet (columns {', '.join(schema.names)})",
        width=len(schema.names),
        user=user,
        item=item,
        rating=rating,
        timestamp=timestamp,
        user_type=user_type,
        item_type=item_type,
        header=tuple(schema.names),
        scale=wanted.scale,
    )


def cut_parquet(raw_files: list[RawFile], chunk_bytes: int) -> tuple[list[Chunk], int]:
    """Cut Parquet files by row groups to chunks of about `chunk_bytes` unpacked; return them and the rows."""
    chunks: list[Chunk] = []
    rows = 0
    for file in raw_files:
        metadata = _open(file).metadata
        rows += metadata.num_rows
        start, gathered = 0, 0
        for group in range(metadata.num_row_groups):
            size = metadata.row_group(group).total_byte_size
            if group > start and gathered + size > chunk_bytes:
                chunks.append((Piece(file, start, group),))
                start, gathered = group, 0
            gathered += size
        chunks.append((Piece(file, start, metadata.num_row_groups),))
    return chunks, rows


def parse_row_groups(chunk: Chunk, form: Form) -> Parsed:
    """Read the row groups of a chunk; `line` of a rejected row is its number in the file, from 1."""
    parsed = [_parse_piece(piece, form) for piece in chunk]
    return Parsed(
        pa.concat_tables([part.table for part in parsed]), tuple(row for part in parsed for row in part.rejected)
    )


def _open(file: RawFile) -> pq.ParquetFile:
    if file.start:
        raise BadInput(f"{file.name}: Parquet inside an archive is not read; unpack it first")
    system, path = filesystem(file.url)
    try:
        with reaching(file.url):
            # Of a remote file only what is asked for, columns that lie together in one request.
            remote = not is_local(system)
            return pq.ParquetFile(system.open(path, "rb", cache_type="none" if remote else None), pre_buffer=remote)
    except (pa.ArrowException, OSError) as cause:
        raise BadInput(
            f"{file.name}: not a whole Parquet file ({cause}); it is damaged or cut short, fetch it anew"
        ) from cause


def _parse_piece(piece: Piece, form: Form) -> Parsed:
    source = _open(piece.file)
    if tuple(source.schema_arrow.names) != form.header:
        raise BadInput(
            f"{piece.file.name}: its columns {', '.join(source.schema_arrow.names)} are not those of the first file; "
            "ingest them apart"
        )
    places = [place for place in (form.user, form.item, form.rating, form.timestamp) if place >= 0]
    names = [form.header[place] for place in places]
    try:
        with reaching(piece.file.url):
            raw = source.read_row_groups(range(piece.start, piece.stop), columns=names).select(names)
    except (pa.ArrowException, OSError) as cause:
        raise BadInput(
            f"{piece.file.name}: cannot be read ({cause}); it is damaged or cut short, fetch it anew"
        ) from cause
    raw = raw.rename_columns(row_schema(form).names)
    fast = _fast(raw, form)
    if fast is not None:
        return Parsed(fast, ())
    above = sum(source.metadata.row_group(group).num_rows for group in range(piece.start))
    return _slow(raw, form, piece.file.name, above)


def _fast(raw: pa.Table, form: Form) -> pa.Table | None:
    if any(column.null_count for column in raw.columns):
        return None
    columns = []
    for name, kind in zip(raw.column_names, row_schema(form).types, strict=True):
        try:
            columns.append(_convert(raw[name], name, kind, form.scale))
        except pa.ArrowException:
            return None
    return pa.table(columns, schema=row_schema(form))


def _convert(
    column: pa.ChunkedArray, name: str, kind: pa.DataType, scale: tuple[float, float] | None
) -> pa.ChunkedArray:
    """Return the column as its kind; raise ArrowInvalid where a value has to be judged by itself."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if name == "timestamp":
        return _times(column)
    if name == "rating":
        values = column.cast(pa.float64()).to_numpy()
        least, greatest = scale or (-_LARGEST_FLOAT32, _LARGEST_FLOAT32)
        if len(values) and not (values.min() >= least and values.max() <= greatest):  # NaN fails both
            raise pa.ArrowInvalid("a rating outside the scale")
        return pa.chunked_array([values.astype(np.float32)])
    if pa.types.is_integer(kind) and not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise pa.ArrowInvalid("integers written as text")
    ids = column.cast(kind)
    if pa.types.is_string(kind) and len(ids) and pc.min(pc.binary_length(ids)).as_py() == 0:
        raise pa.ArrowInvalid("an empty id")
    return ids


def _times(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_timestamp(column.type):
        # Floor in the column's own unit; a time zone only says how an instant is shown.
        unit = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[column.type.unit]
        seconds = np.floor_divide(column.cast(pa.int64()).to_numpy(), unit)
    elif pa.types.is_integer(column.type):
        seconds = column.cast(pa.int64()).to_numpy()
    else:
        seconds = column.cast(pa.timestamp("s")).cast(pa.int64()).to_numpy()
    if len(seconds) and not (seconds.min() >= EARLIEST_SECONDS and seconds.max() <= LATEST_SECONDS):
        raise pa.ArrowInvalid("a time outside the years 1 to 9999")
    return pa.chunked_array([pa.array(seconds).cast(pa.timestamp("s"))])


def _text(value: Any) -> str:
    """Write a value as it would stand in a text file; a table with gaps has its integers as 1.0, 2.0, ..."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)


def _slow(raw: pa.Table, form: Form, file: str, above: int) -> Parsed:
    rows, rejected = [], []
    for number, values in enumerate(zip(*(column.to_pylist() for column in raw.columns), strict=True), start=above + 1):
        texts = dict(zip(raw.column_names, map(_text, values), strict=True))
        try:
            rows.append(judge_row(texts["user"], texts["item"], texts.get("rating"), texts.get("timestamp"), form))
        except BadField as bad:
            shown = ", ".join(f"{name}={value!r}" for name, value in zip(raw.column_names, values, strict=True))
            rejected.append(Rejected(file, number, shown, bad.reason, bad.remedy))
    columns = list(zip(*rows, strict=True)) or [()] * raw.num_columns
    schema = row_schema(form)
    arrays = [
        pa.array(values, pa.int64()).cast(kind) if pa.types.is_timestamp(kind) else pa.array(values, kind)
        for values, kind in zip(columns, schema.types, strict=True)
    ]
    return Parsed(pa.table(arrays, schema=schema), tuple(rejected))
