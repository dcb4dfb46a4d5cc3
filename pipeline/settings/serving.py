"""The [recommend] and [predict] sections.

Covers: their settings with their defaults, and the refusal of those that need draws of a posterior.
Does not cover: the stages (pipeline/stages/recommend.py, pipeline/stages/predict.py).
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from funkflow.pipeline.settings.method_settings import Place, Section
from funkflow.tasks.errors import SettingsError

By = Literal["mean", "lower", "upper", "thompson"]
NO_DRAWS = 'needs draws of a posterior: set train.method = "bayes" and train.keep_draws above 0'


class RecommendSettings(Section):
    """The best items that each user did not rate, after training."""

    count: int = Field(0, ge=0, description="items per user; 0: no recommendations")
    users: tuple[str | int, ...] = Field((), description="raw ids of the users to recommend to; empty: all")
    batch_users: int = Field(20_000, ge=1, description="greatest number of users of one task, approximately")
    similar: int = Field(0, ge=0, description="most similar items to find for each item, by cosine; 0: none")
    by: By = Field(
        "mean",
        description="what a user's items are ordered by: mean, the predicted rating; lower or upper, a quantile of it "
        "over the draws of train.method = bayes (train.keep_draws); thompson, its value in one of these draws",
    )
    quantile: float | None = Field(
        None, gt=0, lt=1, description="by = lower or upper: which quantile; None: 0.1 and 0.9"
    )
    seed: int = Field(
        0, ge=0, description="by = thompson: with the raw id of a user, chooses the draw that the user gets"
    )

    @model_validator(mode="after")
    def _quantile_has_an_end(self) -> RecommendSettings:
        if self.quantile is not None and self.by not in ("lower", "upper"):
            raise ValueError('recommend.quantile goes with recommend.by = "lower" or "upper": leave out one of them')
        return self

    @property
    def order(self) -> tuple[By, float | None, int]:
        """The fields of an order of items (tasks/model/draws/orders.py)."""
        return self.by, self.quantile, self.seed

    def refuse_missing_draws(self) -> None:
        """Raise SettingsError if the settings order recommendations by draws."""
        if self.count and self.by != "mean":
            raise SettingsError(f"recommend.by = {self.by} {NO_DRAWS}")


class PredictSettings(Section):
    """Predictions for given pairs, after training."""

    pairs: Place = Field(
        "", description="file of (user, item) pairs, or qualifying.txt; {date}: --date; empty: no predictions"
    )
    batch_pairs: int = Field(2_000_000, ge=1, description="pairs of one task")
    intervals: bool = Field(
        False,
        description="whether mean, deviation and intervals of 50, 80 and 95 % by the draws of train.method = bayes "
        "follow each prediction; needs train.keep_draws",
    )

    def refuse_missing_draws(self) -> None:
        """Raise SettingsError if the settings ask for intervals."""
        if self.pairs and self.intervals:
            raise SettingsError(f"predict.intervals {NO_DRAWS}")
