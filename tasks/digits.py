"""Digits of an RMSE or an MAE, for small and large ratings.

Covers: the same number of decimals for compared figures, and enough decimals to show a difference of two.
Does not cover: tables (pipeline/results/tables.py) and pages (pipeline/results/report/), or other numbers.
"""

from __future__ import annotations

import math

_USUAL, _SIGNIFICANT, _SIGNIFICANT_OF_LARGE = 4, 4, 6
"""Decimals from 0.1 to 100; digits below 0.1, and from 100 on."""
_MOST_DECIMALS = 12


def rounded(value: float | None, *beside: float | None) -> str:
    """Return a figure as text, with as many decimals as the figures `beside` it need, too; None: empty."""
    return "" if value is None else _format(value, decimals_for(value, *beside))


def distinct_figures(first: float, second: float) -> tuple[str, str]:
    """Return two figures with enough decimals to show that they differ, if they do."""
    decimals = decimals_for(first, second)
    while _format(first, decimals) == _format(second, decimals) and first != second and decimals < _MOST_DECIMALS:
        decimals += 1
    return _format(first, decimals), _format(second, decimals)


def decimals_for(*values: float | None) -> int:
    """Return the number of decimals for compared figures; the greatest of them decides.

    From 0.1 to 100 four, as ratings usually are; below 0.1 four digits, from 100 on six.
    """
    sizes = [abs(value) for value in values if value is not None and math.isfinite(value)]
    size = max(sizes, default=0.0)
    if not size or 0.1 <= size < 100.0:
        return _USUAL
    digits = _SIGNIFICANT if size < 1.0 else _SIGNIFICANT_OF_LARGE
    return max(0, min(_MOST_DECIMALS, digits - 1 - math.floor(math.log10(size))))


def _format(value: float, decimals: int) -> str:
    if value and abs(value) < 10.0**-_MOST_DECIMALS:
        return f"{value:.3e}"
    return f"{value:,.{decimals}f}"
