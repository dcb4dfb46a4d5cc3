"""Compiled sums over the ratings of each user and each item of a block, for the bias baseline.

Covers: `residual_sums`, for any coding of ratings, each with an explicit signature.
Does not cover: its plain reference (reference.py), or the biases themselves (tasks/grid/bias_baseline.py).
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from numba import float32, float64, int32, int64, types, uint16

from funkflow.tasks.kernels.cache import built_once, compiled
from funkflow.tasks.kernels.sgd import CODES, rating_at
from funkflow.tasks.kernels.tiles import ITEM_BITS, TILE_ITEMS

_ITEM_MASK = TILE_ITEMS - 1


def _residual_sums(  # type: ignore[no-untyped-def]
    tiles,
    run_users,
    run_starts,
    cells,
    codes,
    levels,
    mean,
    item_biases,
    user_sums,
    user_counts,
    item_sums,
    item_counts,
):
    """Add each rating r to the sums and counts of its rows: r - mean - b_i for the user, r - mean for the item.

    Parameters
    ----------
    tiles, run_users, run_starts, cells, codes, levels : a block's, as for `descend_tiles`, ratings in their own units.
    mean : float64; item_biases : float64 (items,).
    user_sums, user_counts : float64 (users,); item_sums, item_counts : float64 (items,); all added to in place.
    """
    for tile in range(len(tiles)):
        first_item = tiles[tile, 0]
        for run in range(tiles[tile, 1], tiles[tile, 2]):
            first_user = int64(run_users[run])
            for n in range(run_starts[run], run_starts[run + 1]):
                place = np.uint64(n)
                cell = int64(cells[place])
                user, item = first_user + (cell >> ITEM_BITS), first_item + (cell & _ITEM_MASK)
                residual = float64(rating_at(codes, levels, place)) - mean
                user_sums[user] += residual - item_biases[item]
                user_counts[user] += 1.0
                item_sums[item] += residual
                item_counts[item] += 1.0


@built_once
def residual_sums(coding: str) -> Callable[..., None]:
    """Return `_residual_sums` compiled for codes of NumPy type `coding`, u1, u2 or f4."""
    constant, sums = functools.partial(types.Array, ndim=1, layout="C", readonly=True), types.Array(float64, 1, "C")
    signature = types.void(
        types.Array(int64, 2, "C", readonly=True), constant(int32), constant(int64), constant(uint16),
        constant(CODES[coding]), constant(float32), float64, constant(float64), sums, sums, sums, sums,
    )  # fmt: skip
    return compiled(signature)(_residual_sums)
