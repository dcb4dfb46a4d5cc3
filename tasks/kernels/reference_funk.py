"""Plain references of the kernels in funk.py in NumPy, rating by rating, in float64.

Covers: `start_residuals`, `descend_factor`, `subtract_factor` and `squared_errors`; tests compare
the kernels with them.
Does not cover: speed. They share no code with the kernels on purpose.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]

Places = Sequence[tuple[int, int]]
"""User row and item row of each rating, in the block's order."""


def start_plainly(places: Places, ratings: Vector, user_biases: Vector, item_biases: Vector) -> Vector:
    """Return the ratings minus the biases, all in one unit."""
    return np.array(
        [rating - user_biases[a] - item_biases[b] for (a, b), rating in zip(places, ratings, strict=True)], np.float64
    )


def descend_factor_plainly(
    places: Places, residuals: Vector, users: Vector, items: Vector, step: float, l2: float
) -> float:
    """Take one step per rating in order, in place; return the sum of squared errors."""
    total = 0.0
    for (a, b), residual in zip(places, residuals, strict=True):
        u, v = users[a], items[b]
        error = residual - u * v
        total += error**2
        users[a] += step * (error * v - l2 * u)
        items[b] += step * (error * u - l2 * v)
    return float(total)


def subtract_factor_plainly(places: Places, residuals: Vector, users: Vector, items: Vector) -> Vector:
    """Return the residuals minus the factor."""
    return np.array([left - users[a] * items[b] for (a, b), left in zip(places, residuals, strict=True)], np.float64)


def squared_errors_plainly(
    places: Places, ratings: Vector, scores: Vector, users: Vector, items: Vector,
    mean: float, deviation: float, least: float, greatest: float,
) -> float:  # fmt: skip
    """Return the sum of squared errors of the clipped predictions; row -1 is a user or item without ratings."""
    total = 0.0
    for (a, b), rating, score in zip(places, ratings, scores, strict=True):
        product = users[a] * items[b] if a >= 0 and b >= 0 else 0.0
        total += (rating - min(max(mean + deviation * (score + product), least), greatest)) ** 2
    return float(total)
