"""Parse JSON lines, one object a line, to the same rows as other forms.

Covers: recognising columns by their keys, reading plain lines with pyarrow's reader, and all others one by one.
Does not cover: converting values (typed_rows.py, typed_values.py), or JSON in one array
(tasks/parsing/sources/other_kinds.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.json

from funkflow.tasks.errors import BadInput
from funkflow.tasks.parsing.format.columns import ROLES, place_columns
from funkflow.tasks.parsing.format.formats import HEAD_BYTES, Form, IdKind, IdType, Wanted
from funkflow.tasks.parsing.format.typed_columns import column_form
from funkflow.tasks.parsing.rows.lines import UTF8_REMEDY, BadField, Row
from funkflow.tasks.parsing.rows.rows import (
    ParsedRows,
    RejectedRow,
    column_names,
    refuse_too_many_rejected,
    row_schema,
    value_array,
)
from funkflow.tasks.parsing.rows.typed_rows import convert_if_plain, make_judges
from funkflow.tasks.parsing.rows.typed_values import Judge, clock_of_values
from funkflow.tasks.parsing.sources.chunks import Chunk, Piece, count_lines_before, read_lines
from funkflow.tasks.parsing.sources.codecs import plain_name
from funkflow.tasks.parsing.sources.other_kinds import refuse_bytes
from funkflow.tasks.storage import files

_SLOW_BYTES = 128 * 1024
"""If the fast reader fails, the parser reads text up to this size line by line, and halves longer text."""

_SAMPLE_LINES = 1000
_BLOCK_BYTES = 4 * 2**20  # longer than any line may be
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_OBJECT = re.compile(rb'(\xef\xbb\xbf)?\s*\{\s*"')
_ONE_A_LINE = "write one object a line, for instance by jq -c ."
_NO_VALUE = {list: "lists", dict: "objects", bool: "true and false"}
_TYPES = {int: pa.int64(), str: pa.string()}


def is_json_lines(head: bytes, name: str) -> bool:
    """Return whether a file is JSON lines, by its name or by an object at its beginning."""
    return plain_name(name).lower().endswith((".jsonl", ".ndjson")) or bool(_OBJECT.match(head))


def recognise_jsonl(head: bytes, name: str, wanted: Wanted) -> Form:
    """Return the form of JSON lines from the first lines; columns have the order of the keys.

    Raises
    ------
    BadInput
        The first line is no object, or the columns are unclear or hold unusable values.
    """
    refuse_bytes(head, name)
    sample = _sample_records(head, name)
    header = tuple(dict.fromkeys(key for record in sample for key in record))
    places = place_columns(header, wanted.columns, wanted.ratings, name, events=wanted.events)
    values = {
        role: [value for record in sample if (value := record.get(header[place])) is not None]
        for role, place in zip(ROLES, places, strict=True)
        if place >= 0
    }
    for role, place in zip(ROLES, places, strict=True):
        if place >= 0:
            _refuse_nested(values[role], role, header[place], name)
    return column_form(
        kind="jsonl",
        described=f"JSON lines (columns {', '.join(header)})",
        header=header,
        places=places,
        id_types=(
            _guess_json_id_type(wanted.user_type, values["user"]),
            _guess_json_id_type(wanted.item_type, values["item"]),
        ),
        clock=clock_of_values(values.get("timestamp", [])),
        wanted=wanted,
    )


def parse_json_lines(chunk: Chunk, form: Form, stop_at_first: bool) -> ParsedRows:
    """Read the lines of a chunk; skip blank ones."""
    tables: list[pa.Table] = [row_schema(form).empty_table()]
    rejected: list[RejectedRow] = []
    for piece in chunk:
        data, begin = _lines_of(piece)
        if (table := _read_plain_lines(data, form)) is not None:
            tables.append(table)
            continue
        line = 1 + count_lines_before(piece.file, begin)
        for part, first in _split_until_plain(data, form, line):
            if isinstance(part, pa.Table):
                tables.append(part)
                continue
            rows = []
            for _, found in _read_one_by_one(part, form, piece.file.name, first):
                if isinstance(found, RejectedRow):
                    rejected.append(found)
                    refuse_too_many_rejected(rejected)
                else:
                    rows.append(found)
            tables.append(_rows_table(rows, form))
            if rejected and stop_at_first:
                return ParsedRows(pa.concat_tables(tables), tuple(rejected))
    return ParsedRows(pa.concat_tables(tables), tuple(rejected))


def numbered_rows(piece: Piece, form: Form, line: int) -> Iterator[tuple[int, Row]]:
    """Yield the good rows of a piece with their line numbers; `line` is that of the first."""
    for number, found in _read_one_by_one(_lines_of(piece)[0], form, piece.file.name, line):
        if not isinstance(found, RejectedRow):
            yield number, found


def _sample_records(head: bytes, name: str) -> list[files.JsonObject]:
    lines = head.removeprefix(_BYTE_ORDER_MARK).split(b"\n")
    if len(lines) > 1 and len(head) >= HEAD_BYTES:
        lines = lines[:-1]
    records: list[files.JsonObject] = []
    for number, line in enumerate(lines[:_SAMPLE_LINES], start=1):
        if not line.strip():
            continue
        try:
            records.append(_load_record(line))
        except BadField as bad:
            if not records:
                raise BadInput(f"{name}:{number}: {bad.reason}; {_ONE_A_LINE}") from bad
        except UnicodeDecodeError:
            raise _wrong_encoding(line, name, number) from None
    if not records:
        raise BadInput(f"{name}: the file is empty; fetch it again or leave it out of ingest.ratings")
    return records


def _refuse_nested(values: Sequence[Any], role: str, column: str, name: str) -> None:
    """Raise BadInput if no value of a column is usable."""
    kinds = {type(value) for value in values}
    unfit = [what for kind, what in _NO_VALUE.items() if kind in kinds and not (kind is bool and role == "rating")]
    if values and len(unfit) == len(kinds):
        raise BadInput(
            f"{name}:1: column {column!r} holds {' and '.join(unfit)}, which cannot be the {role}; "
            f"name another column in ingest.columns.{role}"
        )


def _guess_json_id_type(wanted: IdType, values: Sequence[Any]) -> IdKind:
    if wanted != "auto":
        return wanted
    return "integer" if values and all(type(value) in (int, float) for value in values) else "string"


def _lines_of(piece: Piece) -> tuple[bytes, int]:
    data, begin = read_lines(piece)
    if begin == piece.file.start:
        refuse_bytes(data, piece.file.name)
        data = data.removeprefix(_BYTE_ORDER_MARK)
    return data, begin


def _split_until_plain(data: bytes, form: Form, line: int) -> Iterator[tuple[pa.Table | bytes, int]]:
    """Yield parts of the lines with their first line number: plain parts as rows, others as small texts."""
    middle = data.rfind(b"\n", 0, len(data) // 2) + 1
    if len(data) <= _SLOW_BYTES or middle == 0:
        yield data, line
        return
    for part, first in ((data[:middle], line), (data[middle:], line + data.count(b"\n", 0, middle))):
        table = _read_plain_lines(part, form)
        if table is not None:
            yield table, first
        else:
            yield from _split_until_plain(part, form, first)


def _read_plain_lines(data: bytes, form: Form) -> pa.Table | None:
    """Return the rows of lines, or None if anything is unusual.

    Each line has to begin with an object: pyarrow's reader reads two objects in a line as two rows, and crashes on a
    text that begins with null (version 26.0).
    """
    if not data:
        return row_schema(form).empty_table()
    lines = data.count(b"\n") + (not data.endswith(b"\n"))
    if data.startswith(b"{") + data.count(b"\n{") != lines:
        return None
    try:
        first = _load_record(data[: data.find(b"\n")] if b"\n" in data else data)
        columns = column_names(form)
        schema = pa.schema([(name, _type(role, first.get(name), form)) for role, name in columns.items()])
        raw = pyarrow.json.read_json(
            pa.BufferReader(data),
            read_options=pyarrow.json.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES),
            parse_options=pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
        )
        raw.validate(full=True)
    except (pa.ArrowException, UnicodeDecodeError, BadField):
        return None
    raw = raw.select(schema.names).rename_columns(list(columns))
    return convert_if_plain(raw, form) if raw.num_rows == lines else None


def _type(role: str, value: Any, form: Form) -> pa.DataType:
    """Return the type of a column whose values are all like the first one."""
    if role == "rating":
        return {str: pa.string(), bool: pa.bool_()}.get(type(value), pa.float64())
    if role == "timestamp":
        # A float cannot hold all integers that count nanoseconds.
        is_float = isinstance(value, float) and form.clock in ("seconds", "milliseconds")
        return pa.float64() if is_float else _TYPES.get(type(value), pa.int64())
    kind = form.user_type if role == "user" else form.item_type
    return _TYPES.get(type(value), pa.int64() if kind == "integer" else pa.string())


def _read_one_by_one(data: bytes, form: Form, file: str, line: int) -> Iterator[tuple[int, Row | RejectedRow]]:
    """Yield each line's number with its row or its rejection: the plain reference."""
    names = list(column_names(form).values())
    each_judge = make_judges(form, dict.fromkeys(column_names(form), pa.null()))
    lines = data.split(b"\n")
    for number, raw in enumerate(lines, start=line):
        if not raw.strip():
            continue
        cut_short = " (no line end: the file seems cut short)" if number == line + len(lines) - 1 else ""
        try:
            yield number, _judge_record(_load_record(raw), names, each_judge)
        except BadField as bad:
            yield number, RejectedRow(file, number, raw.decode().rstrip("\r"), bad.reason + cut_short, bad.remedy)
        except UnicodeDecodeError:
            raise _wrong_encoding(raw, file, number) from None


def _judge_record(record: files.JsonObject, names: Sequence[str], each_judge: Sequence[Judge]) -> Row:
    return tuple(judge(record.get(name)) for name, judge in zip(names, each_judge, strict=True))


def _load_record(line: bytes) -> files.JsonObject:
    text = line.decode()
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        raise BadField("the line is not one JSON object")
    return record


def _wrong_encoding(line: bytes, file: str, number: int) -> BadInput:
    shown = line.decode("utf-8", "backslashreplace")[:80]
    return BadInput(f"{file}:{number}: wrong encoding, these bytes are not UTF-8: {shown!r}; {UTF8_REMEDY}")


def _rows_table(rows: Sequence[Row], form: Form) -> pa.Table:
    schema = row_schema(form)
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(schema)
    arrays = [value_array(list(values), kind) for values, kind in zip(columns, schema.types, strict=True)]
    return pa.table(arrays, schema=schema)
