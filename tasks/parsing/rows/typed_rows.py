"""Typed columns, as Parquet and JSON lines have them, to rows: one conversion, whatever else stands in a chunk.

Covers: good rows and rejected ones. What is plain is converted a column at a time; every other value is judged by
itself (typed_values.py), and the row takes what is found there.
Does not cover: types (tasks/parsing/format/typed_columns.py), reading the columns (parquet.py), or text (lines.py).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from funkflow.tasks.errors import BadInput
from funkflow.tasks.parsing.format.formats import Form
from funkflow.tasks.parsing.format.typed_columns import exact, is_instant, is_number, plain, stored
from funkflow.tasks.parsing.rows.lines import LARGEST_FLOAT32, BadField
from funkflow.tasks.parsing.rows.rows import EARLIEST_SECONDS, LATEST_SECONDS, Parsed, Rejected, row_schema
from funkflow.tasks.parsing.rows.typed_values import TICKS, Judge, id_of, rating_of, seconds_of

MOST_REJECTED = 200_000
"""So many bad rows in one chunk are no stray rows, and to keep them all would take memory without bound."""

_PLAIN_INTEGER = r"^(0|-?[1-9][0-9]{0,17})$"
_PLAIN_NUMBER = r"^-?[0-9]{1,30}(\.[0-9]{1,30})?$"
_PLAIN_DATE = r"^[12][0-9]{7}$"
_PLAIN_TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9]{2}:[0-9]{2}:[0-9]{2})?$"

_Sure = tuple[pa.Array, npt.NDArray[np.bool_]]
"""Values, and which of them are right; the others are of no meaning."""


def convert(raw: pa.Table, form: Form, file: str, first: int) -> Parsed:
    """Return the good rows of a table, and the bad ones with their reasons.

    Parameters
    ----------
    raw : columns user, item, rating and timestamp as far as the form has them, of types that were not refused.
    first : number of the first row in `file`.

    Raises
    ------
    BadInput
        More than `MOST_REJECTED` rows are bad.
    """
    schema = row_schema(form)
    batches: list[pa.RecordBatch] = []
    rejected: list[Rejected] = []
    for batch in raw.to_batches():
        batches.append(_converted(batch, form, schema, file, first, rejected))
        first += batch.num_rows
    return Parsed(pa.Table.from_batches(batches, schema), tuple(rejected))


def convert_if_plain(raw: pa.Table, form: Form) -> pa.Table | None:
    """Return all rows of such a table, or None if there is a value among them that has to be judged by itself."""
    columns = []
    for name, column in zip(raw.column_names, raw.columns, strict=True):
        found = [_sure(name, plain(chunk), stored(chunk.type), form) for chunk in column.chunks]
        if not all(sure.all() for _, sure in found):
            return None
        columns.append(pa.chunked_array([values for values, _ in found], row_schema(form).field(name).type))
    return pa.table(columns, schema=row_schema(form))


def rejected_row(names: list[str], values: list[Any], file: str, line: int, bad: BadField) -> Rejected:
    """Return a bad row as it is shown: every column with its value."""
    shown = ", ".join(f"{name}={_readable(value)!r}" for name, value in zip(names, values, strict=True))
    return Rejected(file, line, shown, bad.reason, bad.remedy)


def _readable(value: Any) -> Any:
    """Return bytes as text if that is what they are, as in a chunk where all are."""
    try:
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        return value


def refuse_too_many(rejected: list[Rejected]) -> None:
    """Raise BadInput if so many rows are bad that something else is wrong."""
    if len(rejected) > MOST_REJECTED:
        raise BadInput(
            f"{rejected[0].message()}; more than {MOST_REJECTED:,} rows from there on are bad, "
            "so check ingest.format, ingest.columns and ingest.scale"
        )


def judges(form: Form, kinds: dict[str, pa.DataType]) -> list[Judge]:
    """Return for each column of `kinds` the function that judges one value of it."""
    found: list[Judge] = []
    for name, kind in kinds.items():
        if name == "rating":
            found.append(partial(rating_of, scale=form.scale))
        elif name == "timestamp":
            found.append(partial(seconds_of, ticks=_ticks(kind, form)))
        else:
            wanted = form.user_type if name == "user" else form.item_type
            found.append(partial(id_of, wanted=wanted, role=name, exact=exact(kind)))
    return found


def _converted(
    batch: pa.RecordBatch, form: Form, schema: pa.Schema, file: str, first: int, rejected: list[Rejected]
) -> pa.RecordBatch:
    names = batch.schema.names
    kinds = {name: stored(column.type) for name, column in zip(names, batch.columns, strict=True)}
    bare = [plain(column) for column in batch.columns]
    found = [_sure(name, column, kinds[name], form) for name, column in zip(names, bare, strict=True)]
    is_sure = np.logical_and.reduce([sure for _, sure in found])
    columns = [values for values, _ in found]
    if not is_sure.all():
        unsure = np.flatnonzero(~is_sure)
        judged, kept = [], []
        each_judge = judges(form, kinds)
        rows = zip(*(column.take(pa.array(unsure)).to_pylist() for column in bare), strict=True)
        for place, row in zip(unsure.tolist(), rows, strict=True):
            try:
                judged.append([judge(value) for judge, value in zip(each_judge, row, strict=True)])
                kept.append(place)
            except BadField as bad:
                rejected.append(rejected_row(names, list(row), file, first + place, bad))
                refuse_too_many(rejected)
        columns = _mended(columns, schema, judged, kept)
        is_good = is_sure.copy()
        is_good[kept] = True
        columns = [column.filter(pa.array(is_good)) for column in columns]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _mended(columns: list[pa.Array], schema: pa.Schema, judged: list[list[Any]], places: list[int]) -> list[pa.Array]:
    """Put values that were judged by themselves into their places."""
    if not places:
        return columns
    mask = np.zeros(len(columns[0]), np.bool_)
    mask[places] = True
    by_column = [list(values) for values in zip(*judged, strict=True)]
    return [
        pc.replace_with_mask(column, pa.array(mask), value_array(values, kind))
        for column, values, kind in zip(columns, by_column, schema.types, strict=True)
    ]


def value_array(values: list[Any], kind: pa.DataType) -> pa.Array:
    """Return judged values as an array of their column's type."""
    if pa.types.is_timestamp(kind):
        return pa.array(values, pa.int64()).cast(kind)
    return pa.array(np.array(values, np.float32)) if pa.types.is_floating(kind) else pa.array(values, kind)


def _ticks(kind: pa.DataType, form: Form) -> int:
    """Return how many of a column's numbers make a second."""
    return 1 if is_instant(kind) else TICKS.get(form.clock, 1)


def _sure(name: str, column: pa.Array, kind: pa.DataType, form: Form) -> _Sure:
    """Convert what is plain of a column (of the stored type `kind`); where in doubt, a value is left to its judge."""
    try:
        if name == "rating":
            return _sure_ratings(column, form.scale)
        if name == "timestamp":
            return _sure_times(column, _ticks(kind, form))
        return _sure_ids(column, form.user_type if name == "user" else form.item_type)
    except pa.ArrowException:
        return pa.nulls(len(column), row_schema(form).field(name).type), np.zeros(len(column), np.bool_)


def _sure_ids(column: pa.Array, wanted: str) -> _Sure:
    if wanted == "string" and pa.types.is_string(column.type):
        return column, _where(pc.greater(pc.binary_length(column), 0))
    if wanted == "string" and pa.types.is_integer(column.type):
        return column.cast(pa.string()), _where(column.is_valid())
    integers, sure = _sure_integers(column)
    return (integers.cast(pa.string()) if wanted == "string" else integers), sure


def _sure_integers(column: pa.Array) -> _Sure:
    kind = column.type
    if pa.types.is_floating(kind):
        floats = column.to_numpy(zero_copy_only=False)  # null becomes NaN
        with np.errstate(invalid="ignore"):
            sure = (np.floor(floats) == floats) & (np.abs(floats.astype(np.float64)) < exact(kind))
        return pa.array(np.where(sure, floats, 0).astype(np.int64)), sure
    if pa.types.is_string(kind):
        sure = _where(pc.match_substring_regex(column, _PLAIN_INTEGER))
        return pc.if_else(pa.array(sure), column, "0").cast(pa.int64()), sure
    sure = _where(column.is_valid())
    return column.fill_null(0).cast(pa.int64()), sure


def _sure_ratings(column: pa.Array, scale: tuple[float, float] | None) -> _Sure:
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.string())
    if pa.types.is_string(column.type):
        is_plain = pc.match_substring_regex(column, _PLAIN_NUMBER)
        column = pc.if_else(is_plain, column, None).cast(pa.float64())
    elif pa.types.is_boolean(column.type):
        column = column.cast(pa.uint8())
    elif not is_number(column.type):
        raise pa.ArrowInvalid("no numbers")
    numbers = column.to_numpy(zero_copy_only=False).astype(np.float64)  # null becomes NaN
    least, greatest = scale or (-LARGEST_FLOAT32, LARGEST_FLOAT32)
    with np.errstate(invalid="ignore", over="ignore"):
        return pa.array(numbers.astype(np.float32)), (numbers >= least) & (numbers <= greatest)  # NaN fails both


def _sure_times(column: pa.Array, ticks: int) -> _Sure:
    if pa.types.is_string(column.type):
        is_plain = pc.match_substring_regex(column, _PLAIN_TIME)
        column, ticks = pc.if_else(is_plain, column, None).cast(pa.timestamp("s")).cast(pa.int64()), 1
    elif not ticks:
        texts = column.cast(pa.int64()).cast(pa.string())
        texts = pc.if_else(pc.match_substring_regex(texts, _PLAIN_DATE), texts, None)
        column, ticks = pc.strptime(texts, "%Y%m%d", "s", error_is_null=True).cast(pa.int64()), 1
    if pa.types.is_floating(column.type):
        floats = np.floor(column.to_numpy(zero_copy_only=False).astype(np.float64))
        sure = np.abs(floats) < 2.0**62
        numbers = np.where(sure, floats, 0).astype(np.int64)
    elif pa.types.is_integer(column.type):
        sure = _where(column.is_valid())
        numbers = column.fill_null(0).cast(pa.int64()).to_numpy()
    else:
        raise pa.ArrowInvalid("no numbers")
    seconds = np.floor_divide(numbers, ticks)
    sure &= (seconds >= EARLIEST_SECONDS) & (seconds <= LATEST_SECONDS)
    return pa.array(np.where(sure, seconds, 0)).cast(pa.timestamp("s")), sure


def _where(mask: pa.BooleanArray) -> npt.NDArray[np.bool_]:
    """Return a mask; null is no."""
    found: npt.NDArray[np.bool_] = mask.fill_null(False).to_numpy(zero_copy_only=False)
    return found.copy()
