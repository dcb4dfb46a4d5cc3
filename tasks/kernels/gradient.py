"""The compiled loop that sums a block's part of the gradient, for full-batch gradient descent.

Covers: `sum_slopes`, in float64, for any rank and any coding of ratings, each with an explicit signature.
Does not cover: its plain reference (tasks/training/objective.py), the penalty, or the sum over blocks
(tasks/training/batch.py).

A row is a row of factors with its bias at the end, so with D = U V^T the prediction is D_rc + b_r + b_c. For each
rating, e = r - D_rc - b_r - b_c, and by the chain rule the slopes grow by

    dJ/dU_r += -2 e V_c        dJ/dV_c += -2 e U_r        dJ/db_r += -2 e        dJ/db_c += -2 e
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from numba import float64, int32, int64, types, uint16

from funkflow.tasks.kernels.cache import built_once, compiled
from funkflow.tasks.kernels.sgd import CODES, rating_at
from funkflow.tasks.kernels.tiles import ITEM_BITS, TILE_ITEMS
from funkflow.tasks.kernels.vector import FAST_MATH

_ITEM_MASK = TILE_ITEMS - 1


def _sum_slopes(  # type: ignore[no-untyped-def]
    tiles, run_users, run_starts, cells, codes, levels, users, items, user_slopes, item_slopes
):
    """Add the block's slopes to those given; return its sum of squared errors.

    Parameters
    ----------
    tiles, run_users, run_starts, cells, codes : a block's, as for `descend_tiles`; levels : float64, scaled.
    users, items : float64 (rows, k + 1), factors with the bias at the end.
    user_slopes, item_slopes : float64 (rows, k + 1), added to in place.
    """
    rank = users.shape[1] - 1
    squared = 0.0
    for tile in range(len(tiles)):
        first_item = tiles[tile, 0]
        for run in range(tiles[tile, 1], tiles[tile, 2]):
            first_user = int64(run_users[run])
            for n in range(run_starts[run], run_starts[run + 1]):
                place = np.uint64(n)
                cell = int64(cells[place])
                user, item = first_user + (cell >> ITEM_BITS), first_item + (cell & _ITEM_MASK)
                product = 0.0
                for f in range(rank):
                    product += users[user, f] * items[item, f]
                error = rating_at(codes, levels, place) - product - users[user, rank] - items[item, rank]
                squared += error * error
                by_cell = -2.0 * error
                for f in range(rank):
                    user_slopes[user, f] += by_cell * items[item, f]
                    item_slopes[item, f] += by_cell * users[user, f]
                user_slopes[user, rank] += by_cell
                item_slopes[item, rank] += by_cell
    return squared


@built_once
def sum_slopes(coding: str) -> Callable[..., float]:
    """Return `_sum_slopes` compiled for codes of NumPy type `coding`, u1, u2 or f4."""
    constant = functools.partial(types.Array, ndim=1, layout="C", readonly=True)
    rows, slopes = types.Array(float64, 2, "C", readonly=True), types.Array(float64, 2, "C")
    signature = float64(
        types.Array(int64, 2, "C", readonly=True), constant(int32), constant(int64), constant(uint16),
        constant(CODES[coding]), constant(float64), rows, rows, slopes, slopes,
    )  # fmt: skip
    return compiled(signature, error_model="numpy", fastmath=set(FAST_MATH))(_sum_slopes)
