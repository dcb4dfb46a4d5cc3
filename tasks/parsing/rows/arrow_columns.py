"""Types for Arrow's CSV reader, and its columns as columns of parsed rows.

Covers: field types, movies repeated over their rows, ids, ratings and times; None for a column with an unusual value.
Does not cover: reading (text.py), or parsing single fields (lines.py).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from funkflow.tasks.parsing.format.field_values import UNITS, Clock, any_padded
from funkflow.tasks.parsing.format.formats import Form
from funkflow.tasks.parsing.rows.rows import EARLIEST_SECONDS, LARGEST_FLOAT32, LATEST_SECONDS, row_schema


def column_types(form: Form) -> dict[str, pa.DataType]:
    """Return the field types by column name: "c" and the position."""
    schema = row_schema(form)
    types = {f"c{form.user}": schema.field("user").type}
    if form.item >= 0:
        types[f"c{form.item}"] = schema.field("item").type
    if form.rating >= 0:
        types[f"c{form.rating}"] = pa.float64()
    if form.timestamp >= 0:
        numbers = pa.float64() if form.fractional else pa.int64()
        clocks = {"iso": pa.timestamp("s"), "fraction": pa.timestamp("us"), "zoned": pa.timestamp("us", "UTC")}
        types[f"c{form.timestamp}"] = clocks.get(form.clock, numbers)
    return types


def item_column(headers: list[tuple[int, str]], item: str, rows: int, form: Form) -> pa.Array | None:
    """Repeat each movie over its rows: header k is row `number` of the text, after number - 1 - k rows of ratings."""
    starts = [0, *(number - 1 - k for k, (number, _) in enumerate(headers)), rows]
    places = np.array(starts, np.int64)
    counts = places[1:] - places[:-1]
    names = [item, *(name for _, name in headers)]
    if not item:
        if counts[0]:
            return None
        counts, names = counts[1:], names[1:]
    if form.item_type == "string":
        return pa.array(names, pa.string()).take(pa.array(np.repeat(np.arange(len(names)), counts)))
    movies = [int(name) for name in names]
    if any_padded(names):
        return None
    return pa.array(np.repeat(np.array(movies, np.int64), counts)) if max(movies, default=0) < 2**63 else None


def id_column(column: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array | None:
    """Return a column of ids without surrounding blanks; None if one is missing or empty."""
    if pa.types.is_string(column.type):
        column = pc.utf8_trim(column, characters=" ")
    if column.null_count or (
        pa.types.is_string(column.type) and len(column) and pc.min(pc.binary_length(column)).as_py() == 0
    ):
        return None
    return column


def rating_column(column: pa.ChunkedArray, scale: tuple[float, float] | None) -> pa.Array | None:
    """Return ratings as float32; None if one is missing, not finite or outside the scale."""
    if column.null_count:
        return None
    least, greatest = scale or (-LARGEST_FLOAT32, LARGEST_FLOAT32)
    narrow: npt.NDArray[np.float32] = np.empty(len(column), np.float32)
    start = 0
    for chunk in column.chunks:
        values = chunk.to_numpy()
        if len(values) and not (values.min() >= least and values.max() <= greatest):  # NaN fails both
            return None
        narrow[start : start + len(values)] = values
        start += len(values)
    return pa.array(narrow)


def time_column(column: pa.ChunkedArray, clock: Clock) -> pa.ChunkedArray | None:
    """Return times (integers, floats or timestamps) in whole seconds; None if one is no time."""
    if column.null_count:
        return None
    if pa.types.is_floating(column.type):
        values = np.floor_divide(column.to_numpy(), UNITS.get(clock, 1))
        if len(values) and not (values.min() >= EARLIEST_SECONDS and values.max() <= LATEST_SECONDS):  # NaN fails both
            return None
        seconds = pa.chunked_array([values.astype(np.int64)])
    elif clock == "date":
        days = _days(column.to_numpy())
        if days is None:
            return None
        seconds = pa.chunked_array([days])
    else:
        unit = {"fraction": 10**6, "zoned": 10**6, "iso": 1}.get(clock) or UNITS[clock]
        seconds = column.cast(pa.int64())
        seconds = seconds if unit == 1 else pa.chunked_array([np.floor_divide(seconds.to_numpy(), unit)])
    extremes = pc.min_max(seconds).as_py()
    if len(seconds) and not (extremes["min"] >= EARLIEST_SECONDS and extremes["max"] <= LATEST_SECONDS):
        return None
    return seconds.cast(pa.timestamp("s"))


def _days(written: npt.NDArray[np.int64]) -> npt.NDArray[np.int64] | None:
    """Return the seconds since 1970 of dates such as 20180102, 201801 and 2018; None if one is no date."""
    written = np.where(written < 10_000, written * 100 + 1, written)
    written = np.where(written < 1_000_000, written * 100 + 1, written)
    years, months, days = written // 10_000, written // 100 % 100, written % 100
    if not ((years >= 1900) & (years <= 2099) & (months >= 1) & (months <= 12) & (days >= 1)).all():
        return None
    month = (years - 1970).astype("M8[Y]").astype("M8[M]") + (months - 1)
    date = month.astype("M8[D]") + (days - 1)
    if not (date.astype("M8[M]") == month).all():  # the 31st of a shorter month
        return None
    return date.astype("M8[s]").astype(np.int64)
