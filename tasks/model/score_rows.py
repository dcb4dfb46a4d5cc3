"""Predictions of a saved model for pairs of its rows.

Covers: mean + b_u + b_i + <u, v> by rows, in batches, clipped to the scale.
Does not cover: the rows of raw ids (model.py, tasks/evaluation/placed_ratings.py), or shards in training
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
    """The numbers of a model that all its parts share in scoring."""

    rank: int
    mean: float
    scale: tuple[float, float] | None


def score_pairs(
    users: Rows, items: Rows, user_rows: npt.NDArray[np.integer], item_rows: npt.NDArray[np.integer], by: Scorer,
    clip: bool = True,
) -> npt.NDArray[np.float64]:  # fmt: skip
    """Return mean + b_u + b_i + <u, v> of pairs of rows, float64 (n,), clipped to the scale; row -1 adds nothing."""
    scores = np.empty(len(user_rows), dtype=np.float64)
    for start in range(0, len(scores), BATCH_PAIRS):
        part = slice(start, start + BATCH_PAIRS)
        scores[part] = _score(users, items, user_rows[part], item_rows[part], by.mean)
    return np.clip(scores, *by.scale, out=scores) if clip and by.scale is not None else scores


def _score(
    users: Rows, items: Rows, user_rows: npt.NDArray[np.integer], item_rows: npt.NDArray[np.integer], mean: float
) -> npt.NDArray[np.float64]:
    has_user, has_item = user_rows >= 0, item_rows >= 0
    products = np.einsum("nk,nk->n", _take(users.factors, user_rows), _take(items.factors, item_rows), dtype=np.float64)
    scores = mean + np.where(has_user & has_item, products, 0.0)
    scores += np.where(has_user, _take(users.biases, user_rows), 0.0)
    scores += np.where(has_item, _take(items.biases, item_rows), 0.0)
    return np.asarray(scores, dtype=np.float64)


def _take(rows: npt.NDArray[np.float32], positions: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
    """Return rows by position; position -1 takes any row, which the caller masks."""
    return (
        rows[np.maximum(positions, 0)] if len(rows) else np.zeros((len(positions), *rows.shape[1:]), dtype=np.float32)
    )
