"""The rule a <- a - step * gradient of F at a, run to convergence or to its limit of steps, with the reason said.

Covers: fixed steps and backtracking ones, momentum, and why it ended; for any F whose points can be moved and have
inner products: a NumPy array here, or shards on many workers (pipeline/training/batch_graph.py).
Does not cover: any F in particular (objective.py), or a decision to stop that F itself does not show, such as early
stopping on validation (pipeline/training/batch.py).

Backtracking accepts a step under the condition of Armijo (1966), which F must meet against the greatest of its last
ten values (Grippo, Lampariello and Lucidi 1986), and tries first the step of Barzilai and Borwein (1988): the inverse
of the curvature that was met along the last step. Momentum is Polyak's heavy ball (1964).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from funkflow.tasks.training.objective import refuse_complex

V = TypeVar("V")
Array = npt.NDArray[np.float64]

_ARMIJO = 1e-4
"""Part of the fall that the slope promises which a step must bring."""
_REMEMBERED = 10
"""Values of F that a new one is held against: a step may rise above the last one, so that long steps get through."""
_MOST_TRIALS = 40
_FURTHEST_CUT, _LEAST_CUT = 0.1, 0.5
"""A step that is refused is cut to between these parts of itself."""
_FLAT_GROWTH = 2.0
"""Growth of the step where F does not curve upwards along it, so that the inverse curvature says nothing."""
_ROUNDING = 2.0**-46
"""Part of F within which its differences are rounding: there the slope decides (Hager and Zhang 2005)."""
_GONE = 1e6
"""Times its first value that F may reach before the steps are taken to diverge."""


class Reason(Enum):
    """Why the rule ended. The value is what a person is told."""

    CONVERGED = "converged: the gradient has vanished, to the tolerance"
    STEP_LIMIT = "the limit of steps is reached"
    DIVERGED = "diverged: F grows from step to step"
    NO_DESCENT = "no step along the gradient lowers F any further"


@dataclass(frozen=True)
class Rule:
    """How to step.

    Attributes
    ----------
    step : fixed step, in units of a over units of the gradient; None: backtracking.
    momentum : part of the last direction that is kept, from 0 to below 1.
    steps : the most that are taken.
    tolerance : the gradient counts as vanished at this part of the greatest norm it had.
    """

    step: float | None = None
    momentum: float = 0.0
    steps: int = 10_000
    tolerance: float = 1e-8


class Objective(Protocol[V]):
    """F, and what the rule needs to do with its points and gradients."""

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
    """What the next step needs to know of those before it: with it and the point, the rule goes on as if never stopped.

    `number` : of the last step, 0 at the start; `step` : its length along `direction`, which it went against (None at
    the start), whose square is `direction_square`, and along which F fell by `slope` a unit when it began.
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
    """Where the rule is after a step: the point, F and its gradient there, and the reason if it ends here.

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
    """Yield the start and the place after each step; the last one has a reason.

    Parameters
    ----------
    state : of an earlier place, with `start` its point: goes on from there, to the same numbers.
    """
    # The start is looked at anew, so its value comes anew, too.
    before: DescentState[V] = replace(state, values=state.values[:-1]) if state else DescentState()
    place = _arrive(objective, start, objective.evaluate(start), before, rule)
    yield place
    while place.reason is None:
        place = _step(objective, place, rule)
        yield place


def follow_gradient(
    function: Callable[[Array], float], gradient: Callable[[Array], npt.ArrayLike], start: npt.ArrayLike, rule: Rule
) -> tuple[Iterate[Array], list[float]]:
    """Follow the gradient of a function of one array, float64 of any shape; return the last place and F on the way.

    Raises
    ------
    BadInput
        The start or the gradient is complex.
    """
    refuse_complex(np.asarray(start), "start")
    places = list(follow(OfArrays(function, gradient), np.asarray(start, np.float64), rule))
    return places[-1], [place.value for place in places]


@dataclass(frozen=True)
class OfArrays:
    """The objective of a plain function of one array."""

    function: Callable[[Array], float]
    gradient: Callable[[Array], npt.ArrayLike]

    def evaluate(self, point: Array) -> tuple[float, Array]:
        slope = np.asarray(self.gradient(point))
        refuse_complex(slope, "gradients")
        return float(self.function(point)), np.asarray(slope, np.float64)

    def moved(self, point: Array, by: float, along: Array) -> Array:
        with np.errstate(over="ignore", invalid="ignore"):  # a step that leads to infinity is seen by F there
            return np.asarray(point + by * along)

    def inner_products(self, pairs: Sequence[tuple[Array, Array]]) -> list[float]:
        with np.errstate(over="ignore", invalid="ignore"):
            return [float(np.sum(left * right)) for left, right in pairs]


def _step(objective: Objective[V], place: Iterate[V], rule: Rule) -> Iterate[V]:
    direction, square, slope = _direction(objective, place, rule)
    state = replace(place.state, direction=direction, direction_square=square, slope=slope)
    if rule.step is not None:
        point = objective.moved(place.point, -rule.step, direction)
        return _arrive(objective, point, objective.evaluate(point), _after(state, rule.step), rule)
    step, reference = _first_trial(objective, place, slope), max(place.state.values)
    for _ in range(_MOST_TRIALS):
        point = objective.moved(place.point, -step, direction)
        seen = objective.evaluate(point)
        if _falls_enough(objective, seen, direction, reference, step, slope):
            return _arrive(objective, point, seen, _after(state, step), rule)
        step = _cut(step, place.value, slope, seen[0])
    return replace(place, reason=Reason.NO_DESCENT)


def _falls_enough(
    objective: Objective[V], seen: tuple[float, V], direction: V, reference: float, step: float, slope: float
) -> bool:
    """Say whether a step is accepted: F fell; or, where rounding hides that, the slope along the step did."""
    value, gradient = seen
    if value < reference - _ARMIJO * step * slope:
        return True
    if not abs(value - reference) <= _ROUNDING * abs(reference):
        return False
    (left,) = objective.inner_products([(gradient, direction)])
    return abs(left) < slope


def _direction(objective: Objective[V], place: Iterate[V], rule: Rule) -> tuple[V, float, float]:
    """Return what to go against, its square, and its inner product with the gradient.

    A line search needs a way down, so there momentum that would lead uphill is dropped.
    """
    before, square, momentum = place.state, place.gradient_square, rule.momentum
    slope = square + momentum * place.along
    if not momentum or before.direction is None or (slope <= 0.0 and rule.step is None):
        return place.gradient, square, square
    direction = objective.moved(place.gradient, momentum, before.direction)
    return direction, square + 2.0 * momentum * place.along + momentum**2 * before.direction_square, slope


def _first_trial(objective: Objective[V], place: Iterate[V], slope: float) -> float:
    """Return the inverse curvature along the last step; to begin with, a step as long as the point."""
    state = place.state
    if state.direction is None:
        (length_square,) = objective.inner_products([(place.point, place.point)])
        return math.sqrt((length_square or 1.0) / slope)
    curvature = state.slope - place.along
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


def _arrive(objective: Objective[V], point: V, seen: tuple[float, V], state: DescentState[V], rule: Rule) -> Iterate[V]:
    """Return the place at a point just looked at, with what is remembered brought up to date and the reason to end."""
    value, gradient = seen
    pairs = [(gradient, gradient), *([] if state.direction is None else [(gradient, state.direction)])]
    square, *along = objective.inner_products(pairs)
    state = replace(
        state,
        values=(*state.values, value)[-_REMEMBERED:],
        first_value=value if math.isnan(state.first_value) else state.first_value,
        greatest_square=max(state.greatest_square, square),
    )
    place = Iterate(point, value, gradient, square, along[0] if along else 0.0, state)
    return replace(place, reason=_reason(place, rule))


def _reason(place: Iterate[Any], rule: Rule) -> Reason | None:
    state = place.state
    if not math.isfinite(place.value) or not math.isfinite(place.gradient_square):
        return Reason.DIVERGED
    if place.value > state.first_value + _GONE * abs(state.first_value):
        return Reason.DIVERGED
    if math.sqrt(place.gradient_square) <= rule.tolerance * math.sqrt(state.greatest_square):
        return Reason.CONVERGED
    return Reason.STEP_LIMIT if state.number >= rule.steps else None
