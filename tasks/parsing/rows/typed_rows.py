"""Convert typed columns of Parquet and JSON lines to rows; the result for a row does not depend on its chunk.

Covers: good and rejected rows. Plain values are converted a column at a time, all others one by one
(typed_values.py).
Does not cover: types (tasks/parsing/format/typed_columns.py), reading the columns (parquet.py), or text (lines.py).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from funkflow.tasks.parsing.format.formats import Form
from funkflow.tasks.parsing.format.typed_columns import (
    exact_integer_limit,
    is_instant_type,
    is_number_type,
    plain_values,
    stored_type,
)
from funkflow.tasks.parsing.rows.lines import BadField
from funkflow.tasks.parsing.rows.rows import (
    EARLIEST_SECONDS,
    LARGEST_FLOAT32,
    LATEST_SECONDS,
    ParsedRows,
    RejectedRow,
    refuse_too_many_rejected,
    row_schema,
    value_array,
)
from funkflow.tasks.parsing.rows.typed_values import TICKS, Judge, id_of, rating_of, seconds_of

_PLAIN_INTEGER = r"^(0|-?[1-9][0-9]{0,17})$"
_PLAIN_NUMBER = r"^-?[0-9]{1,30}(\.[0-9]{1,30})?$"
_PLAIN_DATE = r"^[12][0-9]{7}$"
_PLAIN_TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9]{2}:[0-9]{2}:[0-9]{2})?$"

_Sure = tuple[pa.Array, npt.NDArray[np.bool_]]
"""Values (n,), and a mask, bool (n,), of those that are certain; the others have no meaning."""


def convert(raw: pa.Table, form: Form, file: str, first: int) -> ParsedRows:
    """Return the good rows of a table, and the bad ones with their reasons.

    Parameters
    ----------
    raw : the form's columns of user, item, rating and timestamp, all of accepted types.
    first : number of the first row in `file`.

    Raises
    ------
    BadInput
        More than `MOST_REJECTED` rows are bad.
    """
    schema = row_schema(form)
    batches: list[pa.RecordBatch] = []
    rejected: list[RejectedRow] = []
    for batch in raw.to_batches():
        good, bad = _convert_batch(batch, form, file, first)
        batches.append(good)
        rejected += bad
        refuse_too_many_rejected(rejected)
        first += batch.num_rows
    return ParsedRows(pa.Table.from_batches(batches, schema), tuple(rejected))


def convert_if_plain(raw: pa.Table, form: Form) -> pa.Table | None:
    """Return all rows of such a table, or None if some value is not plain."""
    columns = []
    for name, column in zip(raw.column_names, raw.columns, strict=True):
        found = [_convert_sure(name, plain_values(chunk), stored_type(chunk.type), form) for chunk in column.chunks]
        if not all(sure.all() for _, sure in found):
            return None
        columns.append(pa.chunked_array([values for values, _ in found], row_schema(form).field(name).type))
    return pa.table(columns, schema=row_schema(form))


def rejected_row(names: list[str], values: list[Any], file: str, line: int, bad: BadField) -> RejectedRow:
    """Return a bad row whose text has every column with its value."""
    shown = ", ".join(f"{name}={_decode_if_text(value)!r}" for name, value in zip(names, values, strict=True))
    return RejectedRow(file, line, shown, bad.reason, bad.remedy)


def _decode_if_text(value: Any) -> Any:
    """Return bytes that are UTF-8 as text, and all else as it is."""
    try:
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        return value


def make_judges(form: Form, kinds: dict[str, pa.DataType]) -> list[Judge]:
    """Return for each column of `kinds` the function that converts one value."""
    found: list[Judge] = []
    for name, kind in kinds.items():
        if name == "rating":
            found.append(partial(rating_of, scale=form.scale))
        elif name == "timestamp":
            found.append(partial(seconds_of, ticks=_ticks_per_second(kind, form)))
        else:
            wanted = form.user_type if name == "user" else form.item_type
            found.append(partial(id_of, wanted=wanted, role=name, exact=exact_integer_limit(kind)))
    return found


def _convert_batch(
    batch: pa.RecordBatch, form: Form, file: str, first: int
) -> tuple[pa.RecordBatch, list[RejectedRow]]:
    names, schema = batch.schema.names, row_schema(form)
    rejected: list[RejectedRow] = []
    kinds = {name: stored_type(column.type) for name, column in zip(names, batch.columns, strict=True)}
    bare = [plain_values(column) for column in batch.columns]
    found = [_convert_sure(name, column, kinds[name], form) for name, column in zip(names, bare, strict=True)]
    is_sure = np.logical_and.reduce([sure for _, sure in found])
    columns = [values for values, _ in found]
    if not is_sure.all():
        unsure = np.flatnonzero(~is_sure)
        values_by_row, good_places = [], []
        each_judge = make_judges(form, kinds)
        rows = zip(*(column.take(pa.array(unsure)).to_pylist() for column in bare), strict=True)
        for place, row in zip(unsure.tolist(), rows, strict=True):
            try:
                values_by_row.append([judge(value) for judge, value in zip(each_judge, row, strict=True)])
                good_places.append(place)
            except BadField as bad:
                rejected.append(rejected_row(names, list(row), file, first + place, bad))
                refuse_too_many_rejected(rejected)
        columns = _fill_in(columns, schema, values_by_row, good_places)
        is_good = is_sure.copy()
        is_good[good_places] = True
        columns = [column.filter(pa.array(is_good)) for column in columns]
    return pa.RecordBatch.from_arrays(columns, schema=schema), rejected


def _fill_in(columns: list[pa.Array], schema: pa.Schema, rows: list[list[Any]], places: list[int]) -> list[pa.Array]:
    """Put single converted rows at their places in the columns."""
    if not places:
        return columns
    mask = np.zeros(len(columns[0]), np.bool_)
    mask[places] = True
    by_column = [list(values) for values in zip(*rows, strict=True)]
    return [
        pc.replace_with_mask(column, pa.array(mask), value_array(values, kind))
        for column, values, kind in zip(columns, by_column, schema.types, strict=True)
    ]


def _ticks_per_second(kind: pa.DataType, form: Form) -> int:
    """Return the ticks per second of a column's numbers."""
    return 1 if is_instant_type(kind) else TICKS.get(form.clock, 1)


def _convert_sure(name: str, column: pa.Array, kind: pa.DataType, form: Form) -> _Sure:
    """Convert the plain values of a column of the stored type `kind`; leave all others to their judge."""
    try:
        if name == "rating":
            return _sure_ratings(column, form.scale)
        if name == "timestamp":
            return _sure_times(column, _ticks_per_second(kind, form))
        return _sure_ids(column, form.user_type if name == "user" else form.item_type)
    except pa.ArrowException:
        return pa.nulls(len(column), row_schema(form).field(name).type), np.zeros(len(column), np.bool_)


def _sure_ids(column: pa.Array, wanted: str) -> _Sure:
    if wanted == "string" and pa.types.is_string(column.type):
        return column, _to_mask(pc.greater(pc.binary_length(column), 0))
    if wanted == "string" and pa.types.is_integer(column.type):
        return column.cast(pa.string()), _to_mask(column.is_valid())
    integers, sure = _sure_integers(column)
    return (integers.cast(pa.string()) if wanted == "string" else integers), sure


def _sure_integers(column: pa.Array) -> _Sure:
    kind = column.type
    if pa.types.is_floating(kind):
        floats = column.to_numpy(zero_copy_only=False)  # null becomes NaN
        with np.errstate(invalid="ignore"):
            sure = (np.floor(floats) == floats) & (np.abs(floats.astype(np.float64)) < exact_integer_limit(kind))
        return pa.array(np.where(sure, floats, 0).astype(np.int64)), sure
    if pa.types.is_string(kind):
        sure = _to_mask(pc.match_substring_regex(column, _PLAIN_INTEGER))
        return pc.if_else(pa.array(sure), column, "0").cast(pa.int64()), sure
    sure = _to_mask(column.is_valid())
    return column.fill_null(0).cast(pa.int64()), sure


def _sure_ratings(column: pa.Array, scale: tuple[float, float] | None) -> _Sure:
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.string())
    if pa.types.is_string(column.type):
        is_plain = pc.match_substring_regex(column, _PLAIN_NUMBER)
        column = pc.if_else(is_plain, column, None).cast(pa.float64())
    elif pa.types.is_boolean(column.type):
        column = column.cast(pa.uint8())
    elif not is_number_type(column.type):
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
        sure = _to_mask(column.is_valid())
        numbers = column.fill_null(0).cast(pa.int64()).to_numpy()
    else:
        raise pa.ArrowInvalid("no numbers")
    seconds = np.floor_divide(numbers, ticks)
    sure &= (seconds >= EARLIEST_SECONDS) & (seconds <= LATEST_SECONDS)
    return pa.array(np.where(sure, seconds, 0)).cast(pa.timestamp("s")), sure


def _to_mask(mask: pa.BooleanArray) -> npt.NDArray[np.bool_]:
    """Return a mask, bool (n,); null is False."""
    found: npt.NDArray[np.bool_] = mask.fill_null(False).to_numpy(zero_copy_only=False)
    return found.copy()
