"""Compiled loops over the ratings of a block for effects of time: their slots, ratings less the effects, and sums.

Covers: `without_times`, `slots_of`, `slot_sums` and `bin_sums`, each with an explicit signature.
Does not cover: slots and effects (tasks/training/times/).

A slot is a user on a day, and a bin some days. Loops take ratings in the block's order, so a sum has the same bits on
every machine of one CPU target.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from numba import float32, float64, int32, int64, types, uint16

from funkflow.tasks.kernels.cache import built_once, compiled
from funkflow.tasks.kernels.row_terms import NUMBERS
from funkflow.tasks.kernels.sgd import CODES, rating_at
from funkflow.tasks.kernels.tiles import ITEM_BITS, TILE_ITEMS
from funkflow.tasks.kernels.vector import FAST_MATH, dot, rows_type

_ITEM_MASK = TILE_ITEMS - 1
_constant = functools.partial(types.Array, ndim=1, layout="C", readonly=True)
_table = functools.partial(types.Array, ndim=2, layout="C", readonly=True)
_PLACES = (_table(int64), _constant(int32), _constant(int64), _constant(uint16))


def _without_times(  # type: ignore[no-untyped-def]
    tiles, _run_users, run_starts, cells, codes, levels, slots, slot_effects, slot_bins, table, deviation, out
):
    """Write each rating less the effects of its time to `out`, float32 (n,).

    Parameters
    ----------
    tiles, run_users, run_starts, cells, codes, levels : a block's, ratings in their own units.
    slots : int32 (n,), of each rating; slot_effects : float32 (slots,); slot_bins : int32 (slots,).
    table : float32 (items, bins), the effect of a bin on an item. deviation : of a unit of effects, in rating units.
    """
    for tile in range(len(tiles)):
        first_item = tiles[tile, 0]
        for run in range(tiles[tile, 1], tiles[tile, 2]):
            for n in range(run_starts[run], run_starts[run + 1]):
                place = np.uint64(n)
                item, slot = first_item + (int64(cells[place]) & _ITEM_MASK), slots[place]
                effect = slot_effects[slot] + table[item, slot_bins[slot]]
                out[place] = rating_at(codes, levels, place) - deviation * effect


def _slots_of(  # type: ignore[no-untyped-def]
    tiles, run_users, run_starts, cells, ratings, days, starts, out
):
    """Write the slot of each rating of a block of days to `out`, int32 (n,).

    ratings : float32 (n,), days; days : int32 (slots,), ascending for each user; starts : int64 (users + 1,), where the
    slots of each begin.
    """
    for tile in range(len(tiles)):
        for run in range(tiles[tile, 1], tiles[tile, 2]):
            first_user = int64(run_users[run])
            for n in range(run_starts[run], run_starts[run + 1]):
                place = np.uint64(n)
                user, day = first_user + (int64(cells[place]) >> ITEM_BITS), ratings[place]
                low, high = starts[user], starts[user + 1]
                while high - low > 1:
                    middle = (low + high) // 2
                    if days[middle] <= day:
                        low = middle
                    else:
                        high = middle
                out[place] = low


def _slot_sums(  # type: ignore[no-untyped-def]
    tiles, run_users, run_starts, cells, ratings, mean, share, slots, users, items, residuals, sums
):
    """Write t - <x, y> of each rating to `residuals`, float32 (n,), and add it to the sum of its slot.

    Parameters
    ----------
    ratings : float32 (n,), less the effects of time; mean, share : a target t is (rating - mean) times share.
    users, items : rows of `row_dtype`, of one type; sums : float64 (slots,), added to in place.
    """
    for tile in range(len(tiles)):
        first_item = tiles[tile, 0]
        for run in range(tiles[tile, 1], tiles[tile, 2]):
            first_user = int64(run_users[run])
            for n in range(run_starts[run], run_starts[run + 1]):
                place = np.uint64(n)
                cell = int64(cells[place])
                user, item = first_user + (cell >> ITEM_BITS), first_item + (cell & _ITEM_MASK)
                residual = (ratings[place] - mean) * share - float32(dot(users, user, items, item))
                residuals[place] = residual
                sums[slots[place]] += float64(residual)


def _bin_sums(  # type: ignore[no-untyped-def]
    tiles, run_users, run_starts, cells, residuals, slots, change, slot_bins, weights, sums, counts
):
    """Add each residual, less the change of its slot's effect, to the sum of its item and bin, times its user's weight.

    Parameters
    ----------
    residuals : of `slot_sums`; change : float64 (slots,); weights : float64 (users,).
    sums, counts : float64 (items, bins), added to in place; counts : of the weights.
    """
    for tile in range(len(tiles)):
        first_item = tiles[tile, 0]
        for run in range(tiles[tile, 1], tiles[tile, 2]):
            first_user = int64(run_users[run])
            for n in range(run_starts[run], run_starts[run + 1]):
                place = np.uint64(n)
                cell, slot = int64(cells[place]), slots[place]
                item, when = first_item + (cell & _ITEM_MASK), slot_bins[slot]
                weight = weights[first_user + (cell >> ITEM_BITS)]
                sums[item, when] += weight * (float64(residuals[place]) - change[slot])
                counts[item, when] += weight


@built_once
def without_times(coding: str) -> Callable[..., None]:
    """Return `_without_times` for codes of NumPy type `coding`, u1, u2 or f4."""
    signature = types.void(
        *_PLACES, _constant(CODES[coding]), _constant(float32), _constant(int32), _constant(float32), _constant(int32),
        _table(float32), float32, types.Array(float32, 1, "C"),
    )  # fmt: skip
    return compiled(signature)(_without_times)


@built_once
def slots_of() -> Callable[..., None]:
    """Return `_slots_of` compiled."""
    signature = types.void(*_PLACES, _constant(float32), _constant(int32), _constant(int64), types.Array(int32, 1, "C"))
    return compiled(signature)(_slots_of)


@built_once
def slot_sums(width: int, number: str) -> Callable[..., None]:
    """Return `_slot_sums` for rows of `width` numbers, f4 or f8."""
    assert number in NUMBERS
    rows = rows_type(width, number, readonly=True)
    signature = types.void(
        *_PLACES, _constant(float32), float32, float32, _constant(int32), rows, rows,
        types.Array(float32, 1, "C"), types.Array(float64, 1, "C"),
    )  # fmt: skip
    return compiled(signature, fastmath=set(FAST_MATH))(_slot_sums)


@built_once
def bin_sums() -> Callable[..., None]:
    """Return `_bin_sums` compiled."""
    sums = types.Array(float64, 2, "C")
    signature = types.void(
        *_PLACES, _constant(float32), _constant(int32), _constant(float64), _constant(int32), _constant(float64),
        sums, sums,
    )  # fmt: skip
    return compiled(signature)(_bin_sums)
