"""The compiled loops that put the ratings of a block in the order of the rows to solve.

Covers: `order_by_user` and `order_by_item`, for targets in float32 or float64 and any coding of ratings, each with
explicit signatures.
Does not cover: the sums over ratings in order (row_terms.py), the steps of a solve (row_steps.py).

A block's order keeps equal rows apart. Here a row's ratings come one after another, so that x and the sum stay in
registers: ordering takes 3 to 6 ns a rating (AVX-512), once in an epoch for the users' ratings and once in a training
for the items'.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import int32, int64, types, uint16

from funkflow.tasks.kernels.cache import built_once, compiled
from funkflow.tasks.kernels.row_terms import NUMBERS, TERMS
from funkflow.tasks.kernels.sgd import CODES, rating_at
from funkflow.tasks.kernels.tiles import GROUP_USERS, ITEM_BITS, TILE_ITEMS
from funkflow.tasks.kernels.vector import FAST_MATH

_USER_SHIFT, _USER_MASK = np.uint64(ITEM_BITS), np.uint64(GROUP_USERS - 1)
_ITEM_SHIFT, _ITEM_MASK = np.uint64(0), np.uint64(TILE_ITEMS - 1)
_OPTIONS: dict[str, Any] = {"error_model": "numpy", "fastmath": set(FAST_MATH)}
_INLINE: Any = {**_OPTIONS, "nogil": True, "inline": "always"}


@numba.njit(**_INLINE)
def _count(begin, end, cells, shift, mask, ends):  # type: ignore[no-untyped-def]
    """Count the ratings begin to end - 1 of each row: that number in their cells, shifted and masked."""
    for n in range(begin, end):
        ends[cells[np.uint64(n)] >> shift & mask] += 1


@numba.njit(**_INLINE)
def _number_places(ends, starts, first, place):  # type: ignore[no-untyped-def]
    """Turn counts into first places, from `place` on, there and from `first` on in `starts`; return the end."""
    for row in range(len(ends)):
        if first + row < len(starts):
            starts[first + row] = place
        place += ends[row]
        ends[row] = place - ends[row]
    return place


@numba.njit(**_INLINE)
def _put(  # type: ignore[no-untyped-def]
    begin, end, cells, codes, levels, shift, mask, other_shift, other_mask, first, ends, partners, values
):
    """Write the ratings begin to end - 1 to the places of their rows; partners are counted from `first` on.

    `levels` : None writes codes in place of ratings.
    """
    for n in range(begin, end):
        at = np.uint64(n)
        row = cells[at] >> shift & mask
        place = np.uint64(ends[row])
        ends[row] += 1
        partners[place] = np.uint64(first) + (cells[at] >> other_shift & other_mask)
        values[place] = codes[at] if levels is None else rating_at(codes, levels, at)


def _order_by_user(  # type: ignore[no-untyped-def]
    numbers, first_user, tiles, run_users, run_starts, cells, codes, levels, starts, partners, targets
):
    """Put the ratings of some users in some tiles of a row of tiles in the order of the users.

    A group of users has one run in each tile. Its ratings are counted and written while they are in the L1 cache.

    Parameters
    ----------
    numbers : int64 (m,), the tiles, none of them with items before those of the first.
    first_user : the first of the users, of a group.
    tiles, run_users, run_starts, cells, codes, levels : a block's, as for `descend_tiles`.
    starts : int32 (users + 1,), receives the first place of each user's ratings.
    partners : uint16, receives the items, from the first tile's on, and TERMS zeros; targets : of the rows' numbers,
        receives the ratings, centred and scaled.
    """
    count = len(numbers)
    runs, begins, stops = np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count, np.int64)
    for m in range(count):
        first, end = tiles[numbers[m], 1], tiles[numbers[m], 2]
        runs[m] = first + np.searchsorted(run_users[first:end], first_user)
    place, ends = 0, np.empty(GROUP_USERS, np.int32)
    for group in range(0, len(starts) - 1, GROUP_USERS):
        ends[:] = 0
        for m in range(count):
            begins[m] = stops[m] = 0
            run = runs[m]
            if run < tiles[numbers[m], 2] and run_users[run] == first_user + group:
                begins[m], stops[m] = run_starts[run], run_starts[run + 1]
                runs[m] += 1
            _count(begins[m], stops[m], cells, _USER_SHIFT, _USER_MASK, ends)
        place = _number_places(ends, starts, group, place)
        for m in range(count):
            _put(
                begins[m], stops[m], cells, codes, levels, _USER_SHIFT, _USER_MASK, _ITEM_SHIFT, _ITEM_MASK,
                tiles[numbers[m], 0] - tiles[numbers[0], 0], ends, partners, targets,
            )  # fmt: skip
    starts[-1] = place
    partners[place : place + TERMS] = 0


def _order_by_item(  # type: ignore[no-untyped-def]
    first_run, end_run, first_user, place, run_users, run_starts, cells, codes, starts, partners, ordered
):
    """Put the ratings of some runs of a tile in the order of the items, from a place on; return the end.

    Parameters
    ----------
    first_run, end_run : of the runs; first_user : partners are counted from this user; place : the first one.
    run_users, run_starts, cells, codes : a block's, as for `descend_tiles`.
    starts : int32 (items,) of the tile, receives the first place of each item's ratings.
    partners : uint16, receives the users; ordered : like codes, receives the codes.
    """
    ends = np.zeros(TILE_ITEMS, np.int32)
    _count(run_starts[first_run], run_starts[end_run], cells, _ITEM_SHIFT, _ITEM_MASK, ends)
    end = _number_places(ends, starts, 0, place)
    for run in range(first_run, end_run):
        _put(
            run_starts[run], run_starts[run + 1], cells, codes, None, _ITEM_SHIFT, _ITEM_MASK, _USER_SHIFT,
            _USER_MASK, run_users[run] - first_user, ends, partners, ordered,
        )  # fmt: skip
    return end


@built_once
def order_by_user(number: str, coding: str) -> Callable[..., None]:
    """Return `_order_by_user` for rows of f4 or f8, and codes of NumPy type u1, u2 or f4."""
    tiles, constant, written = types.Array(int64, 2, "C", readonly=True), _array(readonly=True), _array(readonly=False)
    signature = types.void(
        constant(int64), int64, tiles, constant(int32), constant(int64), constant(uint16), constant(CODES[coding]),
        constant(NUMBERS[number]), written(int32), written(uint16), written(NUMBERS[number]),
    )  # fmt: skip
    return compiled(signature, **_OPTIONS)(_order_by_user)


@built_once
def order_by_item(coding: str) -> Callable[..., int]:
    """Return `_order_by_item` for codes of NumPy type u1, u2 or f4."""
    constant, written = _array(readonly=True), _array(readonly=False)
    signature = int64(
        int64, int64, int64, int64, constant(int32), constant(int64), constant(uint16), constant(CODES[coding]),
        written(int32), written(uint16), written(CODES[coding]),
    )  # fmt: skip
    return compiled(signature, **_OPTIONS)(_order_by_item)


def _array(readonly: bool) -> Any:
    return functools.partial(types.Array, ndim=1, layout="C", readonly=readonly)
