"""Compiled loops over a block's ratings that train one factor at a time, as Simon Funk did, with cached residuals.

Covers: the residuals before the first factor, one epoch of a factor, subtracting a finished factor from the residuals,
and the error of validation ratings with a factor added; each with an explicit signature.
Does not cover: the plain references (reference.py), the order of blocks and factors (tasks/training/funk.py,
pipeline), or all factors at once (sgd.py).

A rating of user row a and item row b has a cached residual r: the rating minus the biases and all finished factors.
Then e = r - u_a v_b, and the old values of both numbers give

    u_a += step (e v_b - l2 u_a)        v_b += step (e u_a - l2 v_b)

after S. Funk, "Netflix update: try this at home", 2006, without its clipping. A rating takes two random loads of
4 bytes and 6 sequential bytes: measured at 630 to 690 M ratings/s a thread.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from numba import float32, float64, int32, int64, types, uint16

from funkflow.tasks.kernels.cache import built_once, compiled
from funkflow.tasks.kernels.sgd import CODES, rating_at
from funkflow.tasks.kernels.tiles import ITEM_BITS, TILE_ITEMS
from funkflow.tasks.kernels.vector import FAST_MATH

_ITEM_MASK = TILE_ITEMS - 1
_constant = functools.partial(types.Array, ndim=1, layout="C", readonly=True)
_writable = functools.partial(types.Array, ndim=1, layout="C")
_BLOCK = (types.Array(int64, 2, "C", readonly=True), _constant(int32), _constant(int64), _constant(uint16))
"""A block's tiles, run_users, run_starts and cells, see `RatingBlock`."""


def _start_residuals(  # type: ignore[no-untyped-def]
    tiles, run_users, run_starts, cells, codes, levels, user_biases, item_biases, residuals
):  # fmt: skip
    """Set each residual to the centred and scaled rating minus the biases of its rows.

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


def _descend_factor(tiles, run_users, run_starts, cells, residuals, users, items, step, l2):  # type: ignore[no-untyped-def]
    """Take one step per rating in order, in place; return the sum of squared errors before each step, float64.

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


def _subtract_factor(tiles, run_users, run_starts, cells, residuals, users, items, left):  # type: ignore[no-untyped-def]
    """Write the residuals minus the factor of `users` and `items` to `left`, float32 (n,)."""
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
    """Return the sum of squared errors of clipped predictions, in rating units, with a factor added to `scores`.

    Parameters
    ----------
    user_rows, item_rows : int32 (n,), -1 for rows without training ratings; ratings : float32 (n,), in rating units.
    scores : float32 (n,), biases plus finished factors, scaled; users, items : float32 (rows,), the factor.
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


@built_once
def start_residuals(coding: str) -> Callable[..., None]:
    """Return `_start_residuals` compiled for codes of NumPy type `coding`, u1, u2 or f4."""
    ratings = (_constant(CODES[coding]), _constant(float32))
    signature = types.void(*_BLOCK, *ratings, _constant(float32), _constant(float32), _writable(float32))
    return compiled(signature)(_start_residuals)


@built_once
def descend_factor() -> Callable[..., float]:
    """Return `_descend_factor` compiled."""
    signature = float64(*_BLOCK, _constant(float32), _writable(float32), _writable(float32), float32, float32)
    return compiled(signature, error_model="numpy", fastmath=set(FAST_MATH))(_descend_factor)


@built_once
def subtract_factor() -> Callable[..., None]:
    """Return `_subtract_factor` compiled."""
    signature = types.void(*_BLOCK, *[_constant(float32)] * 3, _writable(float32))
    return compiled(signature)(_subtract_factor)


@built_once
def squared_errors() -> Callable[..., float]:
    """Return `_squared_errors` compiled."""
    signature = float64(_constant(int32), _constant(int32), *[_constant(float32)] * 4, *[float64] * 4)
    return compiled(signature)(_squared_errors)
