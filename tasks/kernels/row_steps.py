"""The compiled loops of row solves: steps of conjugate gradients, and the sums over rows.

Covers: `turn`, `row_steps`, `penalty`, `gram` and `weighed_sum`, in float32 or float64, for any rank, each with
explicit signatures.
Does not cover: the sums over ratings (row_terms.py), the basis (tasks/grid/row_basis.py), which rows are solved when
(tasks/training/als.py).

A row x of one side has partners y, one for each of its ratings, on the other side, and its problem is A x = b:

    A = sum of (c - alpha) y y^T + alpha G + shift I        b = sum of c a y + shift q

with a target a for each rating, a confidence c = 1, G = Y^T Y over all N rows of the other side, and a shift for the
L2 term, which pulls x towards q. No A is formed: a step of conjugate gradients needs A p alone, which is one pass over
the ratings.

The steps are preconditioned by A as it would be if the row's n ratings were a sample of all N rows:

    P = ((1 - alpha) n / N + alpha) G + shift I

In the basis where G is diagonal every row's P is. A first step then goes about as far as ten plain ones do for rows
with many ratings, as three do for rows with few; docs/ranking.md has the figures.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import float64, types

from funkflow.tasks.kernels.cache import built_once, compiled
from funkflow.tasks.kernels.row_terms import NUMBERS
from funkflow.tasks.kernels.vector import FAST_MATH

LEAST_SQUARE = 1e-9
"""Each number of P's diagonal is at least this part of the greatest one that G makes."""
_OPTIONS: dict[str, Any] = {"error_model": "numpy", "fastmath": set(FAST_MATH)}
_INLINE: Any = {**_OPTIONS, "nogil": True, "inline": "always"}


def _turn(rows, matrix, turned):  # type: ignore[no-untyped-def]
    """Set `turned` to rows times matrix, (rows, w) and (w, w): two rows and four columns at a time, to load less."""
    width = rows.shape[1]
    turned[:] = 0
    whole, last = len(rows) - len(rows) % 2, width - width % 4
    for row in range(0, whole, 2):
        for g in range(0, last, 4):
            one, two, three, four = rows[row, g], rows[row, g + 1], rows[row, g + 2], rows[row, g + 3]
            five, six, seven, eight = (
                rows[row + 1, g], rows[row + 1, g + 1], rows[row + 1, g + 2], rows[row + 1, g + 3]
            )  # fmt: skip
            for f in range(width):
                a, b, c, d = matrix[g, f], matrix[g + 1, f], matrix[g + 2, f], matrix[g + 3, f]
                turned[row, f] += one * a + two * b + three * c + four * d
                turned[row + 1, f] += five * a + six * b + seven * c + eight * d
    for row in range(len(rows)):
        for g in range(last if row < whole else 0, width):
            for f in range(width):
                turned[row, f] += rows[row, g] * matrix[g, f]


@numba.njit(**_INLINE)
def _inverse(square, greatest, share, shift):  # type: ignore[no-untyped-def]
    """Return the inverse of a number of P's diagonal, kept off 0."""
    whole = max(share * square + shift, LEAST_SQUARE * share * greatest)
    return 1.0 / whole if whole > 0.0 else 1.0


def _begin_rows(  # type: ignore[no-untyped-def]
    sums, rows, squares, alpha, shares, shifts, towards, free, residuals, directions, products
):
    """Set residuals r to b - A x, directions to P^-1 r, and products to r^T P^-1 r, in the basis where G is diagonal.

    Parameters
    ----------
    sums : of `add_rows` at x, and rows : x, both turned into the basis, (rows, w).
    squares : float64 (w,), the diagonal of G; alpha : its weight in A; shares : float64 (rows,), its weights in P.
    shifts : float64 (rows,); towards : float64 (w,), q in the basis.
    free : float64 (w,), 1 for columns to solve for, 0 for fixed ones.
    residuals : float64 (rows, w); directions : (rows, w) of the rows' type; products : float64 (rows,).

    Returns
    -------
    x^T alpha G x of all rows, which is alpha times the sum of s^2 over all cells, and the squared residuals.
    """
    everywhere = slope = 0.0
    greatest = squares.max()
    for row in range(len(rows)):
        product = 0.0
        for f in range(rows.shape[1]):
            x = float64(rows[row, f])
            met = alpha * squares[f] * x
            everywhere += met * x
            left = free[f] * (float64(sums[row, f]) - met - shifts[row] * (x - towards[f]))
            guess = left * _inverse(squares[f], greatest, shares[row], shifts[row])
            residuals[row, f] = left
            directions[row, f] = guess
            slope += left * left
            product += left * guess
        products[row] = product
    return everywhere, slope


def _move_rows(sums, rows, moves, squares, alpha, shifts, directions, products, lengths):  # type: ignore[no-untyped-def]
    """Move every row along its direction p to the least of its problem; `lengths` receives how far.

    sums : float64 (rows, w), of `add_rows` at p with targets of 0, so -A p without its last two parts; rows, moves : x
    and p as they are; directions : p in the basis. The rest as for `_begin_rows`.
    """
    for row in range(len(rows)):
        curvature = 0.0
        for f in range(rows.shape[1]):
            p = float64(directions[row, f])
            curvature += (alpha * squares[f] + shifts[row]) * p * p - sums[row, f] * float64(moves[row, f])
        lengths[row] = products[row] / curvature if curvature > 0.0 else 0.0  # not above 0: rounding, at the solution
        for f in range(rows.shape[1]):
            rows[row, f] += lengths[row] * float64(moves[row, f])


def _turn_directions(sums, squares, alpha, shares, shifts, free, residuals, directions, products, lengths):  # type: ignore[no-untyped-def]
    """Set residuals and products to those after a move, and directions to the next ones, conjugate to those before.

    sums : of `_move_rows`, turned into the basis; lengths : of it. The rest as for `_begin_rows`.
    """
    width, greatest = residuals.shape[1], squares.max()
    guesses = np.empty(width)
    for row in range(len(residuals)):
        product = 0.0
        for f in range(width):
            image = (alpha * squares[f] + shifts[row]) * float64(directions[row, f]) - float64(sums[row, f])
            residuals[row, f] -= lengths[row] * free[f] * image
            guesses[f] = residuals[row, f] * _inverse(squares[f], greatest, shares[row], shifts[row])
            product += residuals[row, f] * guesses[f]
        turn = product / products[row] if lengths[row] > 0.0 else 0.0
        for f in range(width):
            directions[row, f] = guesses[f] + turn * float64(directions[row, f])
        products[row] = product


def _penalty(rows, shifts, towards, free):  # type: ignore[no-untyped-def]
    """Return the sum of shift (x - q)^2 over all rows and free columns; towards : float64 (w,), q."""
    total = 0.0
    for row in range(len(rows)):
        square = 0.0
        for f in range(rows.shape[1]):
            away = float64(rows[row, f]) - towards[f]
            square += free[f] * away * away
        total += shifts[row] * square
    return total


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


def _weighed_sum(rows, weights, sums):  # type: ignore[no-untyped-def]
    """Add the sum of weight x over all rows to `sums`, float64 (w,)."""
    for row in range(len(rows)):
        for f in range(rows.shape[1]):
            sums[f] += weights[row] * float64(rows[row, f])


@built_once
def row_steps(number: str) -> tuple[Callable[..., tuple[float, float]], Callable[..., None], Callable[..., None]]:
    """Return `_begin_rows`, `_move_rows` and `_turn_directions` for rows of f4 or f8."""
    rows, sums = (functools.partial(types.Array, kind, 2, "C") for kind in (NUMBERS[number], float64))
    numbers = functools.partial(types.Array, float64, 1, "C")
    read, given, products = numbers(readonly=True), rows(readonly=True), numbers()
    begin = types.UniTuple(float64, 2)(
        given, given, read, float64, read, read, read, read, sums(), rows(), products
    )  # fmt: skip
    move = types.void(sums(readonly=True), rows(), given, read, float64, read, given, products, products)
    turn_directions = types.void(given, read, float64, read, read, read, sums(), rows(), products, products)
    return (
        compiled(begin, **_OPTIONS)(_begin_rows),
        compiled(move, **_OPTIONS)(_move_rows),
        compiled(turn_directions, **_OPTIONS)(_turn_directions),
    )


@built_once
def turn(number: str) -> Callable[..., None]:
    """Return `_turn` for rows of f4 or f8."""
    given = types.Array(NUMBERS[number], 2, "C", readonly=True)
    return compiled(types.void(given, given, types.Array(NUMBERS[number], 2, "C")), **_OPTIONS)(_turn)


@built_once
def penalty(number: str) -> Callable[..., float]:
    """Return `_penalty` for rows of f4 or f8."""
    rows, numbers = types.Array(NUMBERS[number], 2, "C", readonly=True), types.Array(float64, 1, "C", readonly=True)
    return compiled(float64(rows, numbers, numbers, numbers), **_OPTIONS)(_penalty)


@built_once
def gram(number: str) -> Callable[..., None]:
    """Return `_gram` for rows of f4 or f8."""
    rows = types.Array(NUMBERS[number], 2, "C", readonly=True)
    return compiled(types.void(rows, types.Array(float64, 2, "C")), **_OPTIONS)(_gram)


@built_once
def weighed_sum(number: str) -> Callable[..., None]:
    """Return `_weighed_sum` for rows of f4 or f8."""
    rows, numbers = types.Array(NUMBERS[number], 2, "C", readonly=True), types.Array(float64, 1, "C", readonly=True)
    return compiled(types.void(rows, numbers, types.Array(float64, 1, "C")), **_OPTIONS)(_weighed_sum)
