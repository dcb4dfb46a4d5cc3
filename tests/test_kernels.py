"""The compiled kernels equal their slow, obvious twins, and the twins equal the gradients of the objective.

Covers: descend_ratings, score_ratings, plain.py, objective.py.
Does not cover: blocks, shards and epochs (test_train.py).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.kernels import BIAS, BIAS_SQUARES, FACTOR_SQUARES, STATE_WIDTH, descend_ratings, score_ratings
from tasks.objective import Observed, Point, gradients, objective
from tasks.plain import Matrix, descend_plainly, predict_plainly

RANKS = st.sampled_from([1, 2, 3, 5, 7, 8, 13, 16, 17, 31, 64, 67])
Kernel = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]


def random_side(rng: np.random.Generator, rows: int, rank: int) -> Kernel:
    states = np.zeros((rows, STATE_WIDTH), dtype=np.float32)
    states[:, BIAS] = rng.normal(size=rows) * 0.1
    states[:, FACTOR_SQUARES] = 1 + rng.random(rows)
    states[:, BIAS_SQUARES] = 1 + rng.random(rows)
    return (rng.normal(size=(rows, rank)) / math.sqrt(rank)).astype(np.float32), states


def as_plain(side: Kernel) -> dict[str, Matrix]:
    factors, states = (part.astype(np.float64) for part in side)
    return {
        "factors": factors,
        "bias": states[:, BIAS].copy(),
        "factor_squares": states[:, FACTOR_SQUARES].copy(),
        "bias_squares": states[:, BIAS_SQUARES].copy(),
    }


def random_ratings(
    rng: np.random.Generator, count: int, rows: tuple[int, int], least_row: int = 0
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    user_rows, item_rows = (rng.integers(least_row, size, size=count).astype(np.int32) for size in rows)
    return user_rows, item_rows, rng.normal(size=count).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    rank=RANKS,
    count=st.integers(0, 60),
    users=st.integers(1, 9),
    items=st.integers(1, 9),
    biases=st.booleans(),
)
def test_descent_equals_its_twin(seed: int, rank: int, count: int, users: int, items: int, biases: bool) -> None:
    rng = np.random.default_rng(seed)
    left, right = random_side(rng, users, rank), random_side(rng, items, rank)
    plain_left, plain_right = as_plain(left), as_plain(right)
    ratings = random_ratings(rng, count, (users, items))
    bias_step = 0.07 if biases else 0.0
    fast = descend_ratings(*ratings, *left, *right, np.float32(0.03), np.float32(0.05), np.float32(bias_step))
    slow = descend_plainly(*ratings, plain_left, plain_right, 0.03, 0.05, bias_step)
    assert fast == pytest.approx(slow, rel=1e-4, abs=1e-5)
    for (factors, states), plain in ((left, plain_left), (right, plain_right)):
        np.testing.assert_allclose(factors, plain["factors"], rtol=1e-3, atol=2e-5)
        np.testing.assert_allclose(states[:, BIAS], plain["bias"], rtol=1e-3, atol=2e-5)
        np.testing.assert_allclose(states[:, FACTOR_SQUARES], plain["factor_squares"], rtol=1e-3)
        if biases:
            np.testing.assert_allclose(states[:, BIAS_SQUARES], plain["bias_squares"], rtol=1e-3)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rank=RANKS, count=st.integers(0, 60))
def test_score_equals_its_twin(seed: int, rank: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    left, right = random_side(rng, 5, rank), random_side(rng, 7, rank)
    user_rows, item_rows, ratings = random_ratings(rng, count, (5, 7), least_row=-1)
    squared, absolute = score_ratings(user_rows, item_rows, ratings, *left, *right, 3.5, 1.1, 1.0, 5.0)
    errors = ratings - predict_plainly(user_rows, item_rows, as_plain(left), as_plain(right), 3.5, 1.1, 1.0, 5.0)
    assert squared == pytest.approx(float(np.sum(errors**2)), rel=1e-5)
    assert absolute == pytest.approx(float(np.sum(np.abs(errors))), rel=1e-5)


def test_one_rating_moves_down_the_gradient_of_the_objective() -> None:
    """With unit accumulators and a step s, a row moves by -s/2 times the objective's own gradient."""
    rng = np.random.default_rng(3)
    users, items = (as_plain(random_side(rng, 1, 6)) for _ in range(2))
    for side in (users, items):
        side["factor_squares"][:] = side["bias_squares"][:] = 1.0
    at = Point(users["factors"].copy(), items["factors"].copy(), users["bias"].copy(), items["bias"].copy())
    row = np.zeros(1, dtype=np.int64)
    slope = gradients(at, Observed(row, row, np.array([0.7])), l2=0.04)
    rating = np.array([0.7], dtype=np.float32)
    descend_plainly(row.astype(np.int32), row.astype(np.int32), rating, users, items, 0.04, 0.01, 0.01)
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


@settings(max_examples=25, deadline=None)
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
