"""Whether a model is of any use: its RMSE must lie below those of the mean rating and of the biases alone.

Covers: the words of the warning where it does not, and what to try then.
Does not cover: measuring (pipeline/stages/evaluate.py, pipeline/stages/baseline.py), or what follows from it
(pipeline/stages/gate.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from funkflow.pipeline.root.manifests import Dataset, Grid
from funkflow.pipeline.root.result import ESTIMATES
from funkflow.pipeline.settings.methods import METHODS
from funkflow.pipeline.settings.sections import Settings
from funkflow.tasks.digits import distinct_figures

_FAR, _TIMES_THE_MEAN = 5.0, 10.0
"""Ratings are right-skewed where the greatest lies so many standard deviations above the mean, and is so many times the
mean: a scale of 1 to 5 never is, nor 0 and 1, and counts of plays are by far."""


def shortfall(evaluation: Mapping[str, Any]) -> str:
    """Return by how much a model fails to beat the better of mean rating and biases; empty where it beats both.

    Parameters
    ----------
    evaluation : RMSEs on the validation ratings under "model", "mean" and "biases"; {} where nothing was measured.
    """
    if not evaluation:
        return ""
    better = min(("mean", "biases"), key=lambda name: evaluation[name]["rmse"])
    model, least = evaluation["model"]["rmse"], evaluation[better]["rmse"]
    if model < least:
        return ""
    own, other = distinct_figures(model, least)
    return f"its RMSE on the validation ratings, {own}, is not below {other}, that of the {ESTIMATES[better]}"


def remedy(settings: Settings, dataset: Dataset, grid: Grid) -> str:
    """Return what to try with a model that is of no use."""
    if METHODS[settings.train.method].missing_as_zero:
        return "train.method = sgd looks at known ratings only"
    if not settings.train.biases:
        return "train.biases = true and train.center = true take from the factors what they have to carry here"
    if settings.ingest.transform == "none" and is_right_skewed(dataset, grid):
        return f"ratings go up to {dataset.rating_maximum:,.6g}, far above their mean: try ingest.transform = log1p"
    a_row = grid.ratings / max(1, grid.users + grid.items)
    found = (
        f"what it learnt from {grid.ratings:,} ratings, {a_row:.1f} for each user and item, does not hold for others"
    )
    return f"{found}: more ratings may help"


def is_right_skewed(dataset: Dataset, grid: Grid) -> bool:
    """Say whether a logarithm may help: no rating is negative, and the greatest is far above all that is usual."""
    greatest, mean = dataset.rating_maximum, grid.mean
    deviation = math.sqrt(max(0.0, grid.mean_square - mean**2))
    far = greatest - mean > _FAR * deviation and greatest > _TIMES_THE_MEAN * max(1.0, mean)
    return bool(dataset.rating_minimum >= 0.0 and far)
