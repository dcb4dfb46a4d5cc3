"""Plain references of the kernels in NumPy, rating by rating, in float64.

Covers: `descend_tiles`, `residual_sums`, `score_ratings`, the products with a block and the kernels of funk.py, written
like the formulas; tests compare the kernels with them.
Does not cover: speed. They share no code with the kernels on purpose.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]

Places = Sequence[tuple[int, int]]
"""User row and item row of each rating, in the block's order."""

Run = Sequence[tuple[int, int, float]]
"""User row, item row and scaled rating, one after another."""


def descend_plainly(
    tiles: Sequence[Sequence[Run]], users: dict[str, Matrix], items: dict[str, Matrix],
    l2: float, step: float, bias_step: float,
) -> float:  # fmt: skip
    """Take one step per rating, in place; return the sum of squared errors.

    Rates are refreshed at the start of a tile for its items, at the start of a run for its users, and for both rows
    after an error of more than 4. `users` and `items` hold, all float64, "factors" (rows, k) and, each (rows,), "bias",
    "factor_squares" and "bias_squares". Where they hold "means" (rows, k) and "mean_biases", the L2 term pulls to
    these: when a tile begins its items go a part of the way for all their ratings in it, and a run's users likewise.
    """
    total = 0.0
    for tile in tiles:
        item_state = item_rates, item_bias_rates, item_squares = _rates(items, step, bias_step)
        _pull_plainly(items, [b for run in tile for _, b, _ in run], item_rates * l2, item_bias_rates * l2)
        for run in tile:
            user_state = user_rates, user_bias_rates, user_squares = _rates(users, step, bias_step)
            _pull_plainly(users, [a for a, _, _ in run], user_rates * l2, user_bias_rates * l2)
            for a, b, rating in run:
                u, v = users["factors"][a].copy(), items["factors"][b].copy()
                error = rating - (users["bias"][a] + items["bias"][b] + u @ v)
                total += error**2
                users["factors"][a] += user_rates[a] * (error * v - l2 * u)
                items["factors"][b] += item_rates[b] * (error * u - l2 * v)
                users["bias"][a] += user_bias_rates[a] * (error - l2 * users["bias"][a])
                items["bias"][b] += item_bias_rates[b] * (error - l2 * items["bias"][b])
                users["factor_squares"][a] += error**2 * item_squares[b]
                items["factor_squares"][b] += error**2 * user_squares[a]
                users["bias_squares"][a] += error**2
                items["bias_squares"][b] += error**2
                if error**2 > 16:
                    for side, row, state in ((users, a, user_state), (items, b, item_state)):
                        for values, fresh in zip(state, _rates(side, step, bias_step), strict=True):
                            values[row] = fresh[row]
    return float(total)


def _pull_plainly(side: dict[str, Matrix], rows: Sequence[int], by: Vector, bias_by: Vector) -> None:
    """Pull each row to its mean for its ratings, given what the L2 term takes off for one."""
    for row in set(rows) if "means" in side else ():
        way, bias_way = rows.count(row) * by[row], rows.count(row) * bias_by[row]
        side["factors"][row] += min(1.0, way / (1 + way / 2)) * side["means"][row]
        side["bias"][row] += min(1.0, bias_way / (1 + bias_way / 2)) * side["mean_biases"][row]


def _rates(side: dict[str, Matrix], step: float, bias_step: float) -> tuple[Matrix, Matrix, Matrix]:
    """Return for every row the rate of its factors, the rate of its bias, and the mean square of its factors."""
    return (
        step / np.sqrt(side["factor_squares"]),
        bias_step / np.sqrt(side["bias_squares"]),
        np.mean(side["factors"] ** 2, axis=1),
    )


def sum_plainly(
    tiles: Sequence[Sequence[Run]], shape: tuple[int, int], mean: float, item_biases: Matrix
) -> tuple[Matrix, Matrix]:
    """Return for each user and for each item, float64 (rows, 2), the sum of its residuals and their number."""
    users, items = np.zeros((shape[0], 2)), np.zeros((shape[1], 2))
    for a, b, rating in (each for tile in tiles for run in tile for each in run):
        users[a] += (rating - mean - item_biases[b], 1)
        items[b] += (rating - mean, 1)
    return users, items


def predict_plainly(
    user_rows: npt.NDArray[np.int32], item_rows: npt.NDArray[np.int32],
    users: dict[str, Matrix], items: dict[str, Matrix],
    mean: float, deviation: float, least: float, greatest: float,
) -> npt.NDArray[np.float64]:  # fmt: skip
    """Return the clipped prediction of each pair in rating units; row -1 is a user or item without ratings."""
    predictions = []
    for a, b in zip(user_rows.tolist(), item_rows.tolist(), strict=True):
        score = 0.0
        if a >= 0:
            score += users["bias"][a]
        if b >= 0:
            score += items["bias"][b]
        if a >= 0 and b >= 0:
            score += float(users["factors"][a] @ items["factors"][b])
        predictions.append(min(max(mean + deviation * score, least), greatest))
    return np.array(predictions, dtype=np.float64)


def zero_filled(
    ratings: Iterable[tuple[int, int, float]], shape: tuple[int, int], mean: float, user_biases: Matrix,
    item_biases: Matrix,
) -> Matrix:  # fmt: skip
    """Return the dense matrix (users, items) with r - mean - b_a - b_b for each rating, and 0 elsewhere."""
    dense = np.zeros(shape)
    for a, b, rating in ratings:
        dense[a, b] = rating - mean - user_biases[a] - item_biases[b]
    return dense


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
