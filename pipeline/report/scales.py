"""The arithmetic of axes: round numbers to mark, where values lie, and how numbers are written.

Covers: linear and logarithmic axes. Does not cover: drawing (charts.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Scale:
    """From `low` and `high` in the values' unit to `start` and `end` in the drawing's. `log` : decades are even."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """Return where a value lies."""
        low, high, value = (math.log10(each) for each in (self.low, self.high, value)) if self.log else (
            self.low, self.high, value
        )  # fmt: skip
        share = (value - low) / (high - low) if high > low else 0.5
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self, most: int = 6) -> list[float]:
        """Return round numbers within, at most about `most` of them."""
        return _decades(self.low, self.high, most) if self.log else round_numbers(self.low, self.high, most)


def round_numbers(low: float, high: float, most: int) -> list[float]:
    """Return multiples of 1, 2, 2.5 or 5 times a power of ten from `low` to `high`."""
    span = high - low
    if span <= 0 or not math.isfinite(span):
        return [low]
    unit = 10.0 ** math.floor(math.log10(span / most))
    step = next((unit * each for each in _STEPS if span / (unit * each) <= most), unit * 10)
    first = math.ceil(low / step - 1e-9)
    count = math.floor(high / step + 1e-9) - first + 1
    return [round((first + number) * step, 12) for number in range(max(0, count))] or [low]


def _decades(low: float, high: float, most: int) -> list[float]:
    if high < 10.0 * low:  # so few that even numbers do better
        return round_numbers(low, high, most)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [10.0**power for power in powers]
    for factors in ((1, 2, 5), (1, 3), (1,)):
        found = [each for power in powers for factor in factors if low <= (each := factor * 10.0**power) <= high]
        if len(found) <= most:
            break
    return found[:: max(1, -(-len(found) // most))] or [low]


def padded(values: Sequence[float], share: float = 0.06, at_least: float | None = None) -> tuple[float, float]:
    """Return the range of the values with some room; from `at_least` on where that is given."""
    known = [value for value in values if math.isfinite(value)]
    low, high = min(known, default=0.0), max(known, default=1.0)
    room = share * (high - low) or abs(high) * share or 1.0
    return (low - room if at_least is None else at_least, high + room)


def written(value: float) -> str:
    """Write a number for an axis: 1.5 M, 20 k, 0.85."""
    for size, name in ((1e9, " G"), (1e6, " M"), (1e4, " k")):
        if abs(value) >= size:
            return f"{value / (1e3 if size == 1e4 else size):.3g}{name}"
    return f"{value:.6g}"
