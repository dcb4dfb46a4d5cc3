"""Ratings far from zero, and ratings close to it, are learnt and shown as those of a usual scale.

Covers: a whole run on the same ratings shifted by millions and scaled to ten-thousandths.
Does not cover: sums and levels as such (test_grid.py), digits as such (test_digits.py).
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from distributed import Client
from growing_ratings import MADE, Root, address_of
from rich.console import Console
from sessions import only_long

from funkflow import Model, RunResult
from funkflow.pipeline.results.tables import result_table


@pytest.fixture(scope="module")
def made(client: Client, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Callable[[float], float]], RunResult]:
    def run_on(change: Callable[[float], float]) -> RunResult:
        root = Root(tmp_path_factory.mktemp("far"), address_of(client))
        levels = np.floor(MADE.ratings) - 1.0
        rows = zip(MADE.users.tolist(), MADE.items.tolist(), levels.tolist(), strict=True)
        return root.run([(user, item, change(rating)) for user, item, rating in rows])

    return run_on


@pytest.mark.parametrize("far", [16_000_000.0, *(only_long(far) for far in (2_000_000.0, -2_000_000.0))])
def test_a_shift_of_all_ratings_changes_no_error(
    made: Callable[[Callable[[float], float]], RunResult], far: float
) -> None:
    near, shifted = made(lambda rating: rating), made(lambda rating: rating + far)
    for name in ("model", "biases", "mean"):
        assert shifted.evaluation[name]["rmse"] == pytest.approx(near.evaluation[name]["rmse"], rel=1e-4)
    assert shifted.rmse is not None
    assert shifted.rmse < 0.95 * shifted.evaluation["mean"]["rmse"]
    users, items = MADE.users[:50], MADE.items[:50]
    predictions = [Model.load(each.paths["model"]).predict(users, items) for each in (near, shifted)]
    np.testing.assert_allclose(predictions[1] - far, predictions[0], atol=1e-3)


def test_small_ratings_are_shown_with_digits(made: Callable[[Callable[[float], float]], RunResult]) -> None:
    result = made(lambda rating: rating * 1e-4)
    told = io.StringIO()
    Console(width=120, file=told).print(result_table(result))
    shown = [float(line.split("│")[2]) for line in told.getvalue().splitlines() if line.count("│") == 4]
    assert shown == pytest.approx([result.evaluation[name]["rmse"] for name in ("mean", "biases", "model")], rel=1e-3)
    assert len(set(shown)) == 3
