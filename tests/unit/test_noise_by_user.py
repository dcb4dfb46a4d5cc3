"""Intervals of users who rate with unequal noise.

Covers: the factor of each user in a model's draws, from the drawn weights to the intervals.
Does not cover: how weights are drawn (test_posterior_draws.py), the noise by rating (test_noise_by_rating.py).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from drawn_model import write_drawn_model

from funkflow.tasks.dataset.id_pieces import cut_by_shard
from funkflow.tasks.model.draws.drawn_rows import Draws
from funkflow.tasks.model.draws.intervals import intervals_of
from funkflow.tasks.model.model import Model
from funkflow.tasks.storage import files, npy
from funkflow.tasks.training.posterior.exported import export_drawn_shard

USERS, ITEMS, RANK, DRAWS, NOISE = 300, 200, 2, 4, 0.8
RNG = np.random.default_rng(8)
FACTORS = np.repeat(np.geomspace(0.25, 2.5, USERS)[:, None], DRAWS, axis=1).astype(np.float32)
ROWS = [RNG.normal(0.0, 0.4, (count, 1, RANK + 1)).astype(np.float32).repeat(DRAWS, axis=1) for count in (USERS, ITEMS)]


def held(folder: Path, by_user: bool) -> tuple[float, float]:
    """Return which part of ratings the 50 % intervals hold, of the quietest tenth of users and of the noisiest."""
    write_drawn_model(str(folder), ROWS, 3.0, NOISE, by_user=FACTORS if by_user else None)
    model = Model.load(str(folder))
    users, items = np.divmod(np.arange(USERS * ITEMS), ITEMS)
    draws = Draws.of(model.folder, model.about, "intervals")
    mean, _, lower, upper = intervals_of(draws, users, items, (0.5,)).T
    ratings = mean + NOISE * np.sqrt(FACTORS[users, 0]) * np.random.default_rng(1).normal(size=len(mean))
    inside = ((lower < ratings) & (ratings < upper)).reshape(USERS, ITEMS)
    return float(inside[: USERS // 10].mean()), float(inside[-USERS // 10 :].mean())


def test_intervals_of_each_user_hold(tmp_path: Path) -> None:
    assert held(tmp_path, by_user=True) == pytest.approx((0.5, 0.5), abs=0.025)


def test_without_the_factors_those_of_quiet_users_are_wide(tmp_path: Path) -> None:
    quiet, noisy = held(tmp_path, by_user=False)
    assert quiet > 0.7
    assert noisy < 0.4


def test_a_user_without_a_row_has_the_usual_noise(tmp_path: Path) -> None:
    write_drawn_model(str(tmp_path), ROWS, 3.0, NOISE, by_user=FACTORS)
    draws = Model.load(str(tmp_path)).draws_for("intervals")
    found = draws.noise_variances(np.zeros((2, DRAWS)), np.array([-1, 5]))
    np.testing.assert_allclose(found, NOISE**2 * np.array([np.ones(DRAWS), FACTORS[5]]), rtol=1e-6)


def test_a_shard_of_users_has_their_variances_by_the_mean_of_ratings(tmp_path: Path) -> None:
    ids, url, variances = f"{tmp_path}/ids", f"{tmp_path}/part", np.array([[0.2, 0.8], [0.4, 0.1]], np.float32)
    table = f"{tmp_path}/users.parquet"
    checksum = files.write_table(table, pa.table({"raw_id": pa.array([7, 8])}))
    cut_by_shard((table, checksum), 1, ids)
    saved = []
    for draw, own in enumerate(variances):
        place = f"{tmp_path}/{draw}.npy"
        rows = np.column_stack([np.full((2, RANK + 2), draw, np.float32), own])
        saved.append((place, npy.write_array(place, rows)))
    entry, sums = export_drawn_shard(saved, "user", True, [2.0, 5.0], ids, 0, 3.0, url)
    written = files.read_table(url)
    np.testing.assert_allclose(written["noise"].to_pylist(), [[0.4, 2.0], [1.6, 0.5]], rtol=1e-6)
    assert (entry["rows"], sums.sums.shape) == (2, (2, RANK + 1))
    np.testing.assert_allclose(written["draws"].to_pylist()[0][RANK :: RANK + 1], [0.0, 3.0])
