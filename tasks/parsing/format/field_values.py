"""Classify the values of a text column: numbers, times and their unit, integer ids.

Covers: classifying a sample of fields, without converting it.
Does not cover: the roles of columns (columns.py), or reading all rows (tasks/parsing/rows/text.py,
tasks/parsing/rows/lines.py).
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal

Clock = Literal["seconds", "milliseconds", "microseconds", "nanoseconds", "date", "iso", "fraction", "zoned"]
"""The notation of times: numbers since 1970 in one of four units, dates such as 20180102, or ISO 8601."""

UNITS: dict[Clock, int] = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}
"""Ticks per second of the clocks that count from 1970."""

INTEGER = re.compile(r"-?[0-9]+")
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
TIME = re.compile(r"(\d{4}-\d\d-\d\d)(?:[ T](\d\d(?::\d\d(?::\d\d(?:\.\d+)?)?)?)(Z|[+-]\d\d:?\d\d)?)?")
PLAIN_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}")
"""An integer without padding: 007 and 7 may be two users."""

_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+(,[0-9]+)?")
_DATE = re.compile(r"(?:19|20)\d\d(?:\d\d(?:\d\d)?)?")
_MOST = 0.9
_PLAUSIBLE = (5e8, 4.2e9)
"""Seconds of the years 1985 to 2103: without a header, numbers in this range are times."""


def is_number(field: str) -> bool:
    """Return whether a field is a number, blanks around it aside."""
    return NUMBER.fullmatch(field.strip()) is not None


def mostly_numbers(fields: Sequence[str]) -> bool:
    """Return whether more than half of the fields that are not empty are numbers, with a decimal point or comma."""
    filled = [field.strip() for field in fields if field.strip()]
    return 2 * sum(is_number(each) or _DECIMAL_COMMA.fullmatch(each) is not None for each in filled) > len(filled)


def has_decimal_commas(fields: Sequence[str]) -> bool:
    """Return whether numbers are written as 3,5: no field has a point, all are such numbers, and one has a comma."""
    filled = [field.strip() for field in fields if field.strip()]
    return any("," in each for each in filled) and all(_DECIMAL_COMMA.fullmatch(each) for each in filled)


def mixes_decimal_signs(fields: Sequence[str]) -> tuple[str, str] | None:
    """Return a number with a decimal comma and one with a point, where the fields have both."""
    comma = next((each for each in fields if "," in each and _DECIMAL_COMMA.fullmatch(each.strip())), None)
    point = next((each for each in fields if "." in each and is_number(each)), None)
    return (comma, point) if comma and point else None


def clock_of(fields: Sequence[str]) -> Clock | None:
    """Return the notation of the times in non-empty fields; None if most are no times.

    The median of numbers gives their unit: below 1e11 it is seconds, which reach the year 5138, then milliseconds,
    microseconds and nanoseconds, each a thousand times as large.
    """
    filled = [field.strip() for field in fields if field.strip()]
    if not filled:
        return "seconds"
    if _share(filled, lambda field: bool(iso_date(field))) >= _MOST:
        return "date"
    numbers = [abs(float(field)) for field in filled if NUMBER.fullmatch(field)]
    if 2 * len(numbers) > len(filled):
        middle = statistics.median(numbers)
        return next((name for name, unit in UNITS.items() if middle < 1e11 * unit), "nanoseconds")
    iso = [field for field in filled if _is_iso(field)]
    if 2 * len(iso) <= len(filled):
        return None
    if any(field[-1] == "Z" or re.search(r":.*[+-]\d\d:?\d\d$", field) for field in iso):
        return "zoned"
    return "fraction" if any("." in field for field in iso) else "iso"


def looks_like_times(fields: Sequence[str]) -> bool:
    """Return whether nearly all fields are dates, or numbers that would be times of the years 1985 to 2103."""
    filled = [field.strip() for field in fields if field.strip()]
    clock = clock_of(filled) if filled else None
    if clock is None:
        return False
    if clock == "date":
        return _share(filled, lambda field: len(field) == 8) >= _MOST  # 2018 may be anything
    if clock not in UNITS:
        return True
    least, greatest = (bound * UNITS[clock] for bound in _PLAUSIBLE)
    return _share(filled, lambda field: is_number(field) and least <= float(field) <= greatest) >= _MOST


def iso_date(field: str) -> str:
    """Return a date written as 20180102, 201801 or 2018 in ISO form; "" if it is none of the years 1900 to 2099."""
    if not _DATE.fullmatch(field):
        return ""
    written = f"{field[:4]}-{field[4:6] or '01'}-{field[6:] or '01'}"
    return written if _is_iso(written) else ""


def are_integers(fields: Sequence[str]) -> bool:
    """Return whether all of some ids are integers that come back as they are written."""
    return bool(fields) and all(is_integer(field.strip()) for field in fields)


def is_integer(field: str) -> bool:
    """Return whether an id is an integer of 64 bits that comes back as it is written."""
    return PLAIN_INTEGER.fullmatch(field) is not None and -(2**63) <= int(field) < 2**63


def any_padded(fields: Sequence[str]) -> bool:
    """Return whether any id is an integer that does not come back as it is written, such as 007."""
    return any(INTEGER.fullmatch(each.strip()) and not PLAIN_INTEGER.fullmatch(each.strip()) for each in fields)


def count_up(fields: Sequence[str]) -> bool:
    """Return whether a column counts its rows: at least five integers, each greater by one than that above it."""
    if len(fields) < 5 or not all(INTEGER.fullmatch(field.strip()) for field in fields):
        return False
    first = int(fields[0])
    return all(int(field) == first + number for number, field in enumerate(fields))


def _share(fields: Sequence[str], holds: Callable[[str], bool]) -> float:
    return sum(map(holds, fields)) / len(fields)


def _is_iso(field: str) -> bool:
    if not TIME.fullmatch(field):
        return False
    try:
        datetime.fromisoformat(field)
    except ValueError:
        return False
    return True
