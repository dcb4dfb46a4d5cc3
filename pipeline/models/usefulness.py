"""Whether a model is useful: it must predict better than the bias baseline, or rank better than the most rated items.

Covers: the warning if it is not, and the advice.
Does not cover: measuring (pipeline/stages/evaluate.py, pipeline/stages/baseline.py), the gate
(pipeline/stages/gate.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from funkflow.pipeline.root.manifests import Dataset, Grid
from funkflow.pipeline.root.result import ESTIMATES, RankingResult
from funkflow.pipeline.settings.methods import METHODS
from funkflow.pipeline.settings.sections import Settings
from funkflow.tasks.digits import distinct_figures
from funkflow.tasks.model.about import About

_TRAINED_FOR_ANOTHER = {
    "ranking": "this model was trained to predict ratings; to train one that recommends, set train.goal = ranking",
    "ratings": "this model was trained to rank: it predicts scores, not ratings; to train one that predicts ratings, "
    "set train.goal = ratings",
}
_FAR, _TIMES_THE_MEAN = 5.0, 10.0
"""Ratings are right-skewed if the greatest is so many standard deviations above the mean, and so many times the mean:
scales of 1 to 5 or 0 to 1 never are, counts of plays are by far."""


def shortfall(evaluation: Mapping[str, Any]) -> str:
    """Compare a model with the better of mean rating and biases; return a message, empty if the model beats both.

    Parameters
    ----------
    evaluation : RMSEs on the validation ratings under "model", "mean" and "biases"; {} without validation ratings.
    """
    if not evaluation:
        return ""
    better = min(("mean", "biases"), key=lambda name: evaluation[name]["rmse"])
    model, least = evaluation["model"]["rmse"], evaluation[better]["rmse"]
    if model < least:
        return ""
    own, other = distinct_figures(model, least)
    return f"validation RMSE {own} does not beat the {ESTIMATES[better]}'s {other}"


def ranking_shortfall(ranking: RankingResult) -> str:
    """Compare a model with the most rated items; return a message, empty if it ranks better or nothing was measured."""
    if not ranking or ranking["ndcg"] > ranking["most_rated"]["ndcg"]:
        return ""
    own, other = distinct_figures(ranking["ndcg"], ranking["most_rated"]["ndcg"])
    return f"validation NDCG@{ranking['count']} {own} does not beat the most rated items' {other}"


def notice_of_goal(about: About, goal: Literal["ratings", "ranking"]) -> str:
    """Return what to say of a model that is used for a goal that is not its own; empty if it is."""
    return "" if about.get("goal", "ratings") == goal else _TRAINED_FOR_ANOTHER[goal]


def remedy(settings: Settings, dataset: Dataset, grid: Grid) -> str:
    """Return the advice for a model that is not useful."""
    if settings.train.goal == "ranking":
        return "a higher train.rank, another train.als.alpha or more ratings may help"
    if METHODS[settings.train.method].missing_as_zero:
        return "try train.method = sgd, which trains on observed ratings only"
    if not settings.train.biases:
        return "set train.biases = true and train.center = true, so that the factors need not model biases and mean"
    if settings.ingest.transform == "none" and is_right_skewed(dataset, grid):
        return f"ratings go up to {dataset.rating_maximum:,.6g}, far above their mean: try ingest.transform = log1p"
    a_row = grid.ratings / max(1, grid.users + grid.items)
    size = f"{grid.ratings:,} ratings, {a_row:.1f} per user or item"
    return f"what it learned from {size}, does not generalise: more ratings may help"


def is_right_skewed(dataset: Dataset, grid: Grid) -> bool:
    """Return whether a logarithm can help: no rating is negative, and the greatest is far above the mean."""
    greatest, mean = dataset.rating_maximum, grid.mean
    deviation = math.sqrt(max(0.0, grid.mean_square - mean**2))
    far = greatest - mean > _FAR * deviation and greatest > _TIMES_THE_MEAN * max(1.0, mean)
    return bool(dataset.rating_minimum >= 0.0 and far)
