"""A check of gradients by difference quotients, over a sweep of the step h, in double and in single precision.

Covers: a small random problem, the worst error of one-sided and central quotients at each h, the order in which it
falls with h, and whether that proves the gradient right.
Does not cover: the objective (objective.py), printing the table (pipeline/commands/check_gradients.py).

By Taylor's theorem (F(a + h) - F(a)) / h is off by h F''/2 and (F(a + h) - F(a - h)) / 2h by h^2 F'''/6; rounding adds
about (the precision) |F| / h to both. So the error falls as h or h^2, and rises again as 1/h once h is small.

Along a single coordinate J is a parabola, whose central quotient is exact at any h: that finds a wrong coordinate, but
h^2 shows only along directions that move U and V together, where J is of the fourth degree. So the sweep goes along
random directions, and checks each coordinate once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from funkflow.tasks.training.objective import Gradients, Observed, Point, objective

STEPS = tuple(10.0**-exponent for exponent in range(1, 13))
RIGHT = 1e-8
"""Greatest error of the best central quotient in float64 of a right gradient. Right ones have some 1e-11; a wrong term
gives orders of magnitude more."""
_COORDINATE_STEP = 1e-2
_LEFT_BY_ROUNDING = 30.0
"""An error of more than this times the estimated rounding error belongs to the quotient."""


@dataclass(frozen=True)
class Problem:
    """A point, ratings, and the L2 term."""

    at: Point
    data: Observed
    l2: float

    def of(self, dtype: npt.DTypeLike) -> Problem:
        """Return the same problem with all numbers rounded to another precision."""
        at = Point(*(values.astype(dtype) for values in vars(self.at).values()))
        return Problem(at, Observed(self.data.users, self.data.items, self.data.ratings.astype(dtype)), self.l2)


@dataclass(frozen=True)
class SweepRow:
    """The worst errors over all directions at one h, as part of the greatest slope along any of them."""

    h: float
    one_sided: float
    central: float


@dataclass(frozen=True)
class Sweep:
    """All rows of one precision. The orders are the powers of h in the errors; nan if rounding hides them."""

    dtype: str
    rows: tuple[SweepRow, ...]
    one_sided_order: float
    central_order: float

    @property
    def best(self) -> SweepRow:
        """The row whose central quotient is closest."""
        return min(self.rows, key=lambda row: row.central)


@dataclass(frozen=True)
class Coordinate:
    """One coordinate, such as item_factors[2, 0]: the analytic slope there, and the central quotient."""

    name: str
    analytic: float
    quotient: float


def random_problem(users: int, items: int, rank: int, part: float, l2: float, seed: int) -> Problem:
    """Return normal factors, biases and ratings, every user and item with at least one rating.

    part : observed part of all entries.
    """
    rng = np.random.default_rng(seed)
    observed = rng.random((users, items)) < part
    observed[np.arange(users), np.arange(users) % items] = True
    observed[np.arange(items) % users, np.arange(items)] = True
    rows, columns = np.nonzero(observed)
    at = Point(
        rng.normal(size=(users, rank)), rng.normal(size=(items, rank)), rng.normal(size=users), rng.normal(size=items)
    )
    return Problem(at, Observed(rows, columns, rng.normal(size=len(rows))), l2)


def sweep_steps(problem: Problem, gradients: Gradients, dtype: str, directions: int = 8, seed: int = 0) -> Sweep:
    """Compare a gradient with difference quotients of the objective along random directions, at each h of `STEPS`.

    Parameters
    ----------
    dtype : float64 or float32, the precision of the objective; that of the gradient is always float64.
    """
    exact = gradients(problem.at, problem.data, problem.l2)
    drawn = np.random.default_rng(seed)
    ways = [_random_direction(problem.at, drawn) for _ in range(directions)]
    slopes = [_inner(exact, way) for way in ways]
    largest = max(abs(slope) for slope in slopes)
    rounded = problem.of(dtype)
    here = _value(rounded)
    rows = []
    for h in STEPS:
        pairs = [(_value(rounded, way, h), _value(rounded, way, -h)) for way in ways]
        errors = [
            (abs((above - here) / h - slope) / largest, abs((above - below) / (2.0 * h) - slope) / largest)
            for (above, below), slope in zip(pairs, slopes, strict=True)
        ]
        rows.append(SweepRow(h, *(max(each) for each in zip(*errors, strict=True))))
    rounding = [float(np.finfo(dtype).eps) * abs(here) / (h * largest) for h in STEPS]
    orders = (_order_of([getattr(row, name) for row in rows], rounding) for name in ("one_sided", "central"))
    return Sweep(dtype, tuple(rows), *orders)


def is_right(double: Sweep) -> bool:
    """Return whether a sweep in float64 proves the gradient right: errors fall far enough, and as h and h^2."""
    orders = abs(double.one_sided_order - 1.0) < 0.2 and abs(double.central_order - 2.0) < 0.2
    return double.best.central < RIGHT and orders


def worst_coordinate(problem: Problem, gradients: Gradients) -> Coordinate:
    """Return the coordinate where a gradient and the central quotient, in float64, differ most."""
    exact = vars(gradients(problem.at, problem.data, problem.l2))
    found = [
        Coordinate(f"{name}[{', '.join(map(str, place))}]", float(slopes[place]), _quotient(problem, name, place))
        for name, slopes in exact.items()
        for place in np.ndindex(slopes.shape)
    ]
    return max(found, key=lambda each: abs(each.analytic - each.quotient))


def _quotient(problem: Problem, name: str, place: tuple[int, ...]) -> float:
    unit = {each: np.zeros_like(values) for each, values in vars(problem.at).items()}
    unit[name][place] = 1.0
    above, below = (_value(problem, Point(**unit), sign * _COORDINATE_STEP) for sign in (1, -1))
    return (above - below) / (2.0 * _COORDINATE_STEP)


def _value(problem: Problem, way: Point | None = None, by: float = 0.0) -> float:
    """Return the objective at the point, or at a distance along a direction, in the precision of the point."""
    at = problem.at
    if way is not None:
        dtype = at.user_factors.dtype.type
        pairs = zip(vars(at).values(), vars(way).values(), strict=True)
        at = Point(*(values + dtype(by) * along.astype(dtype) for values, along in pairs))
    return objective(at, problem.data, problem.l2)


def _random_direction(at: Point, drawn: np.random.Generator) -> Point:
    return Point(*(drawn.normal(size=values.shape) for values in vars(at).values()))


def _inner(left: Point, right: Point) -> float:
    return sum(float(np.sum(a * b)) for a, b in zip(vars(left).values(), vars(right).values(), strict=True))


def _order_of(errors: list[float], rounding: list[float]) -> float:
    """Return the slope of log error over log h, without errors by rounding; nan with less than three others."""
    own = [
        (math.log(h), math.log(error))
        for h, error, least in zip(STEPS, errors, rounding, strict=True)
        if error > _LEFT_BY_ROUNDING * least
    ]
    if len(own) < 3:
        return math.nan
    x, y = np.array(own).T
    return float(np.polyfit(x, y, 1)[0])
