"""Netflix Prize text to numbers, compiled: the one form of which there are two gigabytes.

Covers: text that is regular to the last byte: lines of "movie:" and of "user,rating,year-month-day".
Does not cover: anything else, even if it could be read. The kernel then says so, and Arrow or the slow path read it
(parse.py), which are also what tests compare it with.
"""

from __future__ import annotations

import numba
from numba import float32, int64, uint8

_TEXT = numba.types.Array(uint8, 1, "C", readonly=True)
_NUMBERS = numba.types.Array(int64, 1, "C")
_RATINGS = numba.types.Array(float32, 1, "C")

LEAST_ROW_BYTES, LEAST_HEADER_BYTES = 15, 3
"""Bytes of the shortest lines, ends included; the last line may lack its end, so a text has one more at most."""

_MOST_DIGITS = 18
_REST_BYTES = 13  # ",5,2005-09-06"


@numba.njit(int64(_TEXT, int64, int64), nogil=True, cache=True)
def _digits(text, start, stop):  # type: ignore[no-untyped-def]  # typed by the signature above
    """Return the number written at [start, stop), -1 if anything there is not a digit."""
    number = int64(0)
    for position in range(start, stop):
        digit = int64(text[position]) - 48
        if digit < 0 or digit > 9:
            return int64(-1)
        number = number * 10 + digit
    return number


@numba.njit(int64(_TEXT, int64), nogil=True, cache=True)
def _day(text, start):  # type: ignore[no-untyped-def]
    """Return the days from 1970-01-01 to the date at `start`; -1 - 10^9 if there is none of the years 1 to 9999.

    Howard Hinnant, "chrono-compatible low-level date algorithms" (2014): years begin in March, eras have 400 years.
    """
    none = int64(-1_000_000_001)
    year, month, day = (
        _digits(text, start, start + 4),
        _digits(text, start + 5, start + 7),
        _digits(text, start + 8, start + 10),
    )
    if text[start + 4] != 45 or text[start + 7] != 45 or year < 1 or month < 1 or month > 12 or day < 1 or day > 31:
        return none
    if month == 2:
        leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        if day > 29 or (day == 29 and not leap):
            return none
    elif day == 31 and (month == 4 or month == 6 or month == 9 or month == 11):
        return none
    if month <= 2:
        year, month = year - 1, month + 12
    in_year = (153 * (month - 3) + 2) // 5 + day - 1
    return 365 * year + year // 4 - year // 100 + year // 400 + in_year - 719_468


@numba.njit(
    numba.types.UniTuple(int64, 2)(_TEXT, _NUMBERS, _RATINGS, _NUMBERS, _NUMBERS, _NUMBERS), nogil=True, cache=True
)
def parse_movies(text, users, ratings, seconds, first_rows, movies):  # type: ignore[no-untyped-def]
    r"""Read whole lines; return the number of rows and of movie headers, or (-1, -1) if any line is not regular.

    A number has no leading zero and at most 18 digits, a rating is one digit, lines end with "\\n" alone, and there
    are no empty ones.

    Parameters
    ----------
    text : uint8 (bytes,).
    users, seconds : int64, ratings : float32, all (bytes // LEAST_ROW_BYTES + 1,), filled from their beginning.
    first_rows, movies : int64 (bytes // LEAST_HEADER_BYTES + 1,): for each header the rows above it, and its movie.
    """
    refused = (int64(-1), int64(-1))
    size = int64(len(text))
    rows, headers, position = int64(0), int64(0), int64(0)
    while position < size:
        start, number = position, int64(0)
        while position < size:
            digit = int64(text[position]) - 48
            if digit < 0 or digit > 9 or position - start >= _MOST_DIGITS:
                break
            number = number * 10 + digit
            position += 1
        if position in (start, size) or (text[start] == 48 and position - start > 1):
            return refused
        if text[position] == 58:
            first_rows[headers], movies[headers] = rows, number
            headers += 1
            position += 1
        else:
            if position + _REST_BYTES > size or text[position] != 44 or text[position + 2] != 44:
                return refused
            rating, day = int64(text[position + 1]) - 48, _day(text, position + 3)
            if rating < 0 or rating > 9 or day < -1_000_000_000:
                return refused
            users[rows], ratings[rows], seconds[rows] = number, rating, day * 86_400
            rows += 1
            position += _REST_BYTES
        if position < size and text[position] != 10:
            return refused
        position += 1
    return rows, headers
