"""The kernels' slow, obvious twins in NumPy, one rating after another, in float64.

Covers: what `descend_ratings` and `score_ratings` mean, written to be read beside the formulas; tests hold the two
together.
Does not cover: speed. It shares no code with kernels.py on purpose.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]


def descend_plainly(
    user_rows: npt.NDArray[np.int32], item_rows: npt.NDArray[np.int32], ratings: npt.NDArray[np.float32],
    users: dict[str, Matrix], items: dict[str, Matrix], l2: float, step: float, bias_step: float,
) -> float:  # fmt: skip
    """Descend once over the ratings, in place; return the sum of squared errors.

    `users` and `items` hold, all float64, "factors" (rows, k) and, each (rows,), "bias", "factor_squares" and
    "bias_squares".
    """
    total = 0.0
    for a, b, rating in zip(user_rows.tolist(), item_rows.tolist(), ratings.tolist(), strict=True):
        u, v = users["factors"][a].copy(), items["factors"][b].copy()
        user_bias, item_bias = users["bias"][a], items["bias"][b]
        error = rating - (user_bias + item_bias + u @ v)
        total += error**2
        for side, row, gradient, bias_gradient in (
            (users, a, error * v - l2 * u, error - l2 * user_bias),
            (items, b, error * u - l2 * v, error - l2 * item_bias),
        ):
            side["factors"][row] += step * gradient / np.sqrt(side["factor_squares"][row])
            side["bias"][row] += bias_step * bias_gradient / np.sqrt(side["bias_squares"][row])
            side["factor_squares"][row] += np.mean(gradient**2)
            side["bias_squares"][row] += bias_gradient**2
    return float(total)


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
