"""Sums of a model's errors on validation ratings, by user activity, item popularity, value, month and prediction.

Covers: the sums of one part of a model's users, and adding them up; the items at the ends of the strongest factors.
Predictions are clipped to the scale.
Does not cover: the list of parts (pipeline/stages/report.py), RMSE and MAE (tasks/training/score.py).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funkflow.tasks.dataset.id_pieces import read_ids
from funkflow.tasks.evaluation.describe import doubling_bin, months_of
from funkflow.tasks.evaluation.factor_ends import FactorEnd, FactorEnds
from funkflow.tasks.evaluation.placed_ratings import rows_of_part, score_pieces
from funkflow.tasks.model.about import Place
from funkflow.tasks.model.canonical import Rotations
from funkflow.tasks.model.neighbours import factors_from_rotations
from funkflow.tasks.model.parts import ModelParts, Rows, read_part
from funkflow.tasks.model.score_rows import Scorer
from funkflow.tasks.parsing.ids import look_up
from funkflow.tasks.storage import npy

COUNT, SQUARED, ERROR, PREDICTED, ACTUAL = range(5)
"""Columns of the sums: ratings, squared errors, errors (actual less predicted), predictions, actual ratings."""
_DOUBLING_BINS = 40
CALIBRATION_BINS, RESIDUAL_BINS = 16, 48

Sums = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Bins:
    """Bins of ratings. `low`, `high` : the scale; `months` : first month, and number of months; 0: no times."""

    low: float
    high: float
    values: tuple[float, ...]
    months: tuple[int, int]

    def value_bins(self, ratings: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """Return the index of the nearest of the ascending `values`, int64 (n,)."""
        middles = np.array(self.values[:-1]) / 2 + np.array(self.values[1:]) / 2
        return np.searchsorted(middles, ratings, side="left")

    def even_bins(self, values: npt.NDArray[np.float64], low: float, high: float, count: int) -> Any:
        """Return the bin of each value among `count` of equal width, int64 (n,); outliers are in the first or last."""
        width = (high - low) / count or 1.0
        return np.clip(np.floor((values - low) / width).astype(np.int64), 0, count - 1)


@dataclass(frozen=True)
class Breakdown:
    """Sums, float64 (bins, 5), for each way to put ratings into bins; `+` adds them."""

    by_user_activity: Sums
    by_item_popularity: Sums
    by_value: Sums
    by_month: Sums
    by_prediction: Sums
    by_residual: Sums

    def __add__(self, other: Breakdown) -> Breakdown:
        return Breakdown(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))


@dataclass(frozen=True)
class BreakdownJob:
    """Input of `break_down`: files of ratings by rows of the model (placed_ratings.py), and numbers of the model.

    `user_counts`, `item_counts` : files of the numbers of training ratings by dense id, int64, of items in the first
    row (describe.py); `shards` : numbers of parts of users and of items.
    """

    pieces: tuple[str, ...]
    by: Scorer
    user_counts: Place
    item_counts: Place
    shards: tuple[int, int]
    bins: Bins


def break_down(job: BreakdownJob, part: int, users: Place, items: Rows) -> Breakdown | None:
    """Return the sums of the validation ratings of one part of the users; None if there are none.

    Parameters
    ----------
    users : a part of the model.
    items : biases and factors of all items.
    """
    user_shards, item_shards = job.shards
    trained_users, by_dense = npy.read_array(*job.user_counts)[part::user_shards], npy.read_array(*job.item_counts)[0]
    trained_items = np.concatenate([by_dense[shard::item_shards] for shard in range(item_shards)])
    total = None
    rows = rows_of_part(users, job.by)
    for ratings, predicted in score_pieces(job.pieces, part, rows, items, job.by):
        if not len(predicted):
            continue
        months = months_of(ratings.timestamps) if ratings.timestamps is not None else None
        counts = trained_users[ratings.user_rows], trained_items[ratings.item_rows]
        found = sum_errors(ratings.ratings, predicted, *counts, months, job.bins)
        total = found if total is None else total + found
    return total


def sum_errors(
    actual: npt.NDArray[np.float64],
    predicted: npt.NDArray[np.float64],
    user_counts: npt.NDArray[np.int64],
    item_counts: npt.NDArray[np.int64],
    months: npt.NDArray[np.int64] | None,
    bins: Bins,
) -> Breakdown:
    """Return the sums of ratings and their predictions; all arrays (n,)."""
    errors = actual - predicted
    columns = np.stack([np.ones_like(errors), errors**2, errors, predicted, actual])
    span = bins.high - bins.low

    def sums_by(numbers: npt.NDArray[np.int64], count: int) -> Sums:
        return np.stack([np.bincount(numbers, weights=column, minlength=count) for column in columns], axis=1)

    first, count = bins.months
    in_months = np.clip(months - first, 0, count - 1) if months is not None and count else None
    predicted_bins = bins.even_bins(predicted, bins.low, bins.high, CALIBRATION_BINS)
    return Breakdown(
        by_user_activity=sums_by(doubling_bin(user_counts), _DOUBLING_BINS),
        by_item_popularity=sums_by(doubling_bin(item_counts), _DOUBLING_BINS),
        by_value=sums_by(bins.value_bins(actual), len(bins.values)),
        by_month=sums_by(in_months, count) if in_months is not None else np.zeros((0, 5)),
        by_prediction=sums_by(predicted_bins, CALIBRATION_BINS),
        by_residual=sums_by(bins.even_bins(errors, -span, span, RESIDUAL_BINS), RESIDUAL_BINS),
    )


def factor_ends(
    parts: ModelParts,
    rotations: Rotations,
    table: Place,
    item_counts: Place,
    titles: dict[Any, str],
    limits: tuple[int, int, int],
) -> list[FactorEnds]:
    """Return the strongest factors with the items at both ends that have enough ratings; read the items by part.

    Parameters
    ----------
    rotations : the canonical form of U Vᵀ.
    table : raw ids of items of the dataset.
    item_counts : numbers of training ratings by dense id, int64, in the first row of a file.
    limits : numbers of factors, of items at each end, and of ratings that an item needs.
    """
    most, each, least_ratings = limits
    all_ids, all_loadings = [], []
    for place in parts.items:
        part = read_part(*place, parts.rank)
        all_ids.append(part.raw_ids)
        all_loadings.append(factors_from_rotations(part.factors, rotations, most).loadings)
    raw_ids = np.concatenate(all_ids)
    places = look_up(pa.array(raw_ids), read_ids(table))
    counts = np.where(places < 0, 0, npy.read_array(*item_counts)[0][places])
    enough = np.flatnonzero(counts >= least_ratings)
    ours = np.concatenate(all_loadings)[enough]
    energy = rotations.values**2 / (np.sum(rotations.values**2) or 1.0)
    factors: list[FactorEnds] = []
    for number in range(ours.shape[1]):
        loadings = ours[:, number]
        order = np.argsort(loadings, kind="stable")

        def ends(places: npt.NDArray[np.intp], loadings: npt.NDArray[np.float64] = loadings) -> list[FactorEnd]:
            return [
                {
                    "id": str(raw := raw_ids[enough[place]]),
                    "title": titles.get(raw if isinstance(raw, str) else int(raw)),
                    "value": float(loadings[place]),
                    "ratings": int(counts[enough[place]]),
                }
                for place in places
            ]

        factors.append(
            {
                "factor": number + 1,
                "strength": float(rotations.values[number]),
                "share": float(energy[number]),
                "low": ends(order[:each]),
                "high": ends(order[::-1][:each]),
            }
        )
    return factors
