"""Rows without ratings by their features: the weighted ridge regression of all others.

Covers: tasks/training/new_rows/cold_rows.py, over several shards. Does not cover: whole runs
(tests/cluster/test_cold_items.py), tables of features (test_row_features.py).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from funkflow.tasks.grid.factor_shard import read_shard, shard_of, write_shard
from funkflow.tasks.training.new_rows import cold_rows
from funkflow.tasks.training.new_rows.cold_rows import SavedSide

RANK, ROWS, FEATURES, SHARDS = 3, 400, 5, 4


@pytest.fixture
def planted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[SavedSide, list[np.ndarray], np.ndarray, np.ndarray]:
    """Rows that depend on their features: a side, the ratings of each shard, the features, and what they make."""
    rng = np.random.default_rng(7)
    features = (rng.random((ROWS, FEATURES)) < 0.3).astype(float)
    said = rng.normal(size=RANK + 1) + features @ rng.normal(size=(FEATURES, RANK + 1))
    counts = rng.poisson(3.0, ROWS).astype(float)
    rows = (said + 0.1 * rng.normal(size=said.shape) / np.sqrt(np.maximum(counts, 1.0))[:, None]).astype(np.float32)
    rows[counts == 0] = 0.0
    places = []
    for shard in range(SHARDS):
        url = str(tmp_path / f"{shard}.npy")
        places.append((url, write_shard(url, shard_of(rows[shard::SHARDS, :-1], rows[shard::SHARDS, -1]))))
    monkeypatch.setattr(
        cold_rows, "read_feature_rows", lambda place, shards, shard: sparse.csr_array(features[shard::shards])
    )
    return SavedSide(tuple(places), RANK, ("", "")), [counts[s::SHARDS] for s in range(SHARDS)], features, said


def effects_of(side: SavedSide, counts: list[np.ndarray]) -> cold_rows.FeatureEffects:
    return cold_rows.effects_of(*(cold_rows.feature_sums(side, counts[shard], shard) for shard in range(SHARDS)))


def test_rows_without_ratings_get_what_was_planted(
    planted: tuple[SavedSide, list[np.ndarray], np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    side, counts, _, said = planted
    effects = effects_of(side, counts)
    assert sum(int((each == 0).sum()) for each in counts) > 5
    for shard in range(SHARDS):
        url, before = str(tmp_path / f"filled-{shard}.npy"), read_shard(*side.places[shard], RANK)
        filled = read_shard(url, cold_rows.write_with_cold_rows(url, side, counts[shard], effects, shard), RANK)
        cold = counts[shard] == 0
        np.testing.assert_array_equal(filled.factors[~cold], before.factors[~cold])
        np.testing.assert_array_equal(filled.biases[~cold], before.biases[~cold])
        found = np.column_stack([filled.factors, filled.biases])[cold]
        np.testing.assert_allclose(found, said[shard::SHARDS][cold], atol=0.15)


def test_effects_are_the_ridge_regression_with_the_least_cross_validation_error(
    planted: tuple[SavedSide, list[np.ndarray], np.ndarray, np.ndarray],
) -> None:
    side, counts, features, _ = planted
    rows, n = np.zeros((ROWS, RANK + 1)), np.zeros(ROWS)
    for shard in range(SHARDS):
        rows[shard::SHARDS], n[shard::SHARDS] = side.rows(shard), counts[shard]
    rows, n, design = rows[n > 0], n[n > 0], features[n > 0]
    mean, middle = n @ rows / n.sum(), n @ design / n.sum()
    left, target = np.sqrt(n)[:, None] * (design - middle), np.sqrt(n)[:, None] * (rows - mean)
    products = left.T @ left
    errors = []
    for ridge in cold_rows._RIDGES * np.trace(products) / FEATURES:
        hat = left @ np.linalg.solve(products + ridge * np.eye(FEATURES), left.T)
        away = target - hat @ target
        errors.append((np.sum(away**2) / (len(n) - np.trace(hat)) ** 2, ridge))
    ridge = min(errors)[1]
    exact = np.linalg.solve(products + ridge * np.eye(FEATURES), left.T @ target)
    found = effects_of(side, counts)
    np.testing.assert_allclose(found.mean, mean - middle @ exact, rtol=1e-6)
    np.testing.assert_allclose(found.effects, exact, rtol=1e-5, atol=1e-7)


def test_features_that_say_nothing_leave_the_mean_row() -> None:
    nothing = cold_rows.FeatureSums(9.0, np.array([18.0]), np.zeros(2), np.zeros((2, 2)), np.zeros((2, 1)), 40.0, 3)
    found = cold_rows.effects_of(nothing)
    np.testing.assert_array_equal(found.mean, [2.0])
    np.testing.assert_array_equal(found.effects, np.zeros((2, 1)))
