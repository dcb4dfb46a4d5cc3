"""The facts about intervals: the content of facts.json on how well they hold.

Covers: their types, and making them from the manifest. Does not cover: the figures (intervals.py), the other facts
(facts.py).
"""

from __future__ import annotations

from typing import TypedDict, cast

from funkflow.pipeline.root.model_manifests import Calibration
from funkflow.tasks.evaluation.calibration import Fifth


class ScoreFacts(TypedDict):
    """Mean interval scores at a level: by the draws, and with the constant deviations."""

    level: float
    model: float
    constant: float
    best_constant: float


class IntervalFacts(TypedDict):
    """Calibration of intervals on `ratings` validation ratings; fields as in the manifest `Calibration`."""

    ratings: int
    levels: list[float]
    coverage: list[float]
    pits: list[int]
    by_deviation: list[Fifth]
    by_ratings: list[Fifth]
    scores: list[ScoreFacts]
    constants: list[float]


def interval_facts(found: Calibration) -> IntervalFacts:
    """Return how well intervals hold."""
    content = found.content()
    return cast("IntervalFacts", {name: content[name] for name in IntervalFacts.__annotations__})
