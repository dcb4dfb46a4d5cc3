"""The compiled loop that reads lines of plain numbers and days: integer ids, ratings such as 4 or 3.5, whole ticks.

Covers: `read_lines`, for any order of columns, one or two letters between them, and movie headers.
Does not cover: quotes, blanks, padded ids, exponents, text ids: it gives up at the first such line, and the caller
reads the text in another way (tasks/parsing/rows/text.py); ranges of values (tasks/parsing/rows/arrow_columns.py).

Eight bytes are read at once. Their digits become a number in three multiplications, by pairs, fours and eights (Lemire
2018, "Quickly parsing eight digits"). A Netflix row takes 25 ns, where Arrow's reader takes 70 (Zen 4).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import float64, int64, types, uint64
from numba.extending import intrinsic

from funkflow.tasks.kernels.cache import built_once, compiled

USER, ITEM, TIME, DAY, RATING, SKIPPED = range(6)
"""Kinds of columns. TIME: an integer; DAY: a date such as 2005-12-31, which becomes a TIME in seconds since 1970."""
INTEGERS = 3
NO_HEADERS, NO_MOVIE = -2, -1
"""In place of a movie: the form has no movie headers; there is none above the first row."""
NO_LETTER = np.uint64(256)
READ_AHEAD_BYTES = 64
"""So many bytes after the last line must be readable."""

_FIRST_YEAR, _LAST_YEAR = 1900, 2099
_MONTHS = np.arange(f"{_FIRST_YEAR}-01", f"{_LAST_YEAR + 1}-01", dtype="M8[M]")
_FIRST_DAYS = _MONTHS.astype("M8[D]").astype(np.int64)
_LENGTHS = np.diff(np.append(_FIRST_DAYS, np.datetime64(f"{_LAST_YEAR + 1}-01-01", "D").astype(np.int64)))
_POWERS = 10 ** np.arange(19, dtype=np.uint64)
_MOST_DIGITS, _EXACT_DIGITS = np.uint64(18), np.uint64(15)  # of an int64, and of a float64
_DAY_SECONDS = 86_400

_ZEROS, _TO_HIGH_BIT, _HIGH_BITS = (np.uint64(byte * 0x0101010101010101) for byte in (0x30, 0x76, 0x80))
_LOW_BITS, _NIBBLES = np.uint64(0x0101010101010101), np.uint64(0x0F0F0F0F0F0F0F0F)
_PAIRS, _FOURS = np.uint64(0x00FF00FF00FF00FF), np.uint64(0x0000FFFF0000FFFF)
_DASHES, _DASH_PLACES = np.uint64(0x2D00002D00000000), np.uint64(0xFF0000FF00000000)
_LINE_FEED, _RETURN, _MINUS, _ZERO, _COLON = (np.uint64(letter) for letter in b"\n\r-0:")
_NOWHERE, _1, _2, _3, _8, _10 = (np.uint64(n) for n in (0, 1, 2, 3, 8, 10))
"""Addresses are unsigned; no field ends at address 0."""
_INLINE: Any = {"nogil": True, "error_model": "numpy"}
_INT64 = ir.IntType(64)


@intrinsic
def _word(_typing, address):  # type: ignore[no-untyped-def]
    """Return the eight bytes at an address, uint64, the first one lowest. It checks nothing.

    Functions of arrays would count references to them, which takes longer than to read a field.
    """

    def generate(_context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        return builder.load(builder.inttoptr(arguments[0], _INT64.as_pointer()), align=1)

    return uint64(address), generate


@numba.njit(**_INLINE)
def _letter(at):  # type: ignore[no-untyped-def]
    """Return the byte at an address."""
    return _word(at) & np.uint64(0xFF)


@numba.njit(**_INLINE)
def _others(word):  # type: ignore[no-untyped-def]
    """Return the high bit of each byte that is no digit."""
    values = word ^ _ZEROS
    return ((values & ~_HIGH_BITS) + _TO_HIGH_BIT | values) & _HIGH_BITS


@numba.njit(**_INLINE)
def _number(word):  # type: ignore[no-untyped-def]
    """Return the number of eight digits, the first one lowest; bytes of 0 count as digits 0."""
    word = (word & _NIBBLES) * np.uint64(2561) >> np.uint64(8)
    word = (word & _PAIRS) * np.uint64(6553601) >> np.uint64(16)
    return (word & _FOURS) * np.uint64(42949672960001) >> np.uint64(32)


@numba.njit(**_INLINE)
def _digits(at):  # type: ignore[no-untyped-def]
    """Return the number of the digits at an address, and the address after them; 19 and more digits wrap round."""
    value, word = np.uint64(0), _word(at)
    others = _others(word)
    while others == 0:
        value = value * _POWERS[_8] + _number(word)
        at += _8
        word = _word(at)
        others = _others(word)
    lowest = others & (~others + _1)
    count = (((lowest - _1) & _LOW_BITS) * _LOW_BITS >> np.uint64(56)) - _1
    if count:
        value = value * _POWERS[count] + _number(word << (np.uint64(64) - _8 * count))
    return np.int64(value), at + count


@numba.njit(**_INLINE)
def _integer(at):  # type: ignore[no-untyped-def]
    """Return the integer at an address, and the address after it; nowhere for none, or a padded or too long one."""
    negative = _letter(at) == _MINUS
    begin = at + np.uint64(negative)
    value, end = _digits(begin)
    padded = _letter(begin) == _ZERO and (end > begin + _1 or negative)
    if end == begin or end > begin + _MOST_DIGITS or padded:
        return np.int64(0), _NOWHERE
    return (-value if negative else value), end


@numba.njit(**_INLINE)
def _is_digit(letter):  # type: ignore[no-untyped-def]
    return letter - _ZERO < _10  # unsigned, so less than zero is much


@numba.njit(**_INLINE)
def _decimal(at, sign):  # type: ignore[no-untyped-def]
    """Return the number at an address, `sign` before its decimals, and the address after it; nowhere for other forms.

    Up to 15 digits over a power of ten are one rounding from the number (Clinger 1990), as in any correct reader. One
    digit with at most one decimal is a guess that branches make right, so that the next field need not wait for it.
    """
    first, following = _letter(at), _letter(at + _1)
    if _is_digit(first) and not _is_digit(following):
        if following != sign:
            return np.float64(first - _ZERO), at + _1
        if _is_digit(_letter(at + _2)) and not _is_digit(_letter(at + _3)):
            return np.float64((first - _ZERO) * _10 + _letter(at + _2) - _ZERO) / 10.0, at + _3
    begin = at + np.uint64(first == _MINUS)
    value, end = _digits(begin)
    if end == begin or end > begin + _EXACT_DIGITS:
        return 0.0, _NOWHERE
    number = np.float64(value)
    if _letter(end) == sign:
        decimals, after = _digits(end + _1)
        count = after - end - _1
        if count == 0 or after - begin - _1 > _EXACT_DIGITS:
            return 0.0, _NOWHERE
        number = np.float64(value * np.int64(_POWERS[count]) + decimals) / np.float64(_POWERS[count])
        end = after
    return (-number if begin > at else number), end


@numba.njit(**_INLINE)
def _day(at):  # type: ignore[no-untyped-def]
    """Return the seconds since 1970 of the date at an address, and the address after it; nowhere for none."""
    word, last = _word(at), _word(at + _2)
    digits = word & ~_DASH_PLACES | _ZEROS & _DASH_PLACES
    if word & _DASH_PLACES != _DASHES or _others(digits) or _others(last) >> np.uint64(48):
        return np.int64(0), _NOWHERE
    year_month = np.int64(_number(digits))  # YYYY0MM0: zeros stand for the dashes
    year, month = year_month // 10_000, year_month // 10 % 100
    day = np.int64(last >> np.uint64(48) & np.uint64(15)) * 10 + np.int64(last >> np.uint64(56) & np.uint64(15))
    if year < _FIRST_YEAR or year > _LAST_YEAR or month < 1 or month > 12:
        return np.int64(0), _NOWHERE
    place = np.uint64((year - _FIRST_YEAR) * 12 + month - 1)
    if day < 1 or day > _LENGTHS[place]:
        return np.int64(0), _NOWHERE
    return (_FIRST_DAYS[place] + day - 1) * _DAY_SECONDS, at + _10


@numba.njit(**_INLINE)
def _after_field(at, delimiter, quote):  # type: ignore[no-untyped-def]
    """Return the address after a field that nobody needs; nowhere if it has a quote."""
    letter = _letter(at)
    while letter != delimiter and letter != _LINE_FEED and letter != _RETURN:
        if letter == quote:
            return _NOWHERE
        at += _1
        letter = _letter(at)
    return at


@numba.njit(**_INLINE)
def _after_letter(at, letter):  # type: ignore[no-untyped-def]
    """Return the address after a letter; nowhere if there is another."""
    return at + _1 if _letter(at) == letter else _NOWHERE


@numba.njit(**_INLINE)
def _after_delimiter(at, signs):  # type: ignore[no-untyped-def]
    after = _after_letter(at, signs[0])
    return after if signs[1] == NO_LETTER or after == _NOWHERE else _after_letter(after, signs[1])


@numba.njit(**_INLINE)
def _after_line_end(at):  # type: ignore[no-untyped-def]
    return _after_letter(at + np.uint64(_letter(at) == _RETURN), _LINE_FEED)


@numba.njit(**_INLINE)
def _field(at, kind, signs):  # type: ignore[no-untyped-def]
    """Return a field as an integer, or as a number, and the address after it, or nowhere."""
    whole, number = np.int64(0), 0.0
    if kind < INTEGERS:
        whole, after = _integer(at)
    elif kind == DAY:
        whole, after = _day(at)
    elif kind == RATING:
        number, after = _decimal(at, signs[2])
    else:
        after = _after_field(at, signs[0], signs[3])
    return whole, number, after


def _read_lines(begin, end, kinds, signs, movie, row, integers, ratings):  # type: ignore[no-untyped-def]
    """Read the lines of some bytes; return the number of rows so far and the movie in effect, or -1 and any movie.

    Parameters
    ----------
    begin, end : addresses of whole lines, each with its line end; READ_AHEAD_BYTES after them are readable.
    kinds : uint64 (columns,); signs : uint64 (4,), the two letters between columns, the decimal sign, and the quote;
        NO_LETTER for none.
    movie : the one in effect, NO_MOVIE or NO_HEADERS; row : the first one to write.
    integers : int64 (INTEGERS, rows), receives users, items, those of the headers, too, and times.
    ratings : float64 (rows,), receives the ratings.
    """
    has_headers, columns, at, n = movie != NO_HEADERS, np.uint64(len(kinds)), np.uint64(begin), np.uint64(row)
    while at < np.uint64(end):
        column = np.uint64(0)
        while column < columns:
            kind = kinds[column]
            whole, number, after = _field(at, kind, signs)
            if kind <= DAY:
                integers[min(kind, np.uint64(TIME)), n] = whole
            elif kind == RATING:
                ratings[n] = number
            column += _1
            is_header = column == _1 and has_headers and after > _NOWHERE and _letter(after) == _COLON
            if after == _NOWHERE or is_header or column == columns:
                break
            at = _after_delimiter(after, signs)
            if at == _NOWHERE:
                return -1, movie
        at = _after_line_end(after + np.uint64(is_header)) if after > _NOWHERE else _NOWHERE
        if is_header:
            movie = whole
        else:
            integers[ITEM, n] = movie if has_headers else integers[ITEM, n]
            n += _1
        if at == _NOWHERE or movie == NO_MOVIE or (has_headers and movie < 0):
            return -1, movie
    return np.int64(n), movie


@built_once
def read_lines() -> Callable[..., tuple[int, int]]:
    """Return `_read_lines`, compiled."""
    kinds, integers = types.Array(uint64, 1, "C", readonly=True), types.Array(int64, 2, "C")
    signature = types.UniTuple(int64, 2)(
        uint64, uint64, kinds, types.UniTuple(uint64, 4), int64, int64, integers, types.Array(float64, 1, "C")
    )  # fmt: skip
    return compiled(signature, error_model="numpy")(_read_lines)
