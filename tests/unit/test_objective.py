"""The objective and its gradients: against double loops, differences, and what is refused.

Covers: tasks/training/objective.py.
Does not cover: the kernels that follow it (test_kernels.py, test_batch.py), the check as a command
(test_check_gradients.py).
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sessions import examples

from funkflow.tasks.errors import BadInput
from funkflow.tasks.training.objective import Observed, Point, gradients, objective, slope_by_entry


def random_problem(seed: int, users: int = 5, items: int = 4, rank: int = 3, count: int = 12) -> tuple[Point, Observed]:
    rng = np.random.default_rng(seed)
    at = Point(
        rng.normal(size=(users, rank)), rng.normal(size=(items, rank)), rng.normal(size=users), rng.normal(size=items)
    )
    return at, Observed(rng.integers(0, users, count), rng.integers(0, items, count), rng.normal(size=count))


@settings(max_examples=examples(25), deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rank=st.integers(1, 5), count=st.integers(0, 40), l2=st.floats(0, 2))
def test_both_equal_their_formulas_rating_by_rating(seed: int, rank: int, count: int, l2: float) -> None:
    """The sums of the docstring written as loops: dJ/dU_rq = sum over c of -2 e V_cq, + 2 l2 U_rq for each rating."""
    at, data = random_problem(seed, rank=rank, count=count)
    value = 0.0
    slopes = [np.zeros_like(values) for values in vars(at).values()]
    for r, c, rating in zip(data.users.tolist(), data.items.tolist(), data.ratings.tolist(), strict=True):
        u, v, b, d = at.user_factors[r], at.item_factors[c], at.user_biases[r], at.item_biases[c]
        e = rating - float(u @ v) - b - d
        value += e**2 + l2 * float(u @ u + v @ v + b**2 + d**2)
        slopes[0][r] += -2 * e * v + 2 * l2 * u
        slopes[1][c] += -2 * e * u + 2 * l2 * v
        slopes[2][r] += -2 * e + 2 * l2 * b
        slopes[3][c] += -2 * e + 2 * l2 * d
    assert objective(at, data, l2) == pytest.approx(value, rel=1e-12)
    for found, slope in zip(vars(gradients(at, data, l2)).values(), slopes, strict=True):
        np.testing.assert_allclose(found, slope, rtol=1e-11, atol=1e-11)


def test_only_observed_cells_have_a_slope() -> None:
    at, _ = random_problem(1)
    slopes = slope_by_entry(at, Observed(np.array([0, 2]), np.array([3, 1]), np.array([1.0, -1.0]))).toarray()
    assert set(zip(*np.nonzero(slopes), strict=True)) == {(0, 3), (2, 1)}


def test_float32_stays_float32() -> None:
    at, data = random_problem(2)
    low = Point(*(values.astype(np.float32) for values in vars(at).values()))
    slopes = gradients(low, Observed(data.users, data.items, data.ratings.astype(np.float32)), 0.1)
    assert {values.dtype for values in vars(slopes).values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize("name", ["user_factors", "item_biases"])
def test_a_complex_point_is_refused_by_name(name: str) -> None:
    at, _ = random_problem(3)
    parts = {**vars(at), name: vars(at)[name] + 1j}
    with pytest.raises(BadInput, match=rf"^{name} of shape .* are complex128: only real matrices are factorised; .*$"):
        Point(**parts)


def test_complex_ratings_are_refused_by_name() -> None:
    with pytest.raises(BadInput, match=r"^ratings of shape \(1,\) are complex64: only real"):
        Observed(np.array([0]), np.array([0]), np.array([1j], np.complex64))
