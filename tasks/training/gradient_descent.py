"""Gradient descent, a <- a - step * gradient of F at a, to convergence or to the limit of steps.

Covers: fixed and backtracking steps, momentum, and the reason for ending; for any F whose points can be moved and have
inner products: a NumPy array here, or shards on many workers (pipeline/training/methods/batch_graph.py).
Does not cover: a particular F (objective.py), early stopping (pipeline/training/methods/batch.py).

Backtracking accepts a step under the condition of Armijo (1966), against the greatest of the last ten values of F
(Grippo, Lampariello and Lucidi 1986), and first tries the step of Barzilai and Borwein (1988): the inverse of the
curvature along the last step. Momentum is Polyak's heavy ball (1964).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from funkflow.tasks.training.objective import check_real

V = TypeVar("V")
Array = npt.NDArray[np.float64]

_ARMIJO = 1e-4
"""Part of the fall that the slope promises which a step must bring."""
_REMEMBERED = 10
"""Values of F that a new one is compared with: it can be above the last one, so that long steps pass."""
_MOST_TRIALS = 40
_FURTHEST_CUT, _LEAST_CUT = 0.1, 0.5
"""A refused step is cut to between these parts of itself."""
_FLAT_GROWTH = 2.0
"""Growth of the step where F does not curve upwards along it, so that the inverse curvature has no meaning."""
_ROUNDING = 2.0**-46
"""Part of F within which its differences are rounding: there the slope decides (Hager and Zhang 2005)."""
_DIVERGED = 1e6
"""The steps diverge if F rises above its first value times this."""


class Reason(Enum):
    """The reason for ending; the value is for people."""

    CONVERGED = "converged: the gradient vanished, to the tolerance"
    STEP_LIMIT = "reached the limit of steps"
    DIVERGED = "diverged: F grows from step to step"
    NO_DESCENT = "no step along the gradient lowers F any further"


@dataclass(frozen=True)
class Rule:
    """The numbers of the step rule.

    Attributes
    ----------
    step : fixed step, in units of a over units of the gradient; None: backtracking.
    momentum : part of the last direction that is kept, from 0 to below 1.
    steps : limit of steps.
    tolerance : the gradient counts as vanished at this part of its greatest norm so far.
    """

    step: float | None = None
    momentum: float = 0.0
    steps: int = 10_000
    tolerance: float = 1e-8


class Objective(Protocol[V]):
    """F, and the operations on its points and gradients."""

    def evaluate(self, point: V) -> tuple[float, V]:
        """Return F and its gradient at a point."""
        ...

    def moved(self, point: V, by: float, along: V) -> V:
        """Return point + by * along; the inputs stay as they are."""
        ...

    def inner_products(self, pairs: Sequence[tuple[V, V]]) -> list[float]:
        """Return the inner product of each pair."""
        ...


@dataclass(frozen=True)
class DescentState(Generic[V]):
    """The state of a descent: with it and the point, the rule resumes with the same numbers.

    `number` : of the last step, 0 at the start; `step` : its length against `direction` (None at the start);
    `direction_square` : the square of the direction; `slope` : the fall of F a unit at the beginning of the step.
    `values` : F at the last points; `first_value` : at the start; `greatest_square` : of any gradient so far.
    """

    number: int = 0
    step: float = math.nan
    direction: V | None = None
    direction_square: float = 0.0
    slope: float = 0.0
    values: tuple[float, ...] = ()
    first_value: float = math.nan
    greatest_square: float = 0.0


@dataclass(frozen=True)
class Iterate(Generic[V]):
    """The result of a step: the point, F and its gradient there, and the reason if the rule ends here.

    `gradient_square` : |gradient|^2; `along` : its inner product with the last direction.
    """

    point: V
    value: float
    gradient: V
    gradient_square: float
    along: float
    state: DescentState[V]
    reason: Reason | None = None


def follow(objective: Objective[V], start: V, rule: Rule, state: DescentState[V] | None = None) -> Iterator[Iterate[V]]:
    """Yield the start and the iterate after each step; the last one has a reason.

    Parameters
    ----------
    state : of an earlier iterate, with `start` its point: the rule resumes there, with the same numbers.
    """
    # The start is evaluated again, so its value is added again, too.
    before: DescentState[V] = replace(state, values=state.values[:-1]) if state else DescentState()
    iterate = _arrive(objective, start, objective.evaluate(start), before, rule)
    yield iterate
    while iterate.reason is None:
        iterate = _step(objective, iterate, rule)
        yield iterate


def follow_gradient(
    function: Callable[[Array], float], gradient: Callable[[Array], npt.ArrayLike], start: npt.ArrayLike, rule: Rule
) -> tuple[Iterate[Array], list[float]]:
    """Follow the gradient of a function of one array, float64 of any shape; return the last iterate and all F.

    Raises
    ------
    BadInput
        The start or the gradient is complex.
    """
    check_real(np.asarray(start), "start")
    iterates = list(follow(OfArrays(function, gradient), np.asarray(start, np.float64), rule))
    return iterates[-1], [iterate.value for iterate in iterates]


@dataclass(frozen=True)
class OfArrays:
    """The objective of a function of one array."""

    function: Callable[[Array], float]
    gradient: Callable[[Array], npt.ArrayLike]

    def evaluate(self, point: Array) -> tuple[float, Array]:
        slope = np.asarray(self.gradient(point))
        check_real(slope, "gradients")
        return float(self.function(point)), np.asarray(slope, np.float64)

    def moved(self, point: Array, by: float, along: Array) -> Array:
        with np.errstate(over="ignore", invalid="ignore"):  # F shows a step to infinity
            return np.asarray(point + by * along)

    def inner_products(self, pairs: Sequence[tuple[Array, Array]]) -> list[float]:
        with np.errstate(over="ignore", invalid="ignore"):
            return [float(np.sum(left * right)) for left, right in pairs]


def _step(objective: Objective[V], iterate: Iterate[V], rule: Rule) -> Iterate[V]:
    direction, square, slope = _step_direction(objective, iterate, rule)
    state = replace(iterate.state, direction=direction, direction_square=square, slope=slope)
    if rule.step is not None:
        point = objective.moved(iterate.point, -rule.step, direction)
        return _arrive(objective, point, objective.evaluate(point), _after(state, rule.step), rule)
    step, reference = _first_trial(objective, iterate, slope), max(iterate.state.values)
    for _ in range(_MOST_TRIALS):
        point = objective.moved(iterate.point, -step, direction)
        found = objective.evaluate(point)
        if _falls_enough(objective, found, state, reference, step):
            return _arrive(objective, point, found, _after(state, step), rule)
        step = _cut(step, iterate.value, slope, found[0])
    return replace(iterate, reason=Reason.NO_DESCENT)


def _falls_enough(
    objective: Objective[V], found: tuple[float, V], state: DescentState[V], reference: float, step: float
) -> bool:
    """Return whether to accept a step along the state's direction: F fell; or the slope, if rounding hides that."""
    (value, gradient), direction, slope = found, state.direction, state.slope
    assert direction is not None
    if value < reference - _ARMIJO * step * slope:
        return True
    if not abs(value - reference) <= _ROUNDING * abs(reference):
        return False
    (left,) = objective.inner_products([(gradient, direction)])
    return abs(left) < slope


def _step_direction(objective: Objective[V], iterate: Iterate[V], rule: Rule) -> tuple[V, float, float]:
    """Return the direction to step against, its square, and its inner product with the gradient.

    A line search must go down, so it drops momentum that leads uphill.
    """
    before, square, momentum = iterate.state, iterate.gradient_square, rule.momentum
    slope = square + momentum * iterate.along
    if not momentum or before.direction is None or (slope <= 0.0 and rule.step is None):
        return iterate.gradient, square, square
    direction = objective.moved(iterate.gradient, momentum, before.direction)
    return direction, square + 2.0 * momentum * iterate.along + momentum**2 * before.direction_square, slope


def _first_trial(objective: Objective[V], iterate: Iterate[V], slope: float) -> float:
    """Return the inverse curvature along the last step; for the first step, the length of the point."""
    state = iterate.state
    if state.direction is None:
        (length_square,) = objective.inner_products([(iterate.point, iterate.point)])
        return math.sqrt((length_square or 1.0) / slope)
    curvature = state.slope - iterate.along
    return state.step * (state.direction_square / curvature if curvature > 0.0 else _FLAT_GROWTH)


def _cut(step: float, value: float, slope: float, reached: float) -> float:
    """Return the step at which the parabola through both values and the slope is lowest, within bounds."""
    if not math.isfinite(reached):
        return _FURTHEST_CUT * step
    excess = reached - value + step * slope
    lowest = step**2 * slope / (2.0 * excess) if excess > 0.0 else _LEAST_CUT * step
    return min(max(lowest, _FURTHEST_CUT * step), _LEAST_CUT * step)


def _after(state: DescentState[V], step: float) -> DescentState[V]:
    return replace(state, number=state.number + 1, step=step)


def _arrive(
    objective: Objective[V], point: V, found: tuple[float, V], state: DescentState[V], rule: Rule
) -> Iterate[V]:
    """Return the iterate at a point, from F and its gradient there, with the updated state and the reason to end."""
    value, gradient = found
    pairs = [(gradient, gradient), *([] if state.direction is None else [(gradient, state.direction)])]
    square, *along = objective.inner_products(pairs)
    state = replace(
        state,
        values=(*state.values, value)[-_REMEMBERED:],
        first_value=value if math.isnan(state.first_value) else state.first_value,
        greatest_square=max(state.greatest_square, square),
    )
    product = along[0] if along else 0.0
    iterate = Iterate(point, value, gradient, gradient_square=square, along=product, state=state)
    return replace(iterate, reason=_reason(iterate, rule))


def _reason(iterate: Iterate[Any], rule: Rule) -> Reason | None:
    state = iterate.state
    if not math.isfinite(iterate.value) or not math.isfinite(iterate.gradient_square):
        return Reason.DIVERGED
    if iterate.value > state.first_value + _DIVERGED * abs(state.first_value):
        return Reason.DIVERGED
    if math.sqrt(iterate.gradient_square) <= rule.tolerance * math.sqrt(state.greatest_square):
        return Reason.CONVERGED
    return Reason.STEP_LIMIT if state.number >= rule.steps else None
