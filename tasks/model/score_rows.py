"""What a saved model predicts for pairs of its rows: of all of it, or of a part of its users.

Covers: mean + b_u + b_i + <u, v> by rows, in batches, clipped to the scale.
Does not cover: which rows raw ids have (model.py, tasks/evaluation/placed_ratings.py), or shards in training
(tasks/training/score.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from funkflow.tasks.model.parts import Rows

BATCH_PAIRS = 65_536


@dataclass(frozen=True)
class Scorer:
    """What all parts of a model's users have in common when they are scored: rank, mean and scale."""

    rank: int
    mean: float
    scale: tuple[float, float] | None


def score_rows(
    users: Rows, items: Rows, user_rows: npt.NDArray[np.integer], item_rows: npt.NDArray[np.integer], by: Scorer,
    clip: bool = True,
) -> npt.NDArray[np.float64]:  # fmt: skip
    """Return mean + b_u + b_i + <u, v> of pairs of rows, float64 (n,), clipped to the scale; -1 adds nothing."""
    scores = np.empty(len(user_rows), dtype=np.float64)
    for start in range(0, len(scores), BATCH_PAIRS):
        part = slice(start, start + BATCH_PAIRS)
        scores[part] = _score(users, items, user_rows[part], item_rows[part], by.mean)
    return np.clip(scores, *by.scale, out=scores) if clip and by.scale is not None else scores


def _score(
    users: Rows, items: Rows, user_rows: npt.NDArray[np.integer], item_rows: npt.NDArray[np.integer], mean: float
) -> npt.NDArray[np.float64]:
    user_known, item_known = user_rows >= 0, item_rows >= 0
    products = np.einsum("nk,nk->n", _take(users.factors, user_rows), _take(items.factors, item_rows), dtype=np.float64)
    scores = mean + np.where(user_known & item_known, products, 0.0)
    scores += np.where(user_known, _take(users.biases, user_rows), 0.0)
    scores += np.where(item_known, _take(items.biases, item_rows), 0.0)
    return np.asarray(scores, dtype=np.float64)


def _take(rows: npt.NDArray[np.float32], positions: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
    """Rows by position; unseen ones (-1) take any row, which the caller masks."""
    return (
        rows[np.maximum(positions, 0)] if len(rows) else np.zeros((len(positions), *rows.shape[1:]), dtype=np.float32)
    )
