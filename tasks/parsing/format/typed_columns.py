"""Arrow types of columns: accepted types, and plain values without storage details.

Covers: types of ids, ratings and times; decoding dictionaries, extension types, bytes, UUIDs and timestamps.
Does not cover: values (tasks/parsing/rows/typed_values.py), or rows (tasks/parsing/rows/typed_rows.py).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from funkflow.tasks.errors import BadInput
from funkflow.tasks.parsing.format.field_values import Clock
from funkflow.tasks.parsing.format.formats import Form, IdKind, Wanted

_UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def column_form(
    kind: Literal["parquet", "jsonl"], described: str, header: tuple[str, ...], places: tuple[int, int, int, int],
    id_types: tuple[IdKind, IdKind], clock: Clock, wanted: Wanted,
) -> Form:  # fmt: skip
    """Return the form of rows with named, typed columns; `places` and `id_types` as `place_columns` orders them."""
    return Form(
        kind=kind, described=described, width=len(header), header=header, clock=clock, scale=wanted.scale,
        user=places[0], item=places[1], rating=places[2], timestamp=places[3],
        user_type=id_types[0], item_type=id_types[1], counts=wanted.counts_where(places[2]),
    )  # fmt: skip


def refuse_type(kind: pa.DataType, role: str, name: str, file: str) -> None:
    """Raise BadInput if a column of this type cannot have this role.

    Ids are integers, whole floats and decimals, text, bytes of UTF-8 and UUIDs; ratings are numbers, also as text, and
    booleans; times are timestamps, dates, numbers and text. A column of nulls has no type: its rows are bad.
    """
    inner = stored_type(kind)
    is_fit = is_number_type(inner) or is_text_type(inner) or pa.types.is_null(inner)
    if role == "rating":
        is_fit = is_fit or pa.types.is_boolean(inner)
    if role == "timestamp":
        is_fit = is_fit or pa.types.is_timestamp(inner) or pa.types.is_date(inner)
    if is_fit:
        return
    wanted = {"rating": "numbers", "timestamp": "timestamps"}.get(role, "integers or text")
    shown = str(kind) if len(str(kind)) <= 60 else str(kind)[:60] + "…"
    raise BadInput(
        f"{file}: column {name!r} has type {shown}, which cannot be the {role}; write it as {wanted}, "
        f"or name another column in ingest.columns.{role}"
    )


def natural_id_type(kind: pa.DataType) -> IdKind:
    """Return the default kind of ids of this type: integers for numbers, text for all else."""
    return "integer" if is_number_type(kind) else "string"


def exact_integer_limit(kind: pa.DataType) -> int:
    """Return the limit below which floats of this type represent every integer."""
    return 2 ** {16: 11, 32: 24}.get(kind.bit_width, 53) if pa.types.is_floating(kind) else 2**53


def plain_values(column: pa.Array) -> pa.Array:
    """Return the plain values of a column, without loss or checks.

    UUIDs and bytes become text, timestamps and dates whole seconds; time zones, which only affect display, are dropped.
    Bytes stay bytes if some are not UTF-8.
    """
    if isinstance(column.type, pa.BaseExtensionType):
        return plain_values(column.storage)
    if pa.types.is_dictionary(column.type):
        return plain_values(column.dictionary_decode())
    kind = column.type
    if kind == pa.binary(16):
        return _uuids(column)
    if is_text_type(kind):
        try:
            return column.cast(pa.string())
        except pa.ArrowInvalid:
            return column.cast(pa.binary())
    if pa.types.is_date32(kind):
        return pc.multiply(column.cast(pa.int32()).cast(pa.int64()), 86_400)
    if is_instant_type(kind):
        unit = 10**3 if pa.types.is_date64(kind) else _UNITS[kind.unit]
        valid = column.is_valid().to_numpy(zero_copy_only=False)
        ticks = column.cast(pa.int64()).fill_null(0).to_numpy()
        return pa.array(np.floor_divide(ticks, unit), mask=~valid)
    return column


def _uuids(column: pa.Array) -> pa.Array:
    """Write 16 bytes as 8-4-4-4-12 hexadecimal digits."""
    texts = [None if value is None else value.hex() for value in column.to_pylist()]
    return pa.array(
        [text and f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}" for text in texts], pa.string()
    )


def stored_type(kind: pa.DataType) -> pa.DataType:
    """Return the storage type of a column's values, below dictionaries and extension types."""
    if isinstance(kind, pa.BaseExtensionType):
        return stored_type(kind.storage_type)
    return stored_type(kind.value_type) if pa.types.is_dictionary(kind) else kind


def is_number_type(kind: pa.DataType) -> bool:
    """Return whether values are numbers, in any storage."""
    kind = stored_type(kind)
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def is_text_type(kind: pa.DataType) -> bool:
    """Return whether values are text, or bytes that may be text."""
    return kind in (pa.string(), pa.large_string(), pa.string_view()) or _is_bytes_type(kind)


def _is_bytes_type(kind: pa.DataType) -> bool:
    return kind in (pa.binary(), pa.large_binary(), pa.binary_view()) or bool(pa.types.is_fixed_size_binary(kind))


def is_instant_type(kind: pa.DataType) -> bool:
    """Return whether values are timestamps or dates."""
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))
