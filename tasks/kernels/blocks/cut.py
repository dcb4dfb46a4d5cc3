"""The compiled loops that cut a part of a dataset into pieces, one for each block.

Covers: coding ratings, counting, cutting and fingerprints, for any coding and any width of item rows, each with an
explicit signature.
Does not cover: the pieces, and the same by NumPy (tasks/grid/pieces.py).

A part is sorted by user and item, and so are its pieces, which name a user once for all their ratings. Coding takes
1 ns a rating, counting 2, cutting 3 and fingerprints 1, where a sort alone took 65.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import boolean, float32, int32, int64, types, uint8, uint16, uint64

from funkflow.tasks.kernels.cache import built_once, compiled
from funkflow.tasks.mix import ADDED, scrambled

PIECE_CODES, ITEM_ROWS = {"u1": uint8, "u2": uint16}, {"u2": uint16, "i4": int32}
OPTIONS: dict[str, Any] = {"error_model": "numpy"}
constant = functools.partial(types.Array, ndim=1, layout="C", readonly=True)
written = functools.partial(types.Array, ndim=1, layout="C", readonly=False)

MOST_CODED = 256
_ONE = np.uint64(1)
_SLOTS, _SLOT_SHIFT, _SPREAD = np.uint64(1024), np.uint64(22), np.uint32(0x9E3779B1)
_scrambled: Any = numba.njit(nogil=True, **OPTIONS)(scrambled)


def _code_ratings(ratings, codes, levels):  # type: ignore[no-untyped-def]
    """Write the code of each rating, its place among the levels; return the number of levels, -1 for more than 256.

    Parameters
    ----------
    ratings : float32 (n,), without -0; codes : uint8 (n,); levels : float32 (256,), receives the levels, ascending.
    """
    bits, taken, number = ratings.view(np.uint32), np.zeros(_SLOTS, np.uint32), np.full(_SLOTS, -1, np.int16)
    count = 0
    for n in range(len(bits)):
        slot = np.uint64(np.uint32(bits[n] * _SPREAD)) >> _SLOT_SHIFT
        while number[slot] >= 0 and taken[slot] != bits[n]:
            slot = slot + _ONE & _SLOTS - _ONE
        if number[slot] < 0:
            if count == len(levels):
                return -1
            taken[slot], number[slot], levels[count] = bits[n], count, ratings[n]
            count += 1
        codes[n] = number[slot]
    found, code_of = levels.copy(), np.zeros(len(levels), np.uint8)
    for one in range(count):
        for other in range(count):
            code_of[one] += found[other] < found[one]
        levels[code_of[one]] = found[one]
    for n in range(len(codes)):
        codes[n] = code_of[codes[n]]
    return count


def _count_by_block(users, items, is_left_out, shards, counts, user_counts):  # type: ignore[no-untyped-def]
    """Count the ratings and the users of each block.

    Parameters
    ----------
    users, items : int32 (n,), dense, sorted by user; is_left_out : bool (n,).
    counts, user_counts : int64 (P * P,), zeros, receive the counts.
    """
    last, width = np.full(shards * shards, -1, np.int32), np.uint32(shards)
    count, n = np.uint64(len(users)), np.uint64(0)
    while n < count:
        user = users[n]
        first = np.uint32(user) % width * width
        while n < count and users[n] == user:
            if not is_left_out[n]:
                block = first + np.uint32(items[n]) % width
                counts[block] += 1
                if last[block] != user:
                    last[block] = user
                    user_counts[block] += 1
            n += _ONE


def _cut_by_block(  # type: ignore[no-untyped-def]
    users, items, codes, is_left_out, shards, places, user_places, user_rows, starts, item_rows, cut_codes
):
    """Write each rating to its block's piece.

    Parameters
    ----------
    users, items, is_left_out : as for `_count_by_block`; codes : (n,).
    places, user_places : int64 (P * P,), where each piece begins among ratings and among users; become the ends.
    user_rows, starts : int32, receive the users of each piece, and where their ratings begin in it.
    item_rows, cut_codes : receive the ratings.
    """
    last, width = np.full(shards * shards, -1, np.int32), np.uint32(shards)
    count, n = np.uint64(len(users)), np.uint64(0)
    begins = places.copy()
    while n < count:
        user = users[n]
        user_row = np.uint32(user) // width
        first = (np.uint32(user) - user_row * width) * width
        while n < count and users[n] == user:
            if not is_left_out[n]:
                item = np.uint32(items[n])
                item_row = item // width
                block = first + item - item_row * width
                place = np.uint64(places[block])
                places[block] = place + _ONE
                if last[block] != user:
                    last[block] = user
                    row = np.uint64(user_places[block])
                    user_places[block] = row + _ONE
                    user_rows[row], starts[row] = user_row, np.int64(place) - begins[block]
                item_rows[place], cut_codes[place] = item_row, codes[n]
            n += _ONE


def _fingerprint(user_rows, ends, item_rows, codes, by_user, by_item, marks):  # type: ignore[no-untyped-def]
    """Return the sum, uint64, of splitmix64 of the rows and the rating of each rating of a piece.

    Parameters
    ----------
    user_rows, ends : int32 (users,); item_rows, codes : (n,).
    by_user, by_item : the factors of rows; marks : uint64 (levels,), what stands for each code.
    """
    total, begin = np.uint64(0), np.uint64(0)
    for user in range(len(user_rows)):
        end, of_user = np.uint64(ends[user]), np.uint64(user_rows[user]) * by_user
        for n in range(begin, end):
            total += _scrambled((of_user ^ np.uint64(item_rows[n]) * by_item ^ marks[codes[n]]) + ADDED)
        begin = end
    return total


@built_once
def code_ratings() -> Callable[..., int]:
    """Return `_code_ratings`."""
    return compiled(int64(constant(float32), written(uint8), written(float32)), **OPTIONS)(_code_ratings)


@built_once
def count_by_block() -> Callable[..., None]:
    """Return `_count_by_block`."""
    given = constant(int32), constant(int32), constant(boolean), int64
    return compiled(types.void(*given, written(int64), written(int64)), **OPTIONS)(_count_by_block)


@built_once
def cut_by_block(coding: str, width: str) -> Callable[..., None]:
    """Return `_cut_by_block` for codes of NumPy type u1 or u2, and item rows of u2 or i4."""
    given = constant(int32), constant(int32), constant(PIECE_CODES[coding]), constant(boolean), int64
    piece = written(int32), written(int32), written(ITEM_ROWS[width]), written(PIECE_CODES[coding])
    return compiled(types.void(*given, written(int64), written(int64), *piece), **OPTIONS)(_cut_by_block)


@built_once
def fingerprint(coding: str, width: str) -> Callable[..., int]:
    """Return `_fingerprint` for codes of NumPy type u1 or u2, and item rows of u2 or i4."""
    piece = constant(int32), constant(int32), constant(ITEM_ROWS[width]), constant(PIECE_CODES[coding])
    return compiled(uint64(*piece, uint64, uint64, constant(uint64)), **OPTIONS)(_fingerprint)
