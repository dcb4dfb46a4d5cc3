"""Predictions of a saved model for pairs of its rows, and of raw ids.

Covers: mean + b_u + b_i + <u, v> by rows, in batches, clipped to the scale, with effects of time; `Model.predict`.
Does not cover: the rows of raw ids (model.py, tasks/evaluation/placed_ratings.py), or shards in training
(tasks/training/score.py).
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from funkflow.tasks.errors import BadInput
from funkflow.tasks.late import late
from funkflow.tasks.model.about import SIDES, About, part_files
from funkflow.tasks.model.parts import Rows, edges_of, read_item_times, read_user_times
from funkflow.tasks.transform import Transform, as_ratings

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = late("pandas")

BATCH_PAIRS = 65_536


@dataclass(frozen=True)
class Scorer:
    """The numbers of a model that all its parts share in scoring; `timed` : whether it has effects of time."""

    rank: int
    mean: float
    scale: tuple[float, float] | None
    timed: bool = False


def score_pairs(
    users: Rows, items: Rows, user_rows: npt.NDArray[np.integer], item_rows: npt.NDArray[np.integer], by: Scorer,
    clip: bool = True, days: npt.NDArray[np.integer] | None = None,
) -> npt.NDArray[np.float64]:  # fmt: skip
    """Return mean + b_u + b_i + <u, v> of pairs of rows, float64 (n,), clipped to the scale; row -1 adds nothing.

    days : int (n,), since 1970, for rows that have effects of time; None: the last day of each user.
    """
    scores = np.empty(len(user_rows), dtype=np.float64)
    for start in range(0, len(scores), BATCH_PAIRS):
        part = slice(start, start + BATCH_PAIRS)
        scores[part] = _score(users, items, user_rows[part], item_rows[part], by.mean)
    if days is not None:
        for rows, numbers in ((users, user_rows), (items, item_rows)):
            if rows.times is not None:
                scores += rows.times.of(numbers, days)
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


class PairScores(ABC):
    """The predictions of `Model`, which describes the attributes."""

    mean: float
    scale: tuple[float, float] | None
    user_biases: npt.NDArray[np.float32]
    item_biases: npt.NDArray[np.float32]
    user_factors: npt.NDArray[np.float32]
    item_factors: npt.NDArray[np.float32]
    about: About
    folder: str

    @property
    @abstractmethod
    def transform(self) -> Transform:
        """Transform of the ratings in training."""

    @abstractmethod
    def found_rows(self, ids: Any, side: Literal["users", "items"]) -> npt.NDArray[np.intp]:
        """Return the rows of raw ids, int (n,); -1 for ids that the model does not have."""

    def predict(self, users: Any, items: Any, clip: bool = True, times: Any = None) -> npt.NDArray[np.float64]:
        """Predict the rating of each (user, item) pair.

        Parameters
        ----------
        users, items : array-like (n,)
            Raw ids. An id that the model does not have adds neither bias nor factors to the prediction.
        clip : bool
            Clip to the model's scale.
        times : array-like (n,), or one for all
            Dates, texts of dates, or seconds since 1970, at which the ratings would be given, for a model with effects
            of time (train.time). None, or a missing one: the last day on which the user rated.

        Returns
        -------
        float64 (n,)
            In rating units.

        Raises
        ------
        BadInput
            `users`, `items` and `times` differ in length, or are text while the model's ids are numbers, or vice versa.
        """
        return np.asarray(as_ratings(self.score(users, items, clip, times), self.transform), dtype=np.float64)

    def score(self, users: Any, items: Any, clip: bool = True, times: Any = None) -> npt.NDArray[np.float64]:
        """Predict as `predict` does, but on the scale of training, on which RMSE and MAE are measured.

        Parameters
        ----------
        users, items, clip, times : as for `predict`.
        """
        users_there, items_there = Rows(self.user_biases, self.user_factors), Rows(self.item_biases, self.item_factors)
        by, rows = Scorer(users_there.factors.shape[1], self.mean, self.scale), self._rows_of_pairs(users, items)
        scores = score_pairs(users_there, items_there, *rows, by, clip=False) + self._offsets_at(*rows, times)
        return np.clip(scores, *self.scale) if clip and self.scale is not None else scores

    def _rows_of_pairs(self, users: Any, items: Any) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Return the rows of raw ids of both sides, int (n,)."""
        user_rows, item_rows = self.found_rows(users, "users"), self.found_rows(items, "items")
        if len(user_rows) != len(item_rows):
            raise BadInput(f"predict: {len(user_rows)} users but {len(item_rows)} items; give one item for each user")
        return user_rows, item_rows

    def _offsets_at(
        self, user_rows: npt.NDArray[np.integer], item_rows: npt.NDArray[np.integer], times: Any
    ) -> npt.NDArray[np.float64]:
        """Return what the times of pairs add to their scores, float64 (n,), 0 for a model without effects of time."""
        found = np.zeros(len(user_rows))
        if times is None or edges_of(self.about) is None:
            return found
        given = _as_times(times)
        if len(given) not in (1, len(found)):
            raise BadInput(
                f"predict: {len(found)} pairs but {len(given)} times; give one for each pair, or one for all"
            )
        known = np.broadcast_to(given.notna(), len(found))
        days = np.broadcast_to(given.to_numpy().astype("datetime64[D]").astype(np.int64), len(found))[known]
        for effects, rows in zip(self._times, (user_rows, item_rows), strict=True):
            if effects is not None:
                found[known] += effects.of(rows[known], days)
        return found

    @functools.cached_property
    def _times(self) -> tuple[Any, Any]:
        """The effects of time on users, and on items or None; read from the model's files at their first use."""
        users, items = (part_files(self.folder, side, self.about) for side in SIDES)
        return read_user_times(users), read_item_times(items, edges_of(self.about) or ())


def _as_times(times: Any) -> pd.DatetimeIndex:
    """Return dates, texts of dates or seconds since 1970 as times."""
    given = np.atleast_1d(np.asarray(times))
    try:
        return pd.to_datetime(given, unit="s" if given.dtype.kind in "iuf" else None)
    except (ValueError, TypeError) as cause:
        raise BadInput(f"predict: {given[0]!r} is no time; give dates, or seconds since 1970") from cause
