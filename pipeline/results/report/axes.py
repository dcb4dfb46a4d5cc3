"""The arithmetic of axes: round numbers to mark, positions of values, and the writing of numbers.

Covers: linear and logarithmic axes, and months. Does not cover: drawing (charts.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from funkflow.pipeline.progress.words import month, signed

_STEPS = (1.0, 2.0, 5.0, 10.0)
_MONTH_STEPS = (1, 2, 3, 6, 12, 24, 60, 120, 240, 600)
_UNITS = ((1e9, "\u00a0G"), (1e6, "\u00a0M"), (1e4, "\u00a0k"))
_MOST_DECIMALS = 12
_LEAST_SPAN = 1e-300
"""A smaller span has no steps in float64."""
_OVER = 0.1
"""The part of a step that a bar may rise above the last round number."""


@dataclass(frozen=True)
class Scale:
    """A map from values, `low` to `high`, to positions, `start` to `end`. `log` : equal decades."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """Return the position of a value."""
        low, high, value = (math.log10(each) for each in (self.low, self.high, value)) if self.log else (
            self.low, self.high, value
        )  # fmt: skip
        share = (value - low) / (high - low) if high > low else 0.5
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self, most: int = 6) -> list[float]:
        """Return round numbers within, at most about `most` of them."""
        return _decade_ticks(self.low, self.high, most) if self.log else round_numbers(self.low, self.high, most)


def _tick_step(span: float, most: int) -> float:
    unit = 10.0 ** math.floor(math.log10(span / most))
    return next((unit * each for each in _STEPS if span / (unit * each) <= most), unit * 10)


def round_numbers(low: float, high: float, most: int) -> list[float]:
    """Return multiples of 1, 2 or 5 times a power of ten from `low` to `high`."""
    span = high - low
    if span < _LEAST_SPAN or not math.isfinite(span):
        return [low]
    step = _tick_step(span, most)
    first = math.ceil(low / step - 1e-9)
    count = math.floor(high / step + 1e-9) - first + 1
    return [round((first + number) * step, _MOST_DECIMALS) for number in range(max(0, count))] or [low]


def from_zero(values: Sequence[float], most: int = 5) -> tuple[float, float]:
    """Return a range for bars: with zero, and with ends at round numbers or a little beyond."""
    low, high = min(0.0, *values), max(0.0, *values)
    if high - low < _LEAST_SPAN:
        return (low, high) if high > low else (0.0, 1.0)
    step = _tick_step(high - low, most)
    ends = math.floor(low / step + _OVER) * step, math.ceil(high / step - _OVER) * step
    return min(ends[0], low), max(ends[1], high)


def _decade_ticks(low: float, high: float, most: int) -> list[float]:
    if high < 10.0 * low:  # less than a decade: even steps are better
        return round_numbers(low, high, most)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found: list[float] = []
    for factors in ((1, 2, 5), (1,)):
        found = [each for power in powers for factor in factors if low <= (each := factor * 10.0**power) <= high]
        if len(found) <= most:
            break
    return found[:: max(1, -(-len(found) // most))] or [low]


def padded(values: Sequence[float], share: float = 0.06) -> tuple[float, float]:
    """Return the range of the values, a little wider."""
    known = [value for value in values if math.isfinite(value)]
    low, high = min(known, default=0.0), max(known, default=1.0)
    room = share * (high - low) or abs(high) * share or 1.0
    return low - room, high + room


def axis_words(ticks: Sequence[float]) -> list[str]:
    """Write the numbers of an axis with one unit, as 0, 5 k, 10 k, and as many decimals, as 0.80, 0.85."""
    largest = max((abs(tick) for tick in ticks), default=0.0)
    least = min((abs(tick) for tick in ticks if tick), default=1.0)
    if largest >= 1e12 or least < 1e-5:
        return [signed(f"{tick:g}") for tick in ticks]
    if least < largest / 1e3:  # decades would get different units
        return [f"{tick:,.10g}" for tick in ticks]
    size, unit = next(((size, unit) for size, unit in _UNITS if largest >= size), (1.0, ""))
    size = 1e3 if size == 1e4 else size
    decimals = max((_decimals(tick / size, largest / size) for tick in ticks), default=0)
    return [signed(f"{tick / size:,.{decimals}f}{unit}") if tick else "0" for tick in ticks]


def _decimals(value: float, largest: float) -> int:
    """Return the number of decimals of a round number."""
    places = range(_MOST_DECIMALS)
    return next((n for n in places if abs(round(value, n) - value) <= 1e-9 * largest), _MOST_DECIMALS)


def month_ticks(months: Sequence[str], most: int = 5) -> list[tuple[int, str]]:
    """Return the months to mark, by index among months as 2000-04, with their words, at even distances."""
    numbers = [12 * int(year) + int(number) - 1 for year, number in (each.rsplit("-", 1) for each in months)]
    if not numbers:
        return []
    step = next((each for each in _MONTH_STEPS if (numbers[-1] - numbers[0]) / each < most), _MONTH_STEPS[-1])
    chosen = [place for place, number in enumerate(numbers) if number % step == 0] or [0]
    return [(place, months[place][:4] if step >= 12 else month(months[place], short=True)) for place in chosen]
