"""How well the intervals of a posterior hold: each validation rating's place in its own distribution.

Covers: the placed ratings of one user shard, and the summary of all: coverage, its fifths, interval scores.
Does not cover: the distributions (tasks/model/draws/), the jobs (pipeline/models/calibration.py).

The probability below a rating (PIT) is uniform where the distributions are right. Ratings on a grid of evenly spaced
values stand for an interval each, half a step to both sides and without end at the ends of the scale; the place within
is chosen at random (Smith 1985; Czado, Gneiting & Held 2009), by a hash of user and item. The interval score of (l, u)
for a rating r at level c is u - l + 2 / (1 - c) times how far r lies outside (Gneiting & Raftery 2007); less is better.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
import numpy.typing as npt

from funkflow.tasks.evaluation.placed_ratings import time_offsets
from funkflow.tasks.late import late
from funkflow.tasks.mix import mix
from funkflow.tasks.model.about import Place, read_about
from funkflow.tasks.model.draws.drawn_rows import Draws
from funkflow.tasks.model.draws.intervals import LEVELS, normals_of
from funkflow.tasks.model.draws.mixture import below, moments, quantiles
from funkflow.tasks.model.parts import ModelParts, rows_of_own
from funkflow.tasks.storage import npy
from funkflow.tasks.training.score import read_held_out

if TYPE_CHECKING:
    from scipy import special
else:
    special = late("scipy.special")

Numbers = npt.NDArray[np.float64]
BINS = 20
"""Of the histogram of PITs."""
FIFTHS = 5
_EVEN = 1e-3
"""Of a step, by which values of a grid may be off."""


@dataclass(frozen=True)
class RatingGrid:
    """Values that ratings have: `step` between them, 0 where they are not evenly spaced, from `low` to `high`."""

    step: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float] | None, low: float, high: float) -> RatingGrid:
        """Return the grid of the values that are there; None: too many to be one."""
        apart = np.diff(np.unique(np.asarray([] if values is None else values, np.float64)))
        step = float(apart.min(initial=math.inf))
        is_even = len(apart) and np.all(np.abs(apart / step - np.round(apart / step)) < _EVEN)
        return cls(step if is_even else 0.0, low, high)

    def cells(self, ratings: Numbers) -> tuple[Numbers, Numbers]:
        """Return the interval that each rating stands for."""
        half = self.step / 2.0
        if not half:
            return ratings, ratings
        low, high = ratings - half, ratings + half
        return np.where(low < self.low, -np.inf, low), np.where(high > self.high, np.inf, high)


@dataclass(frozen=True)
class CalibrationJob:
    """What the shards have in common. `counts` : training ratings by dense user; `constants` : deviations to compare.

    `part` : of the validation ratings that are placed, chosen by a hash.
    """

    folder: str
    counts: Place
    grid: RatingGrid
    constants: tuple[float, ...]
    part: float


@dataclass(frozen=True)
class PlacedRatings:
    """Validation ratings, (n,): PITs, deviations of the distributions, errors of their means, ratings of the user.

    `scores` : sums of interval scores, float64 (1 + constants, levels).
    """

    pits: Numbers
    deviations: Numbers
    errors: Numbers
    counts: npt.NDArray[np.int64]
    scores: Numbers


def place_shard(job: CalibrationJob, held_out: Place, shard: int) -> PlacedRatings:
    """Place the validation ratings of one user shard in the distributions of the model in `job.folder`."""
    about = read_about(job.folder)
    parts, draws = ModelParts.of(job.folder, about), Draws.of(job.folder, about, "calibration")
    ratings = read_held_out(*held_out, shards=len(parts.items))
    shards = np.repeat(np.arange(len(parts.items)), np.diff(ratings.starts))
    users = np.where(ratings.user_rows < 0, -1, ratings.user_rows.astype(np.int64) * len(parts.users) + shard)
    items = np.where(ratings.item_rows < 0, -1, ratings.item_rows.astype(np.int64) * len(parts.items) + shards)
    keys = mix((users << np.int64(32) | items & np.int64(0xFFFFFFFF)).view(np.uint64))
    chosen = np.flatnonzero(_uniform(keys) < job.part)
    users, items, drawn = users[chosen], items[chosen], _uniform(mix(keys[chosen]))
    values = ratings.ratings[chosen].astype(np.float64)
    counts = npy.read_array(*job.counts)[users] * (users >= 0)
    user_rows, item_rows = (
        np.where(dense < 0, -1, rows_of_own(np.maximum(dense, 0).astype(np.int32), sizes))
        for dense, sizes in ((users, parts.user_counts), (items, parts.item_counts))
    )
    bounds = parts.scale or (-math.inf, math.inf)
    pits, deviations, errors = (np.empty(len(values)) for _ in range(3))
    scores = np.zeros((1 + len(job.constants), len(LEVELS)))
    whole = time_offsets(parts, ratings, shard)
    offsets = None if whole is None else whole[chosen]
    for pairs, means, variances in normals_of(draws, user_rows, item_rows, offsets):
        low, high = (below(end, means, variances) for end in job.grid.cells(values[pairs]))
        pits[pairs] = low + drawn[pairs] * (high - low)
        mean, deviations[pairs] = moments(means, variances)
        errors[pairs] = values[pairs] - np.clip(mean, *bounds)
        for number, level in enumerate(LEVELS):
            tail = (1.0 - level) / 2.0
            ends = quantiles(means, variances, [tail, 1.0 - tail])
            away = special.ndtri(1.0 - tail) * np.array(job.constants)
            lows, highs = ([ends[:, 0], *(mean - each for each in away)], [ends[:, 1], *(mean + each for each in away)])
            for row, (lower, upper) in enumerate(zip(lows, highs, strict=True)):
                clipped = np.clip(lower, *bounds), np.clip(upper, *bounds)
                scores[row, number] += interval_scores(*clipped, values[pairs], level).sum()
    return PlacedRatings(pits, deviations, errors, counts, scores)


def interval_scores(lower: Numbers, upper: Numbers, ratings: Numbers, level: float) -> Numbers:
    """Return the interval score of each rating, float64 (n,)."""
    outside = np.maximum(lower - ratings, 0.0) + np.maximum(ratings - upper, 0.0)
    return np.asarray(upper - lower + 2.0 / (1.0 - level) * outside)


class Fifth(TypedDict):
    """Ratings with `low` to `high` of what they are ordered by: their coverage at each level, deviation, and RMSE."""

    low: float
    high: float
    ratings: int
    coverage: list[float]
    deviation: float
    rmse: float


class Summary(TypedDict):
    """Of all placed ratings: coverage at each level, PITs in bins, fifths, and mean interval scores at each level."""

    ratings: int
    coverage: list[float]
    pits: list[int]
    by_deviation: list[Fifth]
    by_ratings: list[Fifth]
    scores: list[list[float]]


def summarise(*shards: PlacedRatings) -> Summary:
    """Return the summary of all user shards, in order."""
    pits, deviations, errors, counts = (
        np.concatenate([getattr(each, name) for each in shards]) for name in ("pits", "deviations", "errors", "counts")
    )
    fifths = [[_fifth(by, own, pits, deviations, errors) for own in _in_fifths(by)] for by in (deviations, counts)]
    scores = np.sum([each.scores for each in shards], axis=0) / max(1, len(pits))
    return {
        "ratings": len(pits),
        "coverage": _coverage(pits),
        "pits": np.histogram(pits, bins=BINS, range=(0.0, 1.0))[0].tolist(),
        "by_deviation": fifths[0],
        "by_ratings": fifths[1],
        "scores": scores.tolist(),
    }


def _in_fifths(by: npt.NDArray[Any]) -> list[npt.NDArray[np.intp]]:
    """Return the places of about a fifth of the values each, the least first; equal values stay together."""
    ordered = np.sort(by)
    edges = ordered[[len(by) * fifth // FIFTHS for fifth in range(1, FIFTHS)]] if len(by) else ordered
    places = np.searchsorted(edges, by, side="right")
    return [own for fifth in range(FIFTHS) if len(own := np.flatnonzero(places == fifth))]


def _fifth(
    by: npt.NDArray[Any], own: npt.NDArray[np.intp], pits: Numbers, deviations: Numbers, errors: Numbers
) -> Fifth:
    return {
        "low": float(by[own].min()),
        "high": float(by[own].max()),
        "ratings": len(own),
        "coverage": _coverage(pits[own]),
        "deviation": float(np.sqrt(np.mean(deviations[own] ** 2))),
        "rmse": float(np.sqrt(np.mean(errors[own] ** 2))),
    }


def _coverage(pits: Numbers) -> list[float]:
    return [float(np.mean(np.abs(pits - 0.5) < level / 2.0)) if len(pits) else math.nan for level in LEVELS]


def _uniform(hashes: npt.NDArray[np.uint64]) -> Numbers:
    """Return a number from 0 to below 1 for each hash."""
    return np.asarray((hashes >> np.uint64(11)) * 2.0**-53)
