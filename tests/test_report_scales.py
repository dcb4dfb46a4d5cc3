"""The axes of the report's figures, for any range of values.

Covers: pipeline/report/scales.py. Does not cover: figures and pages (test_report.py).
"""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.scales import Scale, padded, written

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


@pytest.mark.parametrize(("value", "words"), [(0.85, "0.85"), (20_000, "20 k"), (1.5e6, "1.5 M"), (2e9, "2 G")])
def test_numbers_are_written_short(value: float, words: str) -> None:
    assert written(value) == words


def test_a_range_has_room_and_is_never_empty() -> None:
    assert padded([1.0, 3.0], 0.1) == pytest.approx((0.8, 3.2))
    low, high = padded([2.0, 2.0])
    assert low < 2.0 < high
    assert padded([]) == pytest.approx((-0.06, 1.06))
