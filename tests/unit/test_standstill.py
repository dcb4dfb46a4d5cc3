"""Small sets whose biases carry little: training gets past the saddle it starts at, and L2 suits the noise.

Covers: tasks/training/early_stopping.py and tasks/grid/default_rule.py at work on planted sets, in this process, each
against a long patience and against ridge regression by turns; and sets without any signal.
Does not cover: the rules by themselves (test_stopping.py), the same bits for any workers (test_train.py).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_sets import best_rmse, mean_rmse, planted, ridge_rmse, trained
from sessions import examples

SETS = {2_000: (100, 60), 5_000: (250, 100), 10_000: (400, 150)}


@settings(max_examples=examples(10), deadline=None)
@given(
    count=st.sampled_from(sorted(SETS)),
    rank=st.integers(2, 10),
    noise=st.sampled_from([0.1, 0.3, 0.6, 1.0]),
    biases=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_planted_sets_end_where_a_long_patience_does(
    count: int, rank: int, noise: float, biases: bool, seed: int
) -> None:
    made = planted(count, SETS[count], rank, noise, biases, seed)
    assert best_rmse(trained(made)) <= 1.1 * best_rmse(trained(made, patience=30))


@pytest.mark.parametrize("biases", [False, True])
@pytest.mark.parametrize(("rank", "noise"), [(3, 0.2), (6, 1.0)])
def test_small_sets_end_where_ridge_regression_of_the_same_rank_does(rank: int, noise: float, biases: bool) -> None:
    made = planted(2_000, SETS[2_000], rank, noise, biases, seed=5)
    mine = best_rmse(trained(made))
    assert mine <= 1.25 * ridge_rmse(made, 64, biases, ridges=(0.3, 1.0, 2.0, 4.0, 10.0), rounds=8)
    assert mine <= 1.25 * ridge_rmse(made, rank, biases)


@pytest.mark.parametrize("form", ["centred by user", "likes and dislikes"])
def test_what_biases_say_nothing_about_is_learnt(form: str) -> None:
    """As planted, the patience alone stopped after three epochs at the mean's RMSE."""
    made = planted(5_000, SETS[5_000], 5, 0.3, False, seed=2)
    if form == "likes and dislikes":
        made = replace(made, ratings=np.sign(made.ratings - 3.0).astype(np.float32))
    else:
        counts = np.bincount(made.users)
        centred = made.ratings - (np.bincount(made.users, made.ratings) / counts)[made.users]
        made = replace(made, ratings=centred.astype(np.float32))
    assert best_rmse(trained(made, patience=2, epochs=3)) > 0.95 * mean_rmse(made)
    assert best_rmse(trained(made)) < 0.9 * mean_rmse(made)


@pytest.mark.parametrize("biases", [False, True])
@pytest.mark.parametrize("count", sorted(SETS))
def test_where_there_are_no_factors_training_ends_soon_and_near_the_noise(count: int, biases: bool) -> None:
    made = planted(count, SETS[count], 0, 1.0, biases, seed=1)
    history = trained(made)
    assert len(history) <= 40
    assert best_rmse(history) < 1.03 * ridge_rmse(made, 0, biases, ridges=(1.0, 3.0, 10.0), rounds=3)
