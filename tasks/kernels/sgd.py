"""The compiled loop of stochastic gradient descent over a block's ratings, tile by tile.

Covers: `descend_tiles`, for any rank and any coding of ratings, each with an explicit signature so that every call on
every worker runs the same machine code.
Does not cover: the arithmetic of one rating (vector.py), the plain reference (reference.py), the order of ratings in a
block (tiles.py), or copies and threads (tasks/training/sgd.py).

For a rating r of user row a and item row b, e = r - b_a - b_b - <u_a, v_b>, and the old values of both rows give

    u_a += rate_a (e v_b - l2 u_a)        v_b += rate_b (e u_a - l2 v_b)
    b_a += bias rate_a (e - l2 b_a)       b_b += bias rate_b (e - l2 b_b)

with the rates of Adagrad (Duchi 2011), one for a row's factors and one for its bias (Chin 2015 has one a row):

    rate_a = step / sqrt(G_a),  bias rate_a = bias step / sqrt(H_a),   G_a += e^2 mean(v_b^2),  H_a += e^2

The squared gradients are those of the data term. Roots, quotients and mean(v_b^2) cost as much as the rest of the step
and hardly change between ratings. So each tile refreshes its items at its start, and each group of users refreshes its
users; a tile has about a hundred ratings of an item. A large error, of four standard deviations of the ratings,
refreshes both rows at once, so that far outliers shrink the steps as if every rating refreshed them.

With row means m_a and m_b (tasks/grid/factor_shard.py) the L2 term pulls to them: -l2 (u_a - m_a) in place of -l2 u_a.
What that adds, rate_a l2 m_a a rating, is taken when a tile begins for its items and when a run begins for its users,
for all their ratings t there at once, as 1 - (1 - rate_a l2)^t = x / (1 + x / 2), nearly, with x = t rate_a l2: so the
loop over ratings is the same with means and without.

A row's state, float32 (8,): bias; G; H; then the refreshed values: mean square of the factors, 1 - rate l2, rate,
1 - bias rate l2, bias rate.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import float32, float64, int32, int64, types, uint8, uint16
from numba.extending import overload

from funkflow.tasks.kernels.cache import built_once, compiled
from funkflow.tasks.kernels.tiles import GROUP_USERS, ITEM_BITS, TILE_ITEMS
from funkflow.tasks.kernels.vector import (
    BIAS,
    BIAS_KEEP,
    BIAS_RATE,
    BIAS_SQUARES,
    FACTOR_SQUARES,
    FAST_MATH,
    KEEP,
    MEAN_SQUARE,
    RATE,
    add_scaled,
    dot,
    mean_square,
    rows_type,
    step_once,
)

_INLINE: Any = {"nogil": True, "error_model": "numpy", "fastmath": set(FAST_MATH), "inline": "always"}
CODES = {"u1": uint8, "u2": uint16, "f4": float32}
LARGE_SQUARED_ERROR = np.float32(16.0)
_ONE = np.float32(1.0)
_USER_MASK, _ITEM_MASK = GROUP_USERS - 1, TILE_ITEMS - 1


@numba.njit(**_INLINE)
def _refresh(factors, states, row, l2, step, bias_step):  # type: ignore[no-untyped-def]
    """Refresh the values of a row's state that derive from its factors and its sums of squares."""
    rate = step / math.sqrt(states[row, FACTOR_SQUARES])
    bias_rate = bias_step / math.sqrt(states[row, BIAS_SQUARES])
    states[row, MEAN_SQUARE] = mean_square(factors, row)
    states[row, RATE] = rate
    states[row, KEEP] = _ONE - rate * l2
    states[row, BIAS_RATE] = bias_rate
    states[row, BIAS_KEEP] = _ONE - bias_rate * l2


@numba.njit(**_INLINE)
def _refresh_all(  # type: ignore[no-untyped-def]
    factors, states, first, width, cells, begin, end, shift, mask, l2, step, bias_step
):
    """Refresh the rows of ratings begin to end - 1; with many ratings it is faster to refresh all rows from `first`."""
    if end - begin < width:
        for n in range(begin, end):
            _refresh(factors, states, first + (int64(cells[n]) >> shift & mask), l2, step, bias_step)
    else:
        for row in range(first, min(first + width, len(factors))):
            _refresh(factors, states, row, l2, step, bias_step)


@numba.njit(**_INLINE)
def _part(count, keep):  # type: ignore[no-untyped-def]
    """Return which part of the way to its mean a row goes in `count` ratings."""
    way = np.float32(count) * (_ONE - keep)
    return min(_ONE, way / (_ONE + np.float32(0.5) * way))


@numba.njit(**_INLINE)
def _pull_to_means(  # type: ignore[no-untyped-def]
    factors, states, means, mean_biases, first, cells, begin, end, shift, mask, counts
):
    """Pull the rows of ratings begin to end - 1 to their means; counts : int32, of zeros, which it leaves as zeros."""
    for n in range(begin, end):
        counts[int64(cells[n]) >> shift & mask] += 1
    for place in range(mask + 1):
        if counts[place]:
            row = first + place
            add_scaled(factors, row, means, _part(counts[place], states[row, KEEP]))
            states[row, BIAS] += _part(counts[place], states[row, BIAS_KEEP]) * mean_biases[row]
            counts[place] = 0


def rating_at(codes: Any, levels: Any, place: Any) -> Any:
    """Return one rating, centred and scaled; `overload` picks the code by the type of the codes."""
    raise NotImplementedError


@overload(rating_at, inline="always")
def _rating_of(codes, _levels, _place):  # type: ignore[no-untyped-def]
    if isinstance(codes.dtype, types.Float):
        return lambda codes, _levels, _place: (codes[_place] - _levels[0]) * _levels[1]
    return lambda codes, _levels, _place: _levels[codes[_place]]


@numba.njit(**_INLINE)
def _descend_run(  # type: ignore[no-untyped-def]
    begin, end, first_user, first_item, cells, codes, levels,
    users, user_states, items, item_states, l2, step, bias_step,
):  # fmt: skip
    """Take one step per rating of a run in order; return the sum of squared errors.

    The product of the next rating's rows comes before the step of this one, unless they share a row: a step must wait
    for its product, and a processor looks no further ahead than two ratings of rank 64.
    """
    total = np.float32(0.0)
    place = np.uint64(begin)  # numba need not check whether an unsigned index is negative
    cell = int64(cells[place])
    product = dot(users, first_user + (cell >> ITEM_BITS), items, first_item + (cell & _ITEM_MASK))
    for n in range(begin + 1, end + 1):
        user, item = first_user + (cell >> ITEM_BITS), first_item + (cell & _ITEM_MASK)
        rating = rating_at(codes, levels, place)
        place = np.uint64(min(n, end - 1))
        following = int64(cells[place])
        next_user, next_item = first_user + (following >> ITEM_BITS), first_item + (following & _ITEM_MASK)
        differ = cell ^ following
        if (differ < TILE_ITEMS) | (differ & _ITEM_MASK == 0):  # one user, or one item
            squared = step_once(users, user_states, user, items, item_states, item, rating, product)
            product = dot(users, next_user, items, next_item)
        else:
            ahead = dot(users, next_user, items, next_item)
            squared = step_once(users, user_states, user, items, item_states, item, rating, product)
            product = ahead
        total += squared
        if squared > LARGE_SQUARED_ERROR:
            _refresh(users, user_states, user, l2, step, bias_step)
            _refresh(items, item_states, item, l2, step, bias_step)
        cell = following
    return total


def _descend_tiles(  # type: ignore[no-untyped-def]
    first_tile, last_tile, tiles, run_users, run_starts, cells, codes, levels,
    users, user_states, items, item_states, l2, step, bias_step, errors,
    user_means, user_mean_biases, item_means, item_mean_biases,
):  # fmt: skip
    """Take one step per rating of tiles first_tile to last_tile - 1 in order, in place.

    Parameters
    ----------
    tiles : int64 (tiles, 3): first item row, first run, end of runs. Runs: ratings of one tile and one group of users.
    run_users, run_starts : int32 (runs,), first user row of each run's group; int64 (runs + 1,), its first rating.
    cells : uint16 (n,), user within the group and item within the tile, see tiles.py.
    codes, levels : the centred and scaled ratings are levels[codes], codes uint8 or uint16 (n,); or, codes being
        float32 ratings, (codes - levels[0]) * levels[1].
    users, items : (rows,) of `row_dtype`; user_states, item_states : float32 (rows, 8), all changed in place. The
        caller has checked that all rows are inside.
    l2, step, bias_step : float32; a `bias_step` of 0 does not change the biases.
    errors : float64 (tiles,), receives each tile's sum of squared errors.
    user_means, item_means : of the type of the factors, with biases float32 (rows,); None: zeros.
    """
    counts = np.zeros(TILE_ITEMS, np.int32)
    for tile in range(first_tile, last_tile):
        first_item, first_run, end_run = tiles[tile, 0], tiles[tile, 1], tiles[tile, 2]
        _refresh_all(
            items, item_states, first_item, TILE_ITEMS, cells, run_starts[first_run], run_starts[end_run],
            0, _ITEM_MASK, l2, step, bias_step,
        )  # fmt: skip
        if item_means is not None:
            _pull_to_means(
                items, item_states, item_means, item_mean_biases, first_item, cells,
                run_starts[first_run], run_starts[end_run], 0, _ITEM_MASK, counts,
            )  # fmt: skip
        total = 0.0
        for run in range(first_run, end_run):
            first_user, begin, end = int64(run_users[run]), run_starts[run], run_starts[run + 1]
            _refresh_all(
                users, user_states, first_user, GROUP_USERS, cells, begin, end,
                ITEM_BITS, _USER_MASK, l2, step, bias_step,
            )  # fmt: skip
            if user_means is not None:
                _pull_to_means(
                    users, user_states, user_means, user_mean_biases, first_user, cells, begin, end,
                    ITEM_BITS, _USER_MASK, counts,
                )  # fmt: skip
            total += float64(
                _descend_run(
                    begin, end, first_user, first_item, cells, codes, levels,
                    users, user_states, items, item_states, l2, step, bias_step,
                )
            )  # fmt: skip
        errors[tile] = total


@built_once
def descend_tiles(rank: int, coding: str, to_means: bool = False) -> Callable[..., None]:
    """Return `_descend_tiles` compiled for rows of `rank` factors and codes of NumPy type `coding`, u1, u2 or f4.

    to_means : with row means.
    """
    matrix, constant = types.Array(float32, 2, "C"), functools.partial(types.Array, ndim=1, layout="C", readonly=True)
    means = (rows_type(rank, readonly=True), constant(float32)) if to_means else (types.none, types.none)
    signature = types.void(
        int64, int64, types.Array(int64, 2, "C", readonly=True), constant(int32), constant(int64), constant(uint16),
        constant(CODES[coding]), constant(float32), rows_type(rank), matrix, rows_type(rank), matrix,
        float32, float32, float32, types.Array(float64, 1, "C"), *means, *means,
    )  # fmt: skip
    return compiled(signature, error_model="numpy", fastmath=set(FAST_MATH))(_descend_tiles)
