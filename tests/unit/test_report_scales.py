"""The axes of the report's figures, for any range of values.

Covers: pipeline/results/report/axes.py: which numbers and months are marked, and how they are written.
Does not cover: figures and pages (test_report.py).
"""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from funkflow.pipeline.results.report.axes import Scale, axis_words, from_zero, month_ticks, padded

LOWS = st.floats(-1e6, 1e6)
SPANS = st.floats(1e-3, 1e6)


@given(LOWS, SPANS)
def test_linear_axes_have_some_round_numbers_within(low: float, span: float) -> None:
    scale = Scale(low, low + span, 0.0, 100.0)
    ticks = scale.ticks()
    assert 2 <= len(ticks) <= 7
    assert all(low - 1e-6 * span <= each <= low + span * (1 + 1e-6) for each in ticks)
    places = [scale.at(each) for each in ticks]
    assert all(later > earlier for earlier, later in itertools.pairwise(places))


@given(st.floats(1e-9, 1e9), st.floats(3.0, 1e9))
def test_logarithmic_axes_too_however_few_decades(low: float, ratio: float) -> None:
    scale = Scale(low, low * ratio, 100.0, 0.0, log=True)
    ticks = scale.ticks()
    assert 2 <= len(ticks) <= 7
    assert all(low * (1 - 1e-9) <= each <= low * ratio * (1 + 1e-9) for each in ticks)
    assert all(0.0 <= scale.at(each) <= 100.0 for each in ticks)


def test_ends_lie_at_the_ends_and_one_value_in_the_middle() -> None:
    assert [Scale(1.0, 5.0, 10.0, 50.0).at(value) for value in (1.0, 3.0, 5.0)] == [10.0, 30.0, 50.0]
    assert Scale(1.0, 100.0, 0.0, 10.0, log=True).at(10.0) == 5.0
    assert Scale(2.0, 2.0, 0.0, 10.0).at(2.0) == 5.0


@given(LOWS, SPANS, st.sampled_from([4, 5, 6, 7, 8]))
def test_ticks_are_multiples_of_one_two_or_five(low: float, span: float, most: int) -> None:
    ticks = Scale(low, low + span, 0.0, 100.0).ticks(most)
    steps = [later - earlier for earlier, later in itertools.pairwise(ticks)]
    for step in steps[:1]:
        mantissa = step / 10.0 ** math.floor(math.log10(step) + 1e-6)
        assert min(abs(mantissa - each) for each in (1, 2, 5)) < 1e-3
    assert all(math.isclose(step, steps[0], rel_tol=1e-3) for step in steps)


@pytest.mark.parametrize(
    ("ticks", "words"),
    [
        ([0.0, 5_000.0, 10_000.0], ["0", "5\u00a0k", "10\u00a0k"]),
        ([0.0, 500.0, 1_000.0, 1_500.0], ["0", "500", "1,000", "1,500"]),
        ([0.8, 0.85, 0.9], ["0.80", "0.85", "0.90"]),
        ([-1.0, -0.5, 0.0, 0.5], ["\u22121.0", "\u22120.5", "0", "0.5"]),
        ([1e6, 1.5e6, 2e6], ["1.0\u00a0M", "1.5\u00a0M", "2.0\u00a0M"]),
        ([0.0, 2e9], ["0", "2\u00a0G"]),
        ([1.0, 100.0, 10_000.0], ["1", "100", "10,000"]),
        ([2e-7, 4e-7], ["2e\u221207", "4e\u221207"]),
        ([], []),
    ],
)
def test_the_numbers_of_an_axis_are_written_in_one_way(ticks: list[float], words: list[str]) -> None:
    assert axis_words(ticks) == words


@given(st.lists(st.floats(-1e6, 1e6), min_size=1))
def test_bars_have_zero_and_all_values_in_their_range(values: list[float]) -> None:
    low, high = from_zero(values)
    assert low <= min(0.0, *values)
    assert high >= max(0.0, *values)
    assert high > low


def test_months_are_marked_by_januaries_where_there_are_years_of_them() -> None:
    months = [f"{year}-{number:02d}" for year in (2000, 2001, 2002) for number in range(1, 13)][3:]
    assert month_ticks(months) == [(9, "2001"), (21, "2002")]
    assert month_ticks(months[:12]) == [(0, "Apr 2000"), (3, "Jul 2000"), (6, "Oct 2000"), (9, "Jan 2001")]
    assert month_ticks(["2000-02"]) == [(0, "Feb 2000")]
    assert month_ticks([]) == []


def test_a_range_has_room_and_is_never_empty() -> None:
    assert padded([1.0, 3.0], 0.1) == pytest.approx((0.8, 3.2))
    low, high = padded([2.0, 2.0])
    assert low < 2.0 < high
    assert padded([]) == pytest.approx((-0.06, 1.06))
