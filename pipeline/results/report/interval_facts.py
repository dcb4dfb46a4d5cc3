"""The facts about draws: the content of facts.json on how well intervals hold, and on convergence.

Covers: their types, and making them from the manifests. Does not cover: the figures (intervals.py), the other facts
(facts.py).
"""

from __future__ import annotations

from typing import TypedDict, cast

from funkflow.pipeline.root.model_manifests import Calibration
from funkflow.pipeline.root.records import PosteriorRecord
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


class HistogramFacts(TypedDict):
    """How many values lie below the first edge, between two, and from the last one on."""

    edges: list[float]
    counts: list[int]


class ConvergenceFacts(TypedDict):
    """How `chains` of `draws` each agree on some predictions; fields as in the manifest `PosteriorRecord`."""

    chains: int
    draws: int
    r_hat: list[float]
    effective: list[float]
    by_r_hat: HistogramFacts
    by_effective: HistogramFacts


def convergence_facts(record: PosteriorRecord | None) -> ConvergenceFacts | None:
    """Return how draws converged; None for other methods, and where no prediction was traced."""
    if record is None or record.by_r_hat is None:
        return None
    content = record.content()
    return cast("ConvergenceFacts", {name: content[name] for name in ConvergenceFacts.__annotations__})


def interval_facts(found: Calibration) -> IntervalFacts:
    """Return how well intervals hold."""
    content = found.content()
    return cast("IntervalFacts", {name: content[name] for name in IntervalFacts.__annotations__})
