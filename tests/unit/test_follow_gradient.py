"""The rule that follows a gradient: where it ends, and why it says that it ended.

Covers: fixed steps, backtracking, momentum and every reason, on functions whose minimum is known; going on from a
trail; and that each look, step and refusal happens as the formulas say.
Does not cover: the objective (test_objective.py), shards on workers (test_train_batch.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sessions import examples

from funkflow.tasks.errors import BadInput
from funkflow.tasks.training.gradient_descent import Array, Iterate, OfArrays, Reason, Rule, follow, follow_gradient


def square(x: Array) -> float:
    return float(np.sum(x**2))


def square_slope(x: Array) -> Array:
    return 2.0 * x


def fourth(x: Array) -> float:
    return float(np.sum(x**4))


def fourth_slope(x: Array) -> Array:
    return 4.0 * x**3


def valley(x: Array) -> float:
    """Rosenbrock's function: a bent valley, lowest at (1, 1)."""
    return float(100.0 * (x[1] - x[0] ** 2) ** 2 + (1.0 - x[0]) ** 2)


def valley_slope(x: Array) -> Array:
    across = x[1] - x[0] ** 2
    return np.array([-400.0 * x[0] * across - 2.0 * (1.0 - x[0]), 200.0 * across])


@pytest.mark.parametrize("step", [0.05, 0.3, 0.9])
def test_a_fixed_step_on_a_square_is_a_geometric_sequence(step: float) -> None:
    """X - step 2 x is (1 - 2 step) x, so after n steps the start times the n-th power."""
    places = list(follow(OfArrays(square, square_slope), np.array([3.0, -1.0]), Rule(step=step, steps=7, tolerance=0)))
    for number, place in enumerate(places):
        np.testing.assert_allclose(place.point, np.array([3.0, -1.0]) * (1 - 2 * step) ** number, rtol=1e-12)
        assert place.state.number == number
    assert [place.reason for place in places] == [None] * 7 + [Reason.STEP_LIMIT]


def test_a_square_converges_at_a_fixed_step() -> None:
    end, values = follow_gradient(square, square_slope, [3.0], Rule(step=0.1, tolerance=1e-6))
    assert end.reason is Reason.CONVERGED
    assert abs(end.point[0]) <= 3.0 * 1e-6
    assert values == sorted(values, reverse=True)


def test_a_fourth_power_is_flat_and_comes_to_its_limit_of_steps() -> None:
    """Near the minimum its gradient all but vanishes long before x does."""
    end, _ = follow_gradient(fourth, fourth_slope, [1.0], Rule(step=0.1, steps=1000))
    assert end.reason is Reason.STEP_LIMIT
    assert end.state.number == 1000
    # dx/dn = -0.4 x^3 is solved by x = 1 / sqrt(1 + 0.8 n)
    assert end.point[0] == pytest.approx(1.0 / math.sqrt(801.0), rel=0.02)


@pytest.mark.parametrize("step", [1.01, 1.2, 50.0])
def test_a_step_that_is_too_long_diverges(step: float) -> None:
    end, values = follow_gradient(square, square_slope, [1.0], Rule(step=step))
    assert end.reason is Reason.DIVERGED
    assert values[-1] > 1e6


def test_infinity_on_the_way_is_divergence() -> None:
    with np.errstate(over="ignore"):
        end, values = follow_gradient(fourth, fourth_slope, [1e30], Rule(step=1e80))
    assert end.reason is Reason.DIVERGED
    assert not math.isfinite(values[-1])


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_backtracking_needs_no_step_size(momentum: float) -> None:
    end, values = follow_gradient(valley, valley_slope, [-1.2, 1.0], Rule(momentum=momentum, tolerance=1e-9))
    assert end.reason is Reason.CONVERGED
    np.testing.assert_allclose(end.point, [1.0, 1.0], atol=1e-5)
    assert max(values) == values[0]


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_backtracking_knows_no_units(scale: float) -> None:
    """F times a constant takes the same path."""

    def end(factor: float) -> Array:
        place, _ = follow_gradient(
            lambda x: factor * valley(x), lambda x: factor * valley_slope(x), [-1.2, 1.0], Rule(steps=8)
        )
        return place.point

    np.testing.assert_allclose(end(scale), end(1.0), rtol=1e-6)


def test_momentum_speeds_a_long_valley_up() -> None:
    """Curvatures 1 and 100: the heavy ball needs less than half as many fixed steps."""
    curvature = np.array([1.0, 100.0])

    def steps(momentum: float) -> int:
        rule = Rule(step=0.01, momentum=momentum, tolerance=1e-6)
        end, _ = follow_gradient(
            lambda x: float(np.sum(curvature * x**2) / 2), lambda x: curvature * x, [1.0, 1.0], rule
        )
        assert end.reason is Reason.CONVERGED
        return end.state.number

    assert steps(0.8) < steps(0.0) / 2


def test_a_gradient_of_the_wrong_sign_finds_no_descent() -> None:
    end, values = follow_gradient(square, lambda x: -2.0 * x, [3.0], Rule())
    assert end.reason is Reason.NO_DESCENT
    assert end.point[0] == 3.0
    assert set(values) == {9.0}


def test_the_minimum_itself_is_where_it_stays() -> None:
    end, _ = follow_gradient(square, square_slope, [0.0, 0.0], Rule())
    assert end.reason is Reason.CONVERGED
    assert end.state.number == 0


@pytest.mark.parametrize("point", [[1.0 + 2.0j], np.array([0.0j])])
def test_a_complex_start_is_refused_in_one_line(point: object) -> None:
    with pytest.raises(BadInput, match=r"^start of shape \(1,\) are complex128: only real .*$"):
        follow_gradient(square, square_slope, point, Rule())  # type: ignore[arg-type]


def test_a_complex_gradient_is_refused() -> None:
    with pytest.raises(BadInput, match="gradients of shape"):
        follow_gradient(square, lambda x: 2.0j * x, [1.0], Rule())


@dataclass(frozen=True)
class Watched(OfArrays):
    """A landscape that notes where it was looked at."""

    evaluations: list[Array] = field(default_factory=list)

    def evaluate(self, point: Array) -> tuple[float, Array]:
        self.evaluations.append(point)
        return super().evaluate(point)


def test_every_accepted_step_falls_enough_below_the_highest_of_ten() -> None:
    watched = Watched(valley, valley_slope)
    places = list(follow(watched, np.array([-1.2, 1.0]), Rule(steps=60, tolerance=0)))
    assert len(watched.evaluations) > len(places)  # some were refused
    for number in range(1, len(places)):
        before, now = places[number - 1], places[number]
        highest = max(place.value for place in places[max(0, number - 10) : number])
        slope = float(np.sum(before.gradient**2))
        assert now.value <= highest - 1e-4 * now.state.step * slope + 1e-12
        np.testing.assert_allclose(now.point, before.point - now.state.step * before.gradient, rtol=1e-14)


@settings(max_examples=examples(30), deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.6]), st.booleans(), st.integers(0, 11))
def test_going_on_from_a_trail_gives_the_same_bits(seed: int, momentum: float, fixed: bool, cut: int) -> None:
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(4, 4))
    curvature = root @ root.T + 0.1 * np.eye(4)
    landscape = OfArrays(lambda x: float(x @ curvature @ x), lambda x: 2.0 * curvature @ x)
    rule = Rule(step=0.01 if fixed else None, momentum=momentum, steps=12, tolerance=0)
    start = rng.normal(size=4)
    whole = list(follow(landscape, start, rule))
    kept: Iterate[Array] = whole[min(cut, len(whole) - 1)]
    resumed = list(follow(landscape, kept.point, rule, kept.state))
    for place, again in zip(whole[kept.state.number :], resumed, strict=False):
        assert again.point.tobytes() == place.point.tobytes()
        assert (again.value, again.state.values) == (place.value, place.state.values)
        assert repr(again.state.step) == repr(place.state.step)  # nan at the start
    assert resumed[-1].point.tobytes() == whole[-1].point.tobytes()
