"""The places of ratings in their distributions, of numbers made from these very distributions or from others.

Covers: tasks/evaluation/calibration.py. Does not cover: the calibration of a run (tests/cluster/test_intervals.py).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_model import place_every_pair, write_drawn_model
from scipy import stats

from funkflow.tasks.evaluation.calibration import (
    PlacedRatings,
    RatingGrid,
    Summary,
    interval_scores,
    summarise,
)

DRAWS, RANK, MEAN, NOISE = 7, 2, 3.0, 0.8
USERS, ITEMS = 400, 60


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Any]:
    """A model of one shard with draws, and the prediction of each draw for all pairs, float64 (D, users, items)."""
    folder, rng = str(tmp_path_factory.mktemp("model")), np.random.default_rng(2)
    centres = [rng.normal(0.0, 0.5, (count, 1, RANK + 1)) for count in (USERS, ITEMS)]
    rows = [(each + rng.normal(0.0, 0.3, (len(each), DRAWS, RANK + 1))).astype(np.float32) for each in centres]
    write_drawn_model(folder, rows, MEAN, NOISE)
    users, items = (each.astype(np.float64) for each in rows)
    products = np.einsum("udf,idf->dui", users[..., :-1], items[..., :-1])
    return folder, MEAN + products + users[..., -1].T[:, :, None] + items[..., -1].T[:, None, :]


def placed(drawn: tuple[str, Any], tmp_path: Path, ratings: Any, grid: RatingGrid, part: float = 1.0) -> PlacedRatings:
    """Place a rating of every pair."""
    return place_every_pair(drawn[0], tmp_path, ratings, grid, (NOISE, 1.0), part)


def simulated(drawn: tuple[str, Any], noise: float = NOISE) -> Any:
    """Return a rating of every pair: of one draw each, with noise, float64 (users * items,)."""
    rng, whole = np.random.default_rng(7), drawn[1].reshape(DRAWS, -1)
    chosen = rng.integers(0, DRAWS, whole.shape[1])
    return whole[chosen, np.arange(whole.shape[1])] + noise * rng.normal(size=whole.shape[1])


def summary_of(drawn: tuple[str, Any], tmp_path: Path, noise: float, step: float) -> Summary:
    ratings = simulated(drawn, noise)
    if step:
        ratings = np.clip(np.round(ratings / step) * step, 1.0, 5.0)
    return summarise(placed(drawn, tmp_path, ratings, RatingGrid(step, 1.0, 5.0)))


@pytest.mark.parametrize("step", [0.0, 0.5, 1.0])
def test_what_the_distributions_made_lies_evenly_in_them(drawn: tuple[str, Any], tmp_path: Path, step: float) -> None:
    """Rounded to a grid and clipped, too: so coverage is exact, and not only nearly so."""
    found = summary_of(drawn, tmp_path, NOISE, step)
    np.testing.assert_allclose(found["coverage"], [0.5, 0.8, 0.95], atol=0.012)
    assert stats.chisquare(found["pits"]).pvalue > 1e-3
    for fifths in (found["by_deviation"], found["by_ratings"]):
        assert len(fifths) == 5
        assert all(abs(each["coverage"][1] - 0.8) < 0.03 for each in fifths)


def test_ratings_with_more_noise_than_is_said_lie_outside(drawn: tuple[str, Any], tmp_path: Path) -> None:
    found = summary_of(drawn, tmp_path, 1.5 * NOISE, 0.0)
    assert found["coverage"][1] < 0.72
    assert all(each["rmse"] > 1.05 * each["deviation"] for each in found["by_deviation"])


def test_fifths_have_the_ratings_in_order(drawn: tuple[str, Any], tmp_path: Path) -> None:
    found = summary_of(drawn, tmp_path, NOISE, 0.0)
    assert [each["ratings"] for each in found["by_ratings"]] == [USERS * ITEMS // 5] * 5
    for fifths in (found["by_deviation"], found["by_ratings"]):
        ends = [end for each in fifths for end in (each["low"], each["high"])]
        assert ends == sorted(ends)


def test_the_score_is_that_of_the_true_deviation_where_all_draws_are_one(tmp_path: Path) -> None:
    """The mean interval score of a normal rating, by numeric integration."""
    level, z = 0.8, stats.norm.ppf(0.9)
    ratings = stats.norm.ppf((np.arange(200_000) + 0.5) / 200_000) * NOISE
    found = interval_scores(np.full(len(ratings), -z * NOISE), np.full(len(ratings), z * NOISE), ratings, level).mean()
    outside = 2 * NOISE * (stats.norm.pdf(z) - z * 0.1)
    assert found == pytest.approx(2 * z * NOISE + 2 / (1 - level) * outside, rel=1e-4)


def test_a_sample_is_part_of_all_and_has_the_same_places(drawn: tuple[str, Any], tmp_path: Path) -> None:
    ratings, grid = np.round(simulated(drawn)), RatingGrid(1.0, 1.0, 5.0)
    every, some = (placed(drawn, tmp_path, ratings, grid, part) for part in (1.0, 0.1))
    assert len(some.pits) == pytest.approx(0.1 * len(every.pits), rel=0.1)
    assert set(some.pits.tolist()) <= set(every.pits.tolist())


@pytest.mark.parametrize(
    ("values", "step"),
    [([1, 2, 3, 5], 1.0), ([0.5, 1.0, 4.5], 0.5), ([1.0, 2.0, 2.7], 0.0), ([3.0], 0.0), (None, 0.0)],
)
def test_a_grid_has_the_least_distance_if_all_are_multiples_of_it(values: Any, step: float) -> None:
    assert RatingGrid.of(values, 1.0, 5.0).step == step


def test_a_rating_at_an_end_of_the_scale_stands_for_all_beyond() -> None:
    low, high = RatingGrid(1.0, 1.0, 5.0).cells(np.array([1.0, 3.0, 5.0]))
    assert low.tolist() == [-math.inf, 2.5, 4.5]
    assert high.tolist() == [1.5, 3.5, math.inf]
