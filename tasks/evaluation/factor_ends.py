"""The items at the two ends of each factor, as the report's facts have them.

Covers: their types, apart from the arithmetic so that a reader of facts loads no compiler.
Does not cover: finding them (breakdown.py), or the page (pipeline/results/report/).
"""

from __future__ import annotations

from typing import TypedDict


class FactorEnd(TypedDict):
    """An item at an end of a factor, with its loading and its number of ratings."""

    id: str
    title: str | None
    value: float
    ratings: int


class FactorEnds(TypedDict):
    """A factor, its singular value, its part of the energy, and the items at its ends."""

    factor: int
    strength: float
    share: float
    low: list[FactorEnd]
    high: list[FactorEnd]
