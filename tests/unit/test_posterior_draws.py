"""A sweep's draws equal those of a twin that solves each row exactly, with the same random numbers.

Covers: tasks/training/posterior/draws.py, tasks/noise.py, tasks/grid/user_terms.py, and the bases and searches of rows
that it sets: blocks, tiles, rows without ratings, with and without biases.
Does not cover: whether these draws have the right distribution (test_posterior_distribution.py), workers
(tests/cluster/test_train_bayes.py).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from exact_draws import SmallGrid, State
from hypothesis import given, settings
from hypothesis import strategies as st
from sessions import choices, examples

from funkflow.tasks.errors import ShardMismatch
from funkflow.tasks.grid import ordered_ratings
from funkflow.tasks.kernels.tiles import TILE_ITEMS, TILE_USERS
from funkflow.tasks.noise import Stream
from funkflow.tasks.training.posterior import draws, priors, starts
from funkflow.tasks.training.posterior.priors import LEAST_VARIANCE, NoiseLevel, draw_user_weights


def start(small: SmallGrid, rng: np.random.Generator, precision: float) -> State:
    return State(small.rows(rng, "user"), small.rows(rng, "item"), precision)


def assert_exact(small: SmallGrid, before: State, stream: Stream, tolerance: float) -> None:
    """Compare users, and then items beside the same users."""
    problem, users = small.drawn_users(before, stream)
    drawn, weights = (np.concatenate([getattr(each, name) for each in users]) for name in ("rows", "weights"))
    exact = small.exact_users(before.users, weights, problem, stream)
    np.testing.assert_allclose(drawn, exact, rtol=tolerance, atol=tolerance)
    begun = draws.begin_items(problem, small.counts[1], small.model, stream, *map(draws.sums_of, users))
    away = small.targets - np.einsum("nf,nf->n", drawn[small.u], before.items[small.i], dtype=np.float64)
    assert begun.squared_errors == pytest.approx(float(away @ away), rel=10 * tolerance)
    weighed_errors = sum(each.seen.weighed_errors for each in users)
    assert weighed_errors == pytest.approx(float(weights[small.u] @ away**2), rel=10 * tolerance)
    assert begun.noise_variance * begun.noise.precision == pytest.approx(float(np.mean(1 / weights[small.u])))
    items = np.concatenate(small.drawn_items(users, begun, stream).shards)
    np.testing.assert_allclose(
        items, small.exact_items(drawn, weights, before.items, begun, stream), rtol=tolerance, atol=tolerance
    )


@settings(max_examples=examples(60), deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 40), st.integers(1, 12)),
    count=st.integers(1, 200),
    rank=choices([3], [1, 8]),
    shards=st.integers(1, 3),
    biases=st.booleans(),
    precision=st.sampled_from([0.1, 1.0, 8.0]),
    sweep=st.sampled_from([1, 2]),
)
def test_draws_equal_those_of_exact_solves(
    seed: int,
    shape: tuple[int, int],
    count: int,
    rank: int,
    shards: int,
    biases: bool,
    precision: float,
    sweep: int,
) -> None:
    rng = np.random.default_rng(seed)
    small = SmallGrid.random(rng, shape, count, rank, shards=min(shards, *shape), biases=biases)
    assert_exact(small, start(small, rng, precision), Stream(seed, 0, sweep), 1e-7)


def test_several_tiles_take_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a cache that holds only the smallest part of the other side, so that noise comes in many slabs."""
    monkeypatch.setattr(ordered_ratings, "CACHED_BYTES", 1)
    rng = np.random.default_rng(4)
    small = SmallGrid.random(rng, (TILE_USERS + 40, 2 * TILE_ITEMS + 120), 9_000, 2)
    assert_exact(small, start(small, rng, 2.0), Stream(7, 0, 3), 1e-7)


def test_many_steps_in_float32_are_exact_to_its_precision() -> None:
    rng = np.random.default_rng(5)
    small = SmallGrid.random(rng, (60, 40), 900, 8, shards=2, number="f4")
    assert_exact(small, start(small, rng, 2.0), Stream(8, 0, 3), 1e-4)


def test_three_steps_in_float32_are_close(monkeypatch: pytest.MonkeyPatch) -> None:
    """From a draw on, within a fifth of the deviation of the draws of a row; one step is not.

    A wide prior keeps the rows of these random ratings apart from 0, where one step would do.
    """
    monkeypatch.setattr(priors, "RATE", 0.5)
    rng = np.random.default_rng(5)
    small = SmallGrid.random(rng, (60, 40), 900, 8, shards=2, number="f4")
    before = start(small, rng, 1.0)
    for sweep in range(20):
        before = small.sweep(before, Stream(8, 0, 2 + sweep))
    away = {}
    for steps in (1, 3):
        quick = replace(small, steps=steps)
        problem, users = quick.drawn_users(before, Stream(8, 0, 22))
        weights = np.concatenate([each.weights for each in users])
        exact = small.exact_users(before.users, weights, problem, Stream(8, 0, 22))
        others = small.exact_users(before.users, weights, problem, Stream(9, 0, 22))
        free = problem.basis.squares.size - 1
        found = np.concatenate([each.rows for each in users])
        spread = np.mean((exact[:, :free] - others[:, :free]) ** 2) / 2
        away[steps] = float(np.sqrt(np.mean((found[:, :free] - exact[:, :free]) ** 2) / spread))
    assert 1e-4 < away[3] < 0.2 < away[1], away


def test_the_basis_makes_the_prior_the_identity() -> None:
    """So that normal numbers in it have the prior's deviations."""
    rng = np.random.default_rng(6)
    small = SmallGrid.random(rng, (30, 20), 200, 4)
    before = start(small, rng, 1.0)
    items = starts.first_items(small.counts[1], NoiseLevel(1.0, 8.0), before.items)
    users = starts.first_users(before.users, small.counts[0][0])
    problem = draws.begin_sweep(items, small.model, Stream(1, 0, 1), users.seen)
    free = small.model.objective.free(6, "users") > 0
    vectors = problem.basis.vectors[np.ix_(free, free)]
    np.testing.assert_allclose(vectors @ vectors.T, np.diag(1 / problem.prior.precision[free]), atol=1e-12)


def test_shards_of_other_sizes_are_refused() -> None:
    rng = np.random.default_rng(9)
    small = SmallGrid.random(rng, (9, 7), 30, 2)
    before = start(small, rng, 1.0)
    users = starts.first_users(before.users[2:], small.counts[0][0][2:])
    items = starts.first_items(small.counts[1], NoiseLevel(1.0, 8.0), before.items)
    stream = Stream(1, 0, 1)
    problem = draws.begin_sweep(items, small.model, stream, users.seen)
    with pytest.raises(ShardMismatch, match=r"a block of \(9, 7\) rows met shards of 7 and 7 rows"):
        draws.draw_users(small.blocks[0], users, problem, small.counts[0][0][2:], small.model, stream, 0)


def test_users_who_rate_less_steadily_weigh_less() -> None:
    counts, rng = np.full(300, 50.0), np.random.default_rng(10)
    errors = np.repeat([10.0, 50.0, 250.0], 100)
    found = draw_user_weights(errors, counts, NoiseLevel(1.0, 4.0), rng)
    means = found.reshape(3, 100).mean(axis=1)
    np.testing.assert_allclose(means, (4 + 50) / (4 + np.array([10.0, 50.0, 250.0])), rtol=0.1)


def test_users_whose_ratings_are_fitted_exactly_keep_a_noise() -> None:
    level = NoiseLevel(1.0 / LEAST_VARIANCE, 4.0)
    found = draw_user_weights(np.zeros(9), np.full(9, 50.0), level, np.random.default_rng(11))
    assert np.all(level.precision * found <= 1.0 / LEAST_VARIANCE)
