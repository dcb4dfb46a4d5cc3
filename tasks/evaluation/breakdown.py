"""Where a model errs: sums of its errors on held-out ratings, by who rated, what, how high, when, and as predicted.

Covers: the sums of the held-out ratings of one part of a model's users, and adding them up; the items at the ends of
its strongest factors. Predictions are clipped to the scale.
Does not cover: which parts there are (pipeline/stages/report.py), RMSE and MAE as such (tasks/training/score.py).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funkflow.tasks.dataset.id_pieces import read_ids
from funkflow.tasks.evaluation.describe import doubling_bin, months_of
from funkflow.tasks.evaluation.placed_ratings import rows_of_part, score_pieces
from funkflow.tasks.model.about import Place
from funkflow.tasks.model.canonical import Rotations
from funkflow.tasks.model.neighbours import factors_from_rotations
from funkflow.tasks.model.parts import ModelParts, Rows
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
    """How ratings are put into bins. `low`, `high` : the scale; `months` : first month, and how many; 0: no times."""

    low: float
    high: float
    values: tuple[float, ...]
    months: tuple[int, int]

    def value_bins(self, ratings: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """Return the nearest of `values`, which are in ascending order."""
        middles = np.array(self.values[:-1]) / 2 + np.array(self.values[1:]) / 2
        return np.searchsorted(middles, ratings, side="left")

    def even_bins(self, values: npt.NDArray[np.float64], low: float, high: float, count: int) -> Any:
        """Return the bin of each value among `count` of one width; what lies outside is in the first or last."""
        width = (high - low) / count or 1.0
        return np.clip(np.floor((values - low) / width).astype(np.int64), 0, count - 1)


@dataclass(frozen=True)
class Breakdown:
    """Sums, float64 (bins, 5), for each way to put ratings into bins; they add up."""

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
    """What is broken down of a model: the ratings by its rows (placed_ratings.py), its items, and how it is scored.

    `item_counts` : the numbers of training ratings of items, int64 by dense id; `item_shards` : P, the model's parts of
    items; `ruler` : the bins.
    """

    pieces: tuple[str, ...]
    by: Scorer
    item_counts: Place
    item_shards: int
    ruler: Bins


def break_down(measured: BreakdownJob, part: int, users: Place, user_counts: Place, items: Rows) -> Breakdown | None:
    """Return the sums of the validation ratings of one part of the users; None if there are none.

    Parameters
    ----------
    users : that part of the model; user_counts : numbers of training ratings of its rows, int64.
    items : the numbers of all items of the model.
    """
    trained_users, by_dense = npy.read_array(*user_counts), npy.read_array(*measured.item_counts)
    trained_items = np.concatenate([by_dense[shard :: measured.item_shards] for shard in range(measured.item_shards)])
    total = None
    rows = rows_of_part(users, measured.by.rank)
    for placed, predicted in score_pieces(measured.pieces, part, rows, items, measured.by):
        if not len(predicted):
            continue
        months = months_of(placed.timestamps) if placed.timestamps is not None else None
        counts = trained_users[placed.user_rows], trained_items[placed.item_rows]
        found = sum_errors(placed.ratings, predicted, *counts, months, measured.ruler)
        total = found if total is None else total + found
    return total


def sum_errors(
    actual: npt.NDArray[np.float64],
    predicted: npt.NDArray[np.float64],
    user_counts: npt.NDArray[np.int64],
    item_counts: npt.NDArray[np.int64],
    months: npt.NDArray[np.int64] | None,
    ruler: Bins,
) -> Breakdown:
    """Return the sums of ratings and what was predicted for them; all arrays (n,)."""
    errors = actual - predicted
    columns = np.stack([np.ones_like(errors), errors**2, errors, predicted, actual])
    span = ruler.high - ruler.low

    def sums_by(bins: npt.NDArray[np.int64], count: int) -> Sums:
        return np.stack([np.bincount(bins, weights=column, minlength=count) for column in columns], axis=1)

    first, count = ruler.months
    in_months = np.clip(months - first, 0, count - 1) if months is not None and count else None
    return Breakdown(
        sums_by(doubling_bin(user_counts), _DOUBLING_BINS),
        sums_by(doubling_bin(item_counts), _DOUBLING_BINS),
        sums_by(ruler.value_bins(actual), len(ruler.values)),
        sums_by(in_months, count) if in_months is not None else np.zeros((0, 5)),
        sums_by(ruler.even_bins(predicted, ruler.low, ruler.high, CALIBRATION_BINS), CALIBRATION_BINS),
        sums_by(ruler.even_bins(errors, -span, span, RESIDUAL_BINS), RESIDUAL_BINS),
    )


def factor_ends(
    parts: ModelParts,
    rotations: Rotations,
    table: Place,
    item_counts: Place,
    titles: dict[Any, str],
    most: int,
    each: int,
    least_ratings: int,
) -> list[dict[str, Any]]:
    """Return the strongest factors, each by the items at its two ends that have enough ratings; reads the item side.

    Parameters
    ----------
    rotations : the canonical form of the model's factors.
    table : raw ids of items of the dataset; item_counts : numbers of training ratings, int64 by its dense ids.
    most, each : so many factors, with so many items at each end.
    """
    items = parts.item_side()
    places = look_up(pa.array(items.raw_ids), read_ids(table))
    counts = np.where(places < 0, 0, npy.read_array(*item_counts)[places])
    found = factors_from_rotations(items.factors, rotations)
    enough = np.flatnonzero(counts >= least_ratings)
    energy = found.strengths**2 / (np.sum(found.strengths**2) or 1.0)
    factors = []
    for number in range(min(most, len(found.strengths))):
        loadings = found.loadings[enough, number]
        order = np.argsort(loadings, kind="stable")

        def ends(places: npt.NDArray[np.intp], loadings: npt.NDArray[np.float64] = loadings) -> list[dict[str, Any]]:
            return [
                {
                    "id": str(raw := items.raw_ids[enough[place]]),
                    "title": titles.get(raw if isinstance(raw, str) else int(raw)),
                    "value": float(loadings[place]),
                    "ratings": int(counts[enough[place]]),
                }
                for place in places
            ]

        factors.append(
            {
                "factor": number + 1,
                "strength": float(found.strengths[number]),
                "share": float(energy[number]),
                "low": ends(order[:each]),
                "high": ends(order[::-1][:each]),
            }
        )
    return factors
