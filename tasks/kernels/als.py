"""The compiled loops of alternating row solves: sums over a block's ratings, and steps of conjugate gradients.

Covers: `add_user_terms`, `add_item_terms`, `row_steps` and `gram`, in float32 or float64, for any rank and any coding
of ratings, each with explicit signatures.
Does not cover: the arithmetic of one rating (vector.py), which rows are solved when (tasks/training/als.py).

A row x of one side has partners y, one for each of its ratings, on the other side, and its problem is A x = b:

    A = sum of (c - alpha) y y^T + alpha G + shift I        b = sum of c a y

with a target a and a confidence c for each rating, G = Y^T Y over all rows of the other side, and a shift for the L2
term. No A is formed: a step of conjugate gradients needs A p alone, which is one pass over the ratings.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import float64, int32, int64, types, uint16
from numba.extending import overload

from funkflow.tasks.kernels.cache import compiled
from funkflow.tasks.kernels.sgd import CODES, rating_at
from funkflow.tasks.kernels.tiles import ITEM_BITS, TILE_ITEMS
from funkflow.tasks.kernels.vector import FAST_MATH, add_term, rows_type

_ITEM_MASK = TILE_ITEMS - 1
_OPTIONS: dict[str, Any] = {"error_model": "numpy", "fastmath": set(FAST_MATH)}
_INLINE: Any = {**_OPTIONS, "nogil": True, "inline": "always"}


def weight_at(codes: Any, weights: Any, place: Any) -> Any:
    """Return the weight of one rating; `overload` picks the code by the type of the codes."""
    raise NotImplementedError


@overload(weight_at, inline="always")
def _weight_of(_codes, _weights, _place):  # type: ignore[no-untyped-def]
    if isinstance(_codes.dtype, types.Float):
        return lambda _codes, _weights, _place: _weights[0]
    return lambda _codes, _weights, _place: _weights[_codes[_place]]


def _add_user_terms(  # type: ignore[no-untyped-def]
    numbers, first_user, tiles, run_users, run_starts, cells, codes, targets, weights, users, items, sums
):
    """Add (t - w s) v to the sums of each rating's user, with s = <u, v>; return the sums of t s and of s^2.

    Parameters
    ----------
    numbers : int64 (m,), the tiles to visit, in order.
    first_user : the user row that `users` and `sums` begin with.
    tiles, run_users, run_starts, cells, codes : a block's, as for `descend_tiles`.
    targets, weights : t and w of each code; where codes are ratings, t = (rating - targets[0]) * targets[1], and w is
        weights[0].
    users, sums : (rows,) of `row_dtype`; items : (item rows of the block,), likewise.
    """
    met = squared = 0.0
    for tile in numbers:
        first_item = tiles[tile, 0]
        for run in range(tiles[tile, 1], tiles[tile, 2]):
            first = int64(run_users[run]) - first_user
            for n in range(run_starts[run], run_starts[run + 1]):
                place = np.uint64(n)
                cell = int64(cells[place])
                user, item = first + (cell >> ITEM_BITS), first_item + (cell & _ITEM_MASK)
                target, weight = rating_at(codes, targets, place), weight_at(codes, weights, place)
                product = add_term(users, user, items, item, sums, user, target, weight)
                met += float64(target * product)
                squared += float64(product * product)
    return met, squared


def _add_item_terms(  # type: ignore[no-untyped-def]
    tile, tiles, run_users, run_starts, cells, codes, targets, weights, users, items, sums
):
    """Add (t - w s) u to the sums of each rating's item in one tile; return the sums of t s and of s^2.

    items, sums : (items of the tile,) of `row_dtype`; users : (user rows of the block,). The rest is as for users.
    """
    met = squared = 0.0
    for run in range(tiles[tile, 1], tiles[tile, 2]):
        first = int64(run_users[run])
        for n in range(run_starts[run], run_starts[run + 1]):
            place = np.uint64(n)
            cell = int64(cells[place])
            user, item = first + (cell >> ITEM_BITS), cell & _ITEM_MASK
            target, weight = rating_at(codes, targets, place), weight_at(codes, weights, place)
            product = add_term(items, item, users, user, sums, item, target, weight)
            met += float64(target * product)
            squared += float64(product * product)
    return met, squared


@numba.njit(**_INLINE)
def _times_gram(gram, rows, row, product):  # type: ignore[no-untyped-def]
    """Set `product` to the row times `gram`: four rows of the matrix at a time, to load and store the sums less."""
    width = rows.shape[1]
    product[:] = 0
    last = len(gram) - len(gram) % 4
    for g in range(0, last, 4):
        one, two, three, four = rows[row, g], rows[row, g + 1], rows[row, g + 2], rows[row, g + 3]
        for f in range(width):
            product[f] += one * gram[g, f] + two * gram[g + 1, f] + three * gram[g + 2, f] + four * gram[g + 3, f]
    for g in range(last, len(gram)):
        for f in range(width):
            product[f] += rows[row, g] * gram[g, f]


def _begin_rows(sums, rows, gram, shifts, free, residuals, directions, squares):  # type: ignore[no-untyped-def]
    """Set residuals to b - A x, directions to the same, and squares to their squared lengths; return x^T alpha G x.

    That is the sum over all rows, alpha times the sum of s^2 over all cells.

    Parameters
    ----------
    sums : float64 (rows, w), of `_add_user_terms` or `_add_item_terms` at x.
    rows, directions : (rows, w), x and p; gram : (w, w), alpha G, or (0, w) for zeros; all of one type.
    shifts : float64 (rows,).
    free : float64 (w,), 1 for columns to solve for, 0 for fixed ones.
    residuals : float64 (rows, w); squares : float64 (rows,).
    """
    product = np.empty(rows.shape[1], rows.dtype)
    everywhere = 0.0
    for row in range(len(rows)):
        _times_gram(gram, rows, row, product)
        square = 0.0
        for f in range(rows.shape[1]):
            everywhere += float64(product[f]) * float64(rows[row, f])
            left = free[f] * (sums[row, f] - float64(product[f]) - shifts[row] * float64(rows[row, f]))
            residuals[row, f] = left
            directions[row, f] = left
            square += left * left
        squares[row] = square
    return everywhere


def _step_rows(sums, rows, gram, shifts, free, residuals, directions, squares):  # type: ignore[no-untyped-def]
    """Take a step of conjugate gradients in every row, in place. All is as for `_begin_rows`.

    sums : of the same functions at p, with targets of 0, so -A p without its last two parts.
    """
    width = rows.shape[1]
    product = np.empty(width, rows.dtype)
    image = np.empty(width, np.float64)
    for row in range(len(rows)):
        if squares[row] == 0.0:
            continue
        _times_gram(gram, directions, row, product)
        curvature = 0.0
        for f in range(width):
            image[f] = free[f] * (float64(product[f]) + shifts[row] * float64(directions[row, f]) - sums[row, f])
            curvature += image[f] * float64(directions[row, f])
        if not curvature > 0.0:  # rounding, at the solution
            squares[row] = 0.0
            continue
        length = squares[row] / curvature
        square = 0.0
        for f in range(width):
            rows[row, f] += length * float64(directions[row, f])
            residuals[row, f] -= length * image[f]
            square += residuals[row, f] * residuals[row, f]
        turn = square / squares[row]
        for f in range(width):
            directions[row, f] = residuals[row, f] + turn * float64(directions[row, f])
        squares[row] = square


def _gram(rows, sums):  # type: ignore[no-untyped-def]
    """Add the sum of x x^T over all rows to `sums`, float64 (w, w): four rows at a time, to load and store it less."""
    width = rows.shape[1]
    last = len(rows) - len(rows) % 4
    for row in range(0, last, 4):
        for f in range(width):
            one, two, three, four = (
                float64(rows[row, f]), float64(rows[row + 1, f]), float64(rows[row + 2, f]), float64(rows[row + 3, f])
            )  # fmt: skip
            for g in range(width):
                sums[f, g] += (
                    one * rows[row, g] + two * rows[row + 1, g] + three * rows[row + 2, g] + four * rows[row + 3, g]
                )
    for row in range(last, len(rows)):
        for f in range(width):
            for g in range(width):
                sums[f, g] += float64(rows[row, f]) * rows[row, g]


_NUMBERS: dict[str, Any] = {"f4": types.float32, "f8": types.float64}


def _terms_signature(first: list[Any], width: int, number: str, coding: str) -> Any:
    constant = functools.partial(types.Array, ndim=1, layout="C", readonly=True)
    rows, sums = rows_type(width, number, readonly=True), rows_type(width, number)
    return types.UniTuple(float64, 2)(
        *first, types.Array(int64, 2, "C", readonly=True), constant(int32), constant(int64), constant(uint16),
        constant(CODES[coding]), constant(_NUMBERS[number]), constant(_NUMBERS[number]), rows, rows, sums,
    )  # fmt: skip


@functools.cache
def add_user_terms(width: int, number: str, coding: str) -> Callable[..., tuple[float, float]]:
    """Return `_add_user_terms` for rows of `width` numbers, f4 or f8, and codes of NumPy type u1, u2 or f4."""
    first = [types.Array(int64, 1, "C", readonly=True), int64]
    return compiled(_terms_signature(first, width, number, coding), **_OPTIONS)(_add_user_terms)


@functools.cache
def add_item_terms(width: int, number: str, coding: str) -> Callable[..., tuple[float, float]]:
    """Return `_add_item_terms` likewise."""
    return compiled(_terms_signature([int64], width, number, coding), **_OPTIONS)(_add_item_terms)


@functools.cache
def row_steps(number: str) -> tuple[Callable[..., float], Callable[..., None]]:
    """Return `_begin_rows` and `_step_rows` for rows of f4 or f8."""
    kind = _NUMBERS[number]
    matrix, numbers = (
        functools.partial(types.Array, ndim=2, layout="C"),
        functools.partial(types.Array, float64, 1, "C"),
    )
    given = (
        matrix(float64, readonly=True), matrix(kind), matrix(kind, readonly=True), numbers(readonly=True),
        numbers(readonly=True), matrix(float64), matrix(kind), numbers(),
    )  # fmt: skip
    return (
        compiled(float64(*given), **_OPTIONS)(_begin_rows),
        compiled(types.void(*given), **_OPTIONS)(_step_rows),
    )


@functools.cache
def gram(number: str) -> Callable[..., None]:
    """Return `_gram` for rows of f4 or f8."""
    rows = types.Array(_NUMBERS[number], 2, "C", readonly=True)
    return compiled(types.void(rows, types.Array(float64, 2, "C")), **_OPTIONS)(_gram)
