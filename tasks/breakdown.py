"""Where a model errs: sums of its errors on held-out ratings, by who rated, what, how high, when, and as predicted.

Covers: the sums of some parts of the held-out ratings, and adding them up. Predictions are clipped to the scale.
Does not cover: which parts there are (pipeline/stages/report.py), RMSE and MAE as such (score.py).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks import array_files, files
from tasks.describe import doubling_bin, months_of
from tasks.model import Model

COUNT, SQUARED, ERROR, PREDICTED, ACTUAL = range(5)
"""Columns of the sums: ratings, squared errors, errors (actual less predicted), predictions, actual ratings."""
_DOUBLINGS = 40
CALIBRATION_BINS, RESIDUAL_BINS = 16, 48

Sums = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Ruler:
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


def break_down(
    parts: list[tuple[str, str]],
    dataset_folder: str,
    id_checksums: tuple[str | None, str | None],
    model_folder: str,
    counts: tuple[tuple[str, str], tuple[str, str]],
    ruler: Ruler,
) -> Breakdown:
    """Return the sums of some parts of the held-out ratings.

    Parameters
    ----------
    parts : URL and checksum of each: user and item int32 (dense; -1: unknown), rating float32, timestamp if there.
    counts : where the numbers of training ratings of users and of items lie, int64 by dense id, each with its checksum.
    """
    model = Model.load(model_folder)
    ids = [
        files.read_table(files.join(dataset_folder, f"{side}.parquet"), ["raw_id"], checksum)["raw_id"].to_numpy()
        for side, checksum in zip(("users", "items"), id_checksums, strict=True)
    ]
    trained = [array_files.read_array(*place) for place in counts]
    total = None
    for url, checksum in parts:
        table = files.read_table(url, expected_checksum=checksum)
        users, items = table["user"].to_numpy(), table["item"].to_numpy()
        known = (users >= 0) & (items >= 0)
        users, items = users[known], items[known]
        predicted = model.score(ids[0][users], ids[1][items])
        actual = table["rating"].to_numpy()[known].astype(np.float64)
        months = months_of(table["timestamp"].to_numpy()[known]) if "timestamp" in table.column_names else None
        found = sums_of(actual, predicted, trained[0][users], trained[1][items], months, ruler)
        total = found if total is None else total + found
    assert total is not None
    return total


def sums_of(
    actual: npt.NDArray[np.float64],
    predicted: npt.NDArray[np.float64],
    user_counts: npt.NDArray[np.int64],
    item_counts: npt.NDArray[np.int64],
    months: npt.NDArray[np.int64] | None,
    ruler: Ruler,
) -> Breakdown:
    """Return the sums of ratings and what was predicted for them; all arrays (n,)."""
    errors = actual - predicted
    columns = np.stack([np.ones_like(errors), errors**2, errors, predicted, actual])
    span = ruler.high - ruler.low

    def binned(bins: npt.NDArray[np.int64], count: int) -> Sums:
        return np.stack([np.bincount(bins, weights=column, minlength=count) for column in columns], axis=1)

    first, count = ruler.months
    in_months = np.clip(months - first, 0, count - 1) if months is not None and count else None
    return Breakdown(
        binned(doubling_bin(user_counts), _DOUBLINGS),
        binned(doubling_bin(item_counts), _DOUBLINGS),
        binned(ruler.value_bins(actual), len(ruler.values)),
        binned(in_months, count) if in_months is not None else np.zeros((0, 5)),
        binned(ruler.even_bins(predicted, ruler.low, ruler.high, CALIBRATION_BINS), CALIBRATION_BINS),
        binned(ruler.even_bins(errors, -span, span, RESIDUAL_BINS), RESIDUAL_BINS),
    )


def factor_ends(
    model_folder: str,
    dataset_folder: str,
    id_checksum: str | None,
    item_counts: tuple[str, str],
    titles: dict[Any, str],
    most: int,
    each: int,
    least_ratings: int,
) -> list[dict[str, Any]]:
    """Return the strongest factors, each by the items at its two ends that have enough ratings.

    Parameters
    ----------
    item_counts : where the numbers of training ratings lie, int64 by dense id of the dataset.
    most, each : so many factors, with so many items at each end.
    """
    model = Model.load(model_folder)
    raw_ids = files.read_table(files.join(dataset_folder, "items.parquet"), ["raw_id"], id_checksum)[
        "raw_id"
    ].to_numpy()
    places = pd.Index(raw_ids).get_indexer(pd.Index(model.item_ids))
    counts = np.where(places < 0, 0, array_files.read_array(*item_counts)[places])
    found = model.factors()
    enough = np.flatnonzero(counts >= least_ratings)
    energy = found.strengths**2 / (np.sum(found.strengths**2) or 1.0)
    factors = []
    for number in range(min(most, model.rank)):
        loadings = found.loadings[enough, number]
        order = np.argsort(loadings, kind="stable")

        def ends(places: npt.NDArray[np.intp], loadings: npt.NDArray[np.float64] = loadings) -> list[dict[str, Any]]:
            return [
                {
                    "id": str(raw := model.item_ids[enough[place]]),
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
