"""Factors of the noise by predicted rating, of ratings that scatter more in the middle of the scale than at its ends.

Covers: tasks/training/posterior/noise_by_rating.py, and intervals with its factors.
Does not cover: its jobs and the factors of a run (tests/cluster/test_intervals.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from drawn_model import place_every_pair, write_drawn_model

from funkflow.tasks.evaluation.calibration import RatingGrid, Summary, summarise
from funkflow.tasks.grid.block import RatingBlock
from funkflow.tasks.grid.factor_shard import shard_of, write_shard
from funkflow.tasks.grid.scaling import Scaling
from funkflow.tasks.model.draws.about_draws import NoiseByRating
from funkflow.tasks.training.posterior.noise_by_rating import BINS, LEAST, ResidualSums, measure_row, noise_factors

USERS, ITEMS, RANK, DRAWS, SHARDS = 600, 100, 2, 5, 2
SCALING = Scaling(3.0, 1.1)
PAIRS = np.divmod(np.arange(USERS * ITEMS), ITEMS)
Numbers = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def sides() -> list[Numbers]:
    """The rows of users and of items in units of training, the bias last."""
    rng = np.random.default_rng(4)
    return [rng.normal(0.0, 0.6, (count, RANK + 1)).astype(np.float32).astype(np.float64) for count in (USERS, ITEMS)]


def predictions(sides: list[Numbers]) -> Numbers:
    users, items = (own[pairs] for own, pairs in zip(sides, PAIRS, strict=True))
    scores = np.sum(users[:, :-1] * items[:, :-1], axis=1) + users[:, -1] + items[:, -1]
    return np.asarray(SCALING.mean + SCALING.deviation * scores)


def scatter(predicted: Numbers) -> Numbers:
    """Return the planted deviation of ratings about these predictions."""
    return 0.3 + 0.7 * np.exp(-0.2 * (predicted - SCALING.mean) ** 2)


def even(predicted: Numbers) -> Numbers:
    return np.full_like(predicted, 0.7)


def made(sides: list[Numbers], deviation: Callable[[Numbers], Numbers], seed: int) -> Numbers:
    """Return a rating of every pair."""
    predicted = predictions(sides)
    return np.asarray(predicted + deviation(predicted) * np.random.default_rng(seed).normal(size=len(predicted)))


def measured(sides: list[Numbers], ratings: Numbers, folder: Path) -> NoiseByRating:
    """Return the factors of these training ratings, by the tasks of a run with two shards a side."""
    shards = [[shard_of(own[n::SHARDS, :-1], own[n::SHARDS, -1]) for n in range(SHARDS)] for own in sides]
    found = []
    for a, users in enumerate(shards[0]):
        blocks = []
        for b, items in enumerate(shards[1]):
            own = np.flatnonzero((PAIRS[0] % SHARDS == a) & (PAIRS[1] % SHARDS == b))
            user_rows, item_rows = (pairs[own] // SHARDS for pairs in PAIRS)
            shape = len(users.factors), len(items.factors)
            blocks.append(RatingBlock.of(user_rows, item_rows, ratings[own].astype(np.float32), shape))
        place = f"{folder}/user-{a}.npy", write_shard(f"{folder}/user-{a}.npy", users)
        found.append(measure_row(tuple(blocks), place, tuple(shards[1]), RANK, SCALING, len(ratings)))
    return noise_factors(reduce(add, found), SCALING)


@pytest.mark.parametrize("deviation", [scatter, even])
def test_planted_scatter_is_found_in_bins_of_equal_counts(sides: Any, deviation: Any, tmp_path: Path) -> None:
    found, predicted = measured(sides, made(sides, deviation, 1), tmp_path), predictions(sides)
    bins = np.searchsorted(found["edges"], predicted, side="right")
    counts, variances = np.bincount(bins), deviation(predicted) ** 2
    np.testing.assert_allclose(counts, len(predicted) / BINS, rtol=0.05)
    wanted = np.bincount(bins, variances) / counts / variances.mean()
    np.testing.assert_allclose(found["factors"], wanted, rtol=0.1)
    assert np.average(found["factors"], weights=counts) == pytest.approx(1.0, abs=1e-9)


def test_intervals_hold_in_each_fifth_where_one_noise_does_not(sides: Any, tmp_path: Path) -> None:
    """New ratings, about the predictions of draws that lie close together, with factors of the training ratings."""
    root = np.sqrt(SCALING.deviation)
    scales = np.array([root] * RANK + [SCALING.deviation])
    drawn = [np.repeat((own * scales).astype(np.float32)[:, None], DRAWS, axis=1) for own in sides]
    noise, ratings = float(np.sqrt(np.mean(scatter(predictions(sides)) ** 2))), made(sides, scatter, 2)
    factors = measured(sides, made(sides, scatter, 1), tmp_path)
    placed = []
    for name, by_rating in (("one", None), ("factors", factors)):
        write_drawn_model(f"{tmp_path}/{name}", drawn, SCALING.mean, noise, by_rating)
        placed.append(place_every_pair(f"{tmp_path}/{name}", tmp_path, ratings, RatingGrid(0.0, 1.0, 5.0), (noise,)))
    one, varied = placed
    same_fifths = replace(one, deviations=varied.deviations)
    assert farthest_off(summarise(varied)) < 0.03
    assert farthest_off(summarise(same_fifths)) > 0.06


def farthest_off(found: Summary) -> float:
    """Return how far the coverage of a fifth by deviation lies from its level, at most."""
    coverage = [fifth["coverage"] for fifth in found["by_deviation"]]
    return float(np.abs(np.array(coverage) - [0.5, 0.8, 0.95]).max())


@pytest.mark.parametrize(("count", "squared"), [(0, 0.0), (3, 0.0), (LEAST - 1, 9.0), (10 * LEAST, 9.0)])
def test_few_or_equal_ratings_have_one_noise(count: int, squared: float) -> None:
    sums = [np.where(np.arange(4096) == 2048, float(each), 0.0) for each in (count, squared)]
    found = noise_factors(ResidualSums(*sums), SCALING)
    assert not found["edges"]
    assert found["factors"] == pytest.approx([1.0])
