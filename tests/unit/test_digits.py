"""How RMSE and MAE are written: tasks/digits.py.

Covers: digits for sizes of all kinds, figures that are compared, and two that hardly differ.
Does not cover: where they are shown (test_flow.py, test_report.py).
"""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from funkflow.tasks.digits import distinct_figures, rounded

SIZES = st.floats(1e-11, 1e11)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.83594, "0.8359"),
        (1.0, "1.0000"),
        (99.123456, "99.1235"),
        (0.0, "0.0000"),
        (0.000076391, "0.00007639"),
        (0.05123456, "0.05123"),
        (123.456789, "123.457"),
        (38536.1234, "38,536.1"),
        (5_089_545.4, "5,089,545"),
        (math.nan, "nan"),
        (math.inf, "inf"),
        (None, ""),
        (3e-20, "3.000e-20"),
    ],
)
def test_ordinary_figures_have_four_decimals_and_others_digits_that_show_something(
    value: float | None, shown: str
) -> None:
    assert rounded(value) == shown


@given(SIZES)
def test_what_is_shown_is_the_figure_to_four_digits(value: float) -> None:
    assert float(rounded(value).replace(",", "")) == pytest.approx(value, rel=6e-4)


@given(st.lists(SIZES, min_size=2, max_size=5))
def test_figures_side_by_side_have_the_same_decimals(values: list[float]) -> None:
    shown = [rounded(value, *values) for value in values]
    assert len({len(each.partition(".")[2]) for each in shown if "e" not in each}) <= 1


@given(st.floats(1e-6, 1e6), st.floats(1e-6, 1e-2))
def test_two_that_differ_are_shown_so(value: float, share: float) -> None:
    first, second = distinct_figures(value, value * (1 + share))
    assert first != second
    assert distinct_figures(value, value) == (rounded(value), rounded(value))


def test_a_difference_in_the_eighth_decimal_shows() -> None:
    assert distinct_figures(0.91234567, 0.91234568) == ("0.91234567", "0.91234568")
