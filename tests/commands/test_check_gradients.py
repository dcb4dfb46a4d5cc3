"""Difference quotients tell a right gradient from a wrong one, and the command says so by its exit code.

Covers: tasks/training/gradient_check.py, pipeline/commands/check_gradients.py.
Does not cover: the objective's formulas (test_objective.py).
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from sessions import examples

from funkflow.pipeline import cli
from funkflow.pipeline.commands.check_gradients import check
from funkflow.tasks.errors import WrongGradient
from funkflow.tasks.training.gradient_check import is_right, random_problem, sweep_steps, worst_coordinate
from funkflow.tasks.training.objective import Observed, Point, gradients


def flipped(at: Point, data: Observed, l2: float) -> Point:
    """A sign is wrong in dJ/dV."""
    right = gradients(at, data, l2)
    return Point(right.user_factors, -right.item_factors, right.user_biases, right.item_biases)


def without_penalty(at: Point, data: Observed, l2: float) -> Point:
    """The L2 term is forgotten."""
    return gradients(at, data, 0.0)


def halved(at: Point, data: Observed, l2: float) -> Point:
    """The 2 of the square is forgotten, for one bias alone."""
    right = gradients(at, data, l2)
    biases = right.user_biases.copy()
    biases[0] /= 2
    return Point(right.user_factors, right.item_factors, biases, right.item_biases)


def summed_over_both(at: Point, data: Observed, l2: float) -> Point:
    """The slide's double sum: every user gets the sum over all users."""
    right = gradients(at, data, l2)
    every = np.broadcast_to(right.user_factors.sum(axis=0), right.user_factors.shape)
    return Point(every, right.item_factors, right.user_biases, right.item_biases)


@settings(max_examples=examples(25), deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rank=st.integers(1, 6), l2=st.sampled_from([0.0, 0.1, 1.0]))
def test_the_gradients_are_right(seed: int, rank: int, l2: float) -> None:
    problem = random_problem(6, 5, rank, 0.6, l2, seed)
    double = sweep_steps(problem, gradients, "float64", seed=seed)
    assert is_right(double)
    assert double.one_sided_order == pytest.approx(1.0, abs=0.1)
    assert double.central_order == pytest.approx(2.0, abs=0.1)
    worst = worst_coordinate(problem, gradients)
    assert worst.quotient == pytest.approx(worst.analytic, rel=1e-8, abs=1e-8)


def test_rounding_takes_over_where_h_is_small() -> None:
    rows = sweep_steps(random_problem(6, 5, 3, 0.6, 0.1, 0), gradients, "float64").rows
    assert rows[-1].central > 1e3 * min(row.central for row in rows)
    assert rows[-1].one_sided > 1e2 * min(row.one_sided for row in rows)


def test_single_precision_cannot_tell() -> None:
    """Its best quotient is thousands of times as far off, and its errors follow no power of h for long."""
    problem = random_problem(6, 5, 3, 0.6, 0.1, 0)
    double, single = (sweep_steps(problem, gradients, dtype) for dtype in ("float64", "float32"))
    assert single.best.central > 1e4 * double.best.central
    assert math.isnan(single.central_order)


@pytest.mark.parametrize("wrong", [flipped, without_penalty, halved, summed_over_both])
def test_a_wrong_gradient_is_found(wrong: Callable[[Point, Observed, float], Point]) -> None:
    problem = random_problem(6, 5, 3, 0.6, 0.1, 1)
    assert not is_right(sweep_steps(problem, wrong, "float64"))
    worst = worst_coordinate(problem, wrong)
    assert abs(worst.analytic - worst.quotient) > 1e-3


def test_a_wrong_gradient_ends_the_command_with_one_line() -> None:
    said = io.StringIO()
    with pytest.raises(
        WrongGradient, match=r"^the gradient is not that .* at item_factors\[\d, \d\] it is .*$"
    ) as error:
        check(random_problem(6, 5, 3, 0.6, 0.1, 0), flipped, 0, Console(file=said, width=120))
    assert error.value.exit_code == 1
    assert "1e-05" in said.getvalue()  # the table is there to be looked at


def test_the_command_prints_the_table_and_both_orders(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli._exit_code(["check-gradients", "--rank", "4", "--seed", "7"]) == 0
    said = capsys.readouterr().out
    for words in ("one-sided", "central", "1e-12", "falls as h^1.0", "the central one as h^2.00", "32 bits only"):
        assert words in said
