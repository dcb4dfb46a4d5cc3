"""How an RMSE or an MAE is written: with digits that show something, however small or large ratings are.

Covers: figures that are compared, with the same number of decimals; and two that differ, so that it shows.
Does not cover: where they are shown (pipeline/results/tables.py, pipeline/results/report/), or other numbers.
"""

from __future__ import annotations

import math

_USUAL, _SIGNIFICANT, _SIGNIFICANT_OF_LARGE = 4, 4, 6
"""Decimals from 0.1 to 100; digits below 0.1, and from 100 on."""
_MOST_DECIMALS = 12


def rounded(value: float | None, *beside: float | None) -> str:
    """Return one figure; `beside` : what it is compared with, which has the same number of decimals. None: empty."""
    return "" if value is None else _fixed(value, decimals_for(value, *beside))


def distinct_figures(first: float, second: float) -> tuple[str, str]:
    """Return two figures with as many decimals as it takes to see that they differ, if they do."""
    decimals = decimals_for(first, second)
    while _fixed(first, decimals) == _fixed(second, decimals) and first != second and decimals < _MOST_DECIMALS:
        decimals += 1
    return _fixed(first, decimals), _fixed(second, decimals)


def decimals_for(*values: float | None) -> int:
    """Return how many decimals figures take that are compared: the greatest of them decides.

    From 0.1 to 100 four, as ratings usually are; below 0.1 four digits, from 100 on six.
    """
    sizes = [abs(value) for value in values if value is not None and math.isfinite(value)]
    size = max(sizes, default=0.0)
    if not size or 0.1 <= size < 100.0:
        return _USUAL
    digits = _SIGNIFICANT if size < 1.0 else _SIGNIFICANT_OF_LARGE
    return max(0, min(_MOST_DECIMALS, digits - 1 - math.floor(math.log10(size))))


def _fixed(value: float, decimals: int) -> str:
    if value and abs(value) < 10.0**-_MOST_DECIMALS:
        return f"{value:.3e}"
    return f"{value:,.{decimals}f}"
