"""The kernels' slow, obvious twins in NumPy, one rating after another, in float64.

Covers: what `descend_tiles`, `residual_sums`, `score_ratings` and the products with a block mean, written to be read
beside the formulas; tests hold the two together.
Does not cover: speed. It shares no code with the kernels on purpose.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]

Run = Sequence[tuple[int, int, float]]
"""User row, item row and scaled rating, one after another."""


def descend_plainly(
    tiles: Sequence[Sequence[Run]], users: dict[str, Matrix], items: dict[str, Matrix],
    l2: float, step: float, bias_step: float,
) -> float:  # fmt: skip
    """Descend once over the ratings, in place; return the sum of squared errors.

    What steps derive from is looked at when a tile begins for its items, when a run begins for its users, and after an
    error of more than 4 for both rows. `users` and `items` hold, all float64, "factors" (rows, k) and, each (rows,),
    "bias", "factor_squares" and "bias_squares".
    """
    total = 0.0
    for tile in tiles:
        item_kept = item_rates, item_bias_rates, item_squares = _rates(items, step, bias_step)
        for run in tile:
            user_kept = user_rates, user_bias_rates, user_squares = _rates(users, step, bias_step)
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
                    for side, row, kept in ((users, a, user_kept), (items, b, item_kept)):
                        for values, now in zip(kept, _rates(side, step, bias_step), strict=True):
                            values[row] = now[row]
    return float(total)


def _rates(side: dict[str, Matrix], step: float, bias_step: float) -> tuple[Matrix, Matrix, Matrix]:
    """Return of every row the rate of its factors, that of its bias, and the mean square of its factors."""
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
    """Return the clipped prediction of each pair in rating units; row -1 is an unseen user or item."""
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
    """Return the dense matrix with r - mean - b_a - b_b where user a rated item b, and 0 elsewhere."""
    dense = np.zeros(shape)
    for a, b, rating in ratings:
        dense[a, b] = rating - mean - user_biases[a] - item_biases[b]
    return dense
