"""The compiled kernels equal their slow, obvious twins, and the twins equal the gradients of the objective.

Covers: descend_tiles, residual_sums, score_ratings, tasks/kernels/reference.py, tasks/training/objective.py.
Does not cover: blocks of several tiles (test_twins.py), shards and epochs (test_train.py).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from descending import STEPS, as_plain, plain_tiles, random_block, random_shard, twin_of
from hypothesis import given, settings
from hypothesis import strategies as st
from sessions import choices, examples

from funkflow.tasks.kernels.reference import descend_plainly, predict_plainly, sum_plainly
from funkflow.tasks.kernels.row_sums import residual_sums
from funkflow.tasks.kernels.score import score_ratings
from funkflow.tasks.training.objective import Observed, Point, gradients, objective
from funkflow.tasks.training.sgd import descend_in_place

RANKS = choices([3, 17, 64], [1, 2, 5, 7, 8, 13, 16, 31, 32, 67, 128, 130])


def random_ratings(
    rng: np.random.Generator, count: int, rows: tuple[int, int], least_row: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    user_rows, item_rows = (rng.integers(least_row, size, size=count).astype(np.int32) for size in rows)
    return user_rows, item_rows, rng.normal(size=count).astype(np.float32)


@settings(max_examples=examples(60), deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    rank=RANKS,
    count=st.integers(1, 200),
    users=st.sampled_from([1, 5, 31, 32, 33, 70]),
    items=st.sampled_from([1, 4, 20]),
    levels=st.sampled_from([1, 5, 300, 0]),
    biases=st.booleans(),
)
def test_descent_equals_its_twin(
    seed: int, rank: int, count: int, users: int, items: int, levels: int, biases: bool
) -> None:
    rng = np.random.default_rng(seed)
    block = random_block(rng, np.arange(users), np.arange(items), count, (users, items), levels)
    steps = replace(STEPS, bias_step=0.07 if biases else 0.0)
    left, right = random_shard(rng, users, rank), random_shard(rng, items, rank)
    plain_left, plain_right, slow = twin_of(block, left, right, steps)
    assert descend_in_place(block, left, right, steps) == pytest.approx(slow, rel=1e-4, abs=1e-5)
    for shard, plain in ((left, plain_left), (right, plain_right)):
        for name, values in as_plain(shard).items():
            np.testing.assert_allclose(values, plain[name], rtol=1e-3, atol=2e-5)


@settings(max_examples=examples(30), deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 200), levels=st.sampled_from([1, 5, 300, 0]))
def test_sums_equal_their_twin(seed: int, count: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    block = random_block(rng, np.arange(40), np.arange(1000, 1040), count, (40, 1040), levels)
    biases = rng.normal(size=1040)
    users, items = ((np.zeros(rows), np.zeros(rows)) for rows in block.shape)
    residual_sums(block.coding)(
        block.tiles, block.run_users, block.run_starts, block.cells, block.codes, block.scaled_levels(0.0, 1.0),
        3.1, biases, *users, *items,
    )  # fmt: skip
    expected = sum_plainly(plain_tiles(block, replace(STEPS, mean=0.0, deviation=1.0)), block.shape, 3.1, biases)
    for found, plain in zip((users, items), expected, strict=True):
        np.testing.assert_allclose(np.stack(found, axis=1), plain, rtol=1e-9, atol=1e-9)


@settings(max_examples=examples(40), deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rank=RANKS, count=st.integers(0, 60), timed=st.booleans())
def test_score_equals_its_twin(seed: int, rank: int, count: int, timed: bool) -> None:
    rng = np.random.default_rng(seed)
    left, right = random_shard(rng, 5, rank), random_shard(rng, 7, rank)
    user_rows, item_rows, ratings = random_ratings(rng, count, (5, 7), least_row=-1)
    shards = (left.factors, left.states, right.factors, right.states)
    offsets = rng.normal(size=count if timed else 0)
    squared, absolute, carried = score_ratings()(user_rows, item_rows, ratings, *shards, 3.5, 1.1, 1.0, 5.0, offsets)
    predicted = predict_plainly(user_rows, item_rows, as_plain(left), as_plain(right), 3.5, 1.1, -99.0, 99.0)
    errors = ratings - np.clip(predicted + (1.1 * offsets if timed else 0.0), 1.0, 5.0)
    assert squared == pytest.approx(float(np.sum(errors**2)), rel=1e-5)
    assert absolute == pytest.approx(float(np.sum(np.abs(errors))), rel=1e-5)
    seen = (user_rows >= 0) & (item_rows >= 0)
    by_factors = 1.1 * np.sum(left.factors[user_rows[seen]] * right.factors[item_rows[seen]], axis=1)
    assert carried == pytest.approx(float(np.sum(by_factors**2)), rel=1e-4)


def test_one_rating_moves_down_the_gradient_of_the_objective() -> None:
    """With unit accumulators and a step s, a row moves by -s/2 times the objective's own gradient."""
    rng = np.random.default_rng(3)
    users, items = (as_plain(random_shard(rng, 1, 6)) for _ in range(2))
    for side in (users, items):
        side["factor_squares"][:] = side["bias_squares"][:] = 1.0
    at = Point(users["factors"].copy(), items["factors"].copy(), users["bias"].copy(), items["bias"].copy())
    row = np.zeros(1, dtype=np.int64)
    slope = gradients(at, Observed(row, row, np.array([0.7])), l2=0.04)
    descend_plainly([[[(0, 0, 0.7)]]], users, items, 0.04, 0.01, 0.01)
    moved = (
        users["factors"] - at.user_factors,
        items["factors"] - at.item_factors,
        users["bias"] - at.user_biases,
        items["bias"] - at.item_biases,
    )
    for change, gradient in zip(
        moved, (slope.user_factors, slope.item_factors, slope.user_biases, slope.item_biases), strict=True
    ):
        np.testing.assert_allclose(change, -0.005 * gradient, rtol=1e-6)


@settings(max_examples=examples(25), deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    rank=st.integers(1, 6),
    count=st.integers(1, 40),
    l2=st.sampled_from([0.0, 0.05, 1.0]),
)
def test_gradients_equal_central_differences(seed: int, rank: int, count: int, l2: float) -> None:
    rng = np.random.default_rng(seed)
    at = Point(rng.normal(size=(4, rank)), rng.normal(size=(3, rank)), rng.normal(size=4), rng.normal(size=3))
    data = Observed(rng.integers(0, 4, count), rng.integers(0, 3, count), rng.normal(size=count))
    slopes = gradients(at, data, l2)
    scale = max(float(np.abs(values).max()) for values in vars(slopes).values())
    for name, slope in vars(slopes).items():
        values = getattr(at, name)
        for place in np.ndindex(values.shape):
            h = 1e-5 * max(1.0, abs(values[place]))
            kept = values[place]
            values[place] = kept + h
            above = objective(at, data, l2)
            values[place] = kept - h
            below = objective(at, data, l2)
            values[place] = kept
            assert (above - below) / (2 * h) == pytest.approx(slope[place], rel=1e-6, abs=1e-6 * max(1.0, scale))
