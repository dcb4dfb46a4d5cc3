"""The compiled loops that put the ratings of a block in order, piece by piece.

Covers: `count_runs`, `fill_runs` and `order_runs`, for any coding of ratings and any width of item rows, each with an
explicit signature.
Does not cover: the order itself (tasks/kernels/tiles.py), and the same by NumPy (tasks/grid/block.py).

The ratings are counted by run and written to their run, which takes 2 and 4 ns a rating. A run is put in order in the
cache, by 15 bits in another 4: a bit for each of 32,768 places tells which are taken, and 512 and 8 bits more which
words of these bits are not 0, so that the work depends on the ratings alone. A sort took 65 ns a rating.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import int32, int64, types, uint16
from numba.cpython.unsafe.numbers import trailing_zeros

from funkflow.tasks.kernels.blocks.cut import ITEM_ROWS, OPTIONS, PIECE_CODES, constant, written
from funkflow.tasks.kernels.cache import built_once, compiled
from funkflow.tasks.kernels.tiles import GROUP_USERS, ITEM_BITS, TILE_ITEMS, TILE_USERS

_last_bit: Any = trailing_zeros
_PLACES, _WORD = GROUP_USERS * TILE_ITEMS, 64
_ZERO, _ONE, _WORD_BITS, _WORD_MASK = (np.uint64(number) for number in (0, 1, 6, _WORD - 1))
_ITEM_BITS, _ITEM_MASK, _STRIDE = np.uint64(ITEM_BITS), np.uint64(TILE_ITEMS - 1), np.uint64(TILE_ITEMS // GROUP_USERS)
_USER_BITS, _USER_MASK = np.uint64(GROUP_USERS.bit_length() - 1), np.uint64(GROUP_USERS - 1)
_ROW_BITS, _GROUP_MASK = np.uint64(TILE_USERS.bit_length() - 1), np.uint64(TILE_USERS // GROUP_USERS - 1)


def _count_runs(user_rows, ends, item_rows, codes, firsts, counts, level_counts):  # type: ignore[no-untyped-def]
    """Count the ratings of each run and each level in a piece.

    Parameters
    ----------
    user_rows, ends : int32 (users,), the piece's users, and where the ratings of each end.
    item_rows, codes : (n,), of the ratings, for each user by items.
    firsts : int64 (rows, columns) of tiles, the run of the first group in each.
    counts : int64 (runs,); level_counts : int64 (levels,); both are added to.
    """
    begin = _ZERO
    for user in range(len(user_rows)):
        row, end = np.uint64(user_rows[user]), np.uint64(ends[user])
        of_row, group = firsts[row >> _ROW_BITS], row >> _USER_BITS & _GROUP_MASK
        for n in range(begin, end):
            counts[np.uint64(of_row[np.uint64(item_rows[n]) >> _ITEM_BITS]) + group] += 1
            level_counts[codes[n]] += 1
        begin = end


def _fill_runs(user_rows, ends, item_rows, codes, firsts, places, keys, filled):  # type: ignore[no-untyped-def]
    """Write the ratings of a piece to their runs.

    Parameters
    ----------
    user_rows, ends, item_rows, codes, firsts : as for `_count_runs`.
    places : int64 (runs,), the place of each run's next rating; is moved on.
    keys : uint16, receives the order within a run, 32 times the step plus the user; filled : receives the codes.
    """
    n = _ZERO
    for user in range(len(user_rows)):
        row, end = np.uint64(user_rows[user]), np.uint64(ends[user])
        of_row, group, low = firsts[row >> _ROW_BITS], row >> _USER_BITS & _GROUP_MASK, row & _USER_MASK
        while n < end:
            column = np.uint64(item_rows[n]) >> _ITEM_BITS
            run = np.uint64(of_row[column]) + group
            place = np.uint64(places[run])
            while n < end and np.uint64(item_rows[n]) >> _ITEM_BITS == column:
                step = np.uint64(item_rows[n]) - low * _STRIDE & _ITEM_MASK
                keys[place], filled[place] = step << _USER_BITS | low, codes[n]
                place, n = place + _ONE, n + _ONE
            places[run] = place


def _order_runs(starts, keys, codes):  # type: ignore[no-untyped-def]
    """Put the ratings of each run in order, in place; return their number, of those with equal keys one.

    Parameters
    ----------
    starts : int64 (runs + 1,), where each run begins.
    keys : uint16 (n,), from `_fill_runs`; become cells. codes : (n,).
    """
    code_at, words = np.empty(_PLACES, codes.dtype), np.zeros(_PLACES // _WORD, np.uint64)
    filled, place = np.zeros(_PLACES // _WORD // _WORD, np.uint64), _ZERO
    for run in range(len(starts) - 1):
        for n in range(np.uint64(starts[run]), np.uint64(starts[run + 1])):
            key = np.uint64(keys[n])
            word = key >> _WORD_BITS
            code_at[key] = codes[n]
            words[word] |= _ONE << (key & _WORD_MASK)
            filled[word >> _WORD_BITS] |= _ONE << (word & _WORD_MASK)
        for part in range(len(filled)):
            left, filled[part] = filled[part], 0
            while left:
                word = np.uint64(part) * np.uint64(_WORD) + np.uint64(_last_bit(left))
                left &= left - _ONE
                taken, words[word] = words[word], 0
                while taken:
                    key = word * np.uint64(_WORD) + np.uint64(_last_bit(taken))
                    taken &= taken - _ONE
                    low = key & _USER_MASK
                    item = (key >> _USER_BITS) + low * _STRIDE & _ITEM_MASK
                    keys[place], codes[place] = low << _ITEM_BITS | item, code_at[key]
                    place += _ONE
    return place


@built_once
def count_runs(coding: str, width: str) -> Callable[..., None]:
    """Return `_count_runs` for codes of NumPy type u1 or u2, and item rows of u2 or i4."""
    return compiled(types.void(*_piece(coding, width), written(int64), written(int64)), **OPTIONS)(_count_runs)


@built_once
def fill_runs(coding: str, width: str) -> Callable[..., None]:
    """Return `_fill_runs` for codes of NumPy type u1 or u2, and item rows of u2 or i4."""
    filled = written(int64), written(uint16), written(PIECE_CODES[coding])
    return compiled(types.void(*_piece(coding, width), *filled), **OPTIONS)(_fill_runs)


@built_once
def order_runs(coding: str) -> Callable[..., int]:
    """Return `_order_runs` for codes of NumPy type u1 or u2."""
    return compiled(int64(constant(int64), written(uint16), written(PIECE_CODES[coding])), **OPTIONS)(_order_runs)


def _piece(coding: str, width: str) -> tuple[Any, ...]:
    firsts = types.Array(int64, 2, "C", readonly=True)
    return constant(int32), constant(int32), constant(ITEM_ROWS[width]), constant(PIECE_CODES[coding]), firsts
