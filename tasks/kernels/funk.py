"""Loops over a block's ratings for one feature alone, compiled: Simon Funk's form, with residuals cached per rating.

Covers: the residuals before the first feature, one pass of steps for a feature, taking a finished feature away from the
residuals, and the error of held-out ratings with a feature added; each with an explicit signature.
Does not cover: the slow, obvious twins (reference_funk.py), which block or feature comes when (tasks/training/funk.py,
pipeline), or all features at once (sgd.py).

For a rating of user row a and item row b with cached residual r, which is what the biases and all finished features
leave of it, e = r - u_a v_b, and from the old values of both numbers

    u_a += step (e v_b - l2 u_a)        v_b += step (e u_a - l2 v_b)

after S. Funk, "Netflix update: try this at home", 2006, without the clipping that he tried on top. A rating takes two
loads of 4 bytes from what may be far, and 6 bytes that come in order: measured at 630 to 690 M ratings/s a thread.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from numba import float32, float64, int32, int64, types, uint16

from funkflow.tasks.kernels.cache import compiled
from funkflow.tasks.kernels.sgd import CODES, rating_at
from funkflow.tasks.kernels.tiles import ITEM_BITS, TILE_ITEMS
from funkflow.tasks.kernels.vector import FAST_MATH

_ITEM_MASK = TILE_ITEMS - 1
_constant = functools.partial(types.Array, ndim=1, layout="C", readonly=True)
_changed = functools.partial(types.Array, ndim=1, layout="C")
_PLACES = (types.Array(int64, 2, "C", readonly=True), _constant(int32), _constant(int64), _constant(uint16))
"""A block's tiles, run_users, run_starts and cells, see `RatingBlock`."""


def _start_residuals(  # type: ignore[no-untyped-def]
    tiles, run_users, run_starts, cells, codes, levels, user_biases, item_biases, residuals
):  # fmt: skip
    """Set each residual to the centred and scaled rating without the biases of its rows.

    Parameters
    ----------
    codes, levels : the ratings, as for `descend_tiles`; user_biases, item_biases : float32 (rows,), in the same units.
    residuals : float32 (n,), in the block's order; written.
    """
    for tile in range(len(tiles)):
        first_item = tiles[tile, 0]
        for run in range(tiles[tile, 1], tiles[tile, 2]):
            first_user = int64(run_users[run])
            for n in range(run_starts[run], run_starts[run + 1]):
                place = np.uint64(n)
                cell = int64(cells[place])
                user, item = first_user + (cell >> ITEM_BITS), first_item + (cell & _ITEM_MASK)
                residuals[place] = rating_at(codes, levels, place) - user_biases[user] - item_biases[item]


def _pass_over(tiles, run_users, run_starts, cells, residuals, users, items, step, l2):  # type: ignore[no-untyped-def]
    """Take one step for each rating in turn, in place; return the sum of squared errors met, float64.

    Parameters
    ----------
    residuals : float32 (n,), read only; users, items : float32 (rows,), one number a row; step, l2 : float32.
    """
    total = 0.0
    keep = np.float32(1.0) - step * l2
    for tile in range(len(tiles)):
        first_item = tiles[tile, 0]
        squared = np.float32(0.0)
        for run in range(tiles[tile, 1], tiles[tile, 2]):
            first_user = int64(run_users[run])
            for n in range(run_starts[run], run_starts[run + 1]):
                place = np.uint64(n)
                cell = int64(cells[place])
                user, item = np.uint64(first_user + (cell >> ITEM_BITS)), np.uint64(first_item + (cell & _ITEM_MASK))
                u, v = users[user], items[item]
                error = residuals[place] - u * v
                pull = step * error
                users[user] = keep * u + pull * v
                items[item] = keep * v + pull * u
                squared += error * error
        total += float64(squared)
    return total


def _take_away(tiles, run_users, run_starts, cells, residuals, users, items, left):  # type: ignore[no-untyped-def]
    """Write to `left`, float32 (n,), what the feature of `users` and `items` leaves of the residuals."""
    for tile in range(len(tiles)):
        first_item = tiles[tile, 0]
        for run in range(tiles[tile, 1], tiles[tile, 2]):
            first_user = int64(run_users[run])
            for n in range(run_starts[run], run_starts[run + 1]):
                place = np.uint64(n)
                cell = int64(cells[place])
                user, item = first_user + (cell >> ITEM_BITS), first_item + (cell & _ITEM_MASK)
                left[place] = residuals[place] - users[user] * items[item]


def _squared_errors(  # type: ignore[no-untyped-def]
    user_rows, item_rows, ratings, scores, users, items, mean, deviation, least, greatest
):  # fmt: skip
    """Return the sum of squared errors of clipped predictions, in rating units, with a feature added to `scores`.

    Parameters
    ----------
    user_rows, item_rows : int32 (n,), -1 where training knows no such row; ratings : float32 (n,), in rating units.
    scores : float32 (n,), what biases and finished features say, scaled; users, items : float32 (rows,).
    mean, deviation, least, greatest : float64, undo the scaling, and clip.
    """
    squared = 0.0
    for n in range(len(ratings)):
        score = scores[n]
        if user_rows[n] >= 0 and item_rows[n] >= 0:
            score += users[user_rows[n]] * items[item_rows[n]]
        predicted = min(max(mean + deviation * float64(score), least), greatest)
        squared += (float64(ratings[n]) - predicted) ** 2
    return squared


@functools.cache
def start_residuals(coding: str) -> Callable[..., None]:
    """Return `_start_residuals` compiled for codes of NumPy type `coding`, u1, u2 or f4."""
    ratings = (_constant(CODES[coding]), _constant(float32))
    signature = types.void(*_PLACES, *ratings, _constant(float32), _constant(float32), _changed(float32))
    return compiled(signature)(_start_residuals)


@functools.cache
def pass_over() -> Callable[..., float]:
    """Return `_pass_over` compiled."""
    signature = float64(*_PLACES, _constant(float32), _changed(float32), _changed(float32), float32, float32)
    return compiled(signature, error_model="numpy", fastmath=set(FAST_MATH))(_pass_over)


@functools.cache
def take_away() -> Callable[..., None]:
    """Return `_take_away` compiled."""
    signature = types.void(*_PLACES, *[_constant(float32)] * 3, _changed(float32))
    return compiled(signature)(_take_away)


@functools.cache
def squared_errors() -> Callable[..., float]:
    """Return `_squared_errors` compiled."""
    signature = float64(_constant(int32), _constant(int32), *[_constant(float32)] * 4, *[float64] * 4)
    return compiled(signature)(_squared_errors)
