"""Convert one value of a typed column in plain Python to an id, a rating or a time, or reject it with a reason.

Covers: values from pyarrow and json; the conversion of whole columns (typed_rows.py) must agree with it.
Does not cover: columns and their types (typed_rows.py), or fields of text files (lines.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from funkflow.tasks.parsing.format.field_values import INTEGER, NUMBER, TIME, UNITS, Clock, clock_of, iso_date
from funkflow.tasks.parsing.rows.lines import NOT_FINITE, QUARANTINE_REMEDY, WITHOUT_TIMES, BadField, rating_within
from funkflow.tasks.parsing.rows.rows import EARLIEST_SECONDS, LATEST_SECONDS

Judge = Callable[[Any], Any]
"""Returns the value for a row, or raises `BadField`."""

TICKS: dict[Clock, int] = {**UNITS, "date": 0}
"""Ticks per second of numbers that are times; 0 for dates such as 20180102 and 2018."""

_ID_TYPE = f'set ingest.id_type = "string" if ids are not numbers, or {QUARANTINE_REMEDY}'

_NESTED: dict[type, str] = {list: "a list", dict: "an object", tuple: "a list"}


def id_of(value: Any, wanted: str, role: str, exact: int = 2**53) -> int | str:
    """Return a raw id of the kind `wanted`: a 64-bit integer, or non-empty text.

    Padded text such as 007 is no integer: 007 and 7 may be two users.

    Parameters
    ----------
    exact : the least float of the column's width that stands for several integers.

    Raises
    ------
    BadField
        The value is missing or of another kind.
    """
    value = _decode(value, role)
    if isinstance(value, bool | list | dict | tuple):
        shown = _NESTED.get(type(value), f"{value}")
        raise BadField(f"the {role} is {shown}, where a number or text is expected")
    if isinstance(value, str):
        if not value:
            raise BadField(f"the {role} is empty")
        return value if wanted == "string" else _parse_integer(value, role)
    if isinstance(value, float) and not abs(value) < exact:
        raise BadField(
            f"{role} {value:g} cannot be told from its neighbours as a float; write the column as integers or text"
            if math.isfinite(value)
            else f"{role} {value} is not a whole number"
        )
    if value != int(value):
        raise BadField(f"{role} {value} is not a whole number", f"write the column as text, or {QUARANTINE_REMEDY}")
    if wanted == "string":
        return str(int(value))
    if not -(2**63) <= value < 2**63:
        raise BadField(f"{role} {value} does not fit 64 bits", f'set ingest.id_type = "string", or {QUARANTINE_REMEDY}')
    return int(value)


def rating_of(value: Any, scale: tuple[float, float] | None) -> float:
    """Return a rating: a finite 32-bit number within the scale; true is 1 and false 0.

    Raises
    ------
    BadField
        The value is missing or no such number.
    """
    value = _decode(value, "rating")
    shown = _as_text(value)
    if isinstance(value, str):
        if NOT_FINITE.fullmatch(value.strip()):
            raise BadField(f"rating {value.strip()} is not a finite number")
        if not NUMBER.fullmatch(value.strip()):
            raise BadField(f"rating {value!r} is not a number" if value.strip() else "the rating is empty")
    elif isinstance(value, list | dict | tuple):
        raise BadField(f"the rating is {_NESTED[type(value)]}, where a number is expected")
    try:
        rating = float(value)
    except OverflowError:
        rating = math.inf
    if not math.isfinite(rating):
        raise BadField(f"rating {shown} is not a finite number")
    return rating_within(rating, shown, scale)


def seconds_of(value: Any, ticks: int) -> int:
    """Return the whole seconds since 1970, rounded down, of a number with `ticks` per second, or of an ISO date.

    Raises
    ------
    BadField
        The value is missing or no time in the years 1 to 9999.
    """
    value = _decode(value, "timestamp")
    if isinstance(value, str) and NUMBER.fullmatch(value.strip()):
        value = int(value) if INTEGER.fullmatch(value.strip()) else Decimal(value.strip())
    if isinstance(value, str):
        seconds = _parse_moment(value.strip())
    elif not ticks and isinstance(value, int | float | Decimal) and value == math.floor(value):
        seconds = _parse_moment(iso_date(str(int(value))))
    elif isinstance(value, bool | list | dict | tuple) or not math.isfinite(value):
        raise BadField(f"timestamp {_NESTED.get(type(value), value)} is neither a number nor a date", WITHOUT_TIMES)
    else:
        seconds = math.floor(value) // ticks
    if seconds is None:
        raise BadField(f"timestamp {value!r} is neither an ISO date nor a number since 1970", WITHOUT_TIMES)
    if not EARLIEST_SECONDS <= seconds <= LATEST_SECONDS:
        raise BadField(f"timestamp {_as_text(value)} is not in the years 1 to 9999", WITHOUT_TIMES)
    return seconds


def clock_of_values(values: Sequence[Any]) -> Clock:
    """Return the clock of a typed column's times, the same as for text with these values."""
    clock = clock_of([_as_text(value) for value in values if isinstance(value, str | int | float | Decimal)])
    return clock if clock in TICKS else "seconds"


def _decode(value: Any, role: str) -> Any:
    """Return bytes as text, and all else as it is; refuse a missing value."""
    if value is None:
        raise BadField(f"the {role} is empty")
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise BadField(
            f"the {role} has bytes that are not UTF-8 text",
            f"write the column as text (UUIDs as 16 bytes of fixed size are read), or {QUARANTINE_REMEDY}",
        ) from None


def _as_text(value: Any) -> str:
    """Return a value as a text file would have it; columns with gaps have integers as 1.0, 2.0, ..."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _parse_integer(text: str, role: str) -> int:
    if not INTEGER.fullmatch(text):
        raise BadField(f"{role} {text!r} is not an integer", _ID_TYPE)
    if not -(2**63) <= (number := int(text[:40])) < 2**63:
        raise BadField(
            f"{role} {text!r} does not fit 64 bits", f'set ingest.id_type = "string", or {QUARANTINE_REMEDY}'
        )
    if str(number) != text:
        raise BadField(f"{role} {text!r} would become {number}, which may be another one", _ID_TYPE)
    return number


def _parse_moment(text: str) -> int | None:
    match = TIME.fullmatch(text)
    try:
        moment = datetime.fromisoformat(text) if match else None
    except ValueError:
        return None
    if moment is None:
        return None
    since = moment.replace(tzinfo=moment.tzinfo or UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return int(since.total_seconds() // 1)
