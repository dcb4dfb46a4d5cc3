"""The [train] section.

Covers: its settings with their defaults, and valid combinations.
Does not cover: all other sections, and reading settings (sections.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from funkflow.pipeline.settings.method_settings import (
    MEASURED_RATINGS,
    AlsSettings,
    BatchSettings,
    BayesSettings,
    Place,
    Section,
    TimeEffects,
    effects_of_time,
)
from funkflow.pipeline.settings.methods import DEFAULT_METHOD, MEMBERS, METHODS, described_methods, without_effect
from funkflow.tasks.errors import SettingsError

LEAST_A_ROW = 6
"""Ratings a row of both sides from which draws have means by who rated what. MovieTweetings and synthetic goods have
about 3.5, and there draws with means are worse by 0.002; latest-small has 9, and they are better by 0.016."""

if TYPE_CHECKING:
    MethodName = str
else:
    MethodName = Literal[tuple(METHODS)]


RANKING_EPOCHS, MOST_RANKING_EPOCHS, RANKING_GAIN = 12, 24, 1e-3
"""Defaults of train.epochs for a ranking, without and with ratings to stop on, and there of train.minimum_gain.

NDCG@10 goes up for 4 to 12 epochs, and then stands still or falls. With 10 % held out at random, rank 64: on MovieLens
1M (two seeds) 0.3137 and 0.3078 after 8 epochs, 0.3147 and 0.3088 after 12, 0.3153 and 0.3097 after 32; on MovieLens
100K (three seeds) 0.347 on average after 8, 0.344 after 12 and after 32; on Gowalla 0.0766 after 4, 0.0742 after 12,
0.0728 after 32. Chosen on one half of the users and measured on the other, in 40 divisions of 12 runs (MovieLens 1M,
100K and latest-small, MovieTweetings, ranks 16 to 128), the kept epoch has 0.0001 more than the twelfth, after 12
epochs on average. Patience 1, 2 and 5 in place of 3 train for 8, 10 and 15 epochs, with -0.0004, 0.0001 and 0.0002; a
gain of 1e-4 and 5e-4 for 14 and 12, both with 0.0001.
"""


class TrainSettings(Section):
    """The training of the factors."""

    goal: Literal["ratings", "ranking"] = Field(
        "ratings",
        description="what the model is for: to predict ratings, or to recommend items; it sets the defaults of "
        f"train.method (als for a ranking), train.als.alpha, train.l2, train.epochs ({MOST_RANKING_EPOCHS}; "
        f"{RANKING_EPOCHS} without ratings to stop on), train.stop_by, train.minimum_gain ({RANKING_GAIN:g}), and what "
        "the gate asks",
    )
    method: MethodName = Field(DEFAULT_METHOD, description=described_methods())
    batch: BatchSettings = BatchSettings()
    als: AlsSettings = AlsSettings()
    bayes: BayesSettings = BayesSettings()
    members: int = Field(
        1,
        ge=1,
        le=64,
        description="sgd: so many runs, each with its own random numbers, and their mean as one model, of up to four "
        "times the rank; bayes predicts better",
    )
    rank: int = Field(64, ge=1, le=4096, description="k, the number of factors")
    epochs: int = Field(
        100, ge=1, description="most epochs, with funk per factor; training stops earlier if validation stops improving"
    )
    l2: float | None = Field(
        None,
        ge=0,
        description="L2 term per rating, for ratings scaled to unit deviation; None: by the default rule, "
        "with sgd falling from epoch to epoch if the error is small; a number stays constant",
    )
    step: float | None = Field(
        None, gt=0, description="initial step size of the adaptive steps per row; None: by the default rule"
    )
    biases: bool = Field(True, description="whether the model has b_u and b_i; False: the unbiased model")
    center: bool = Field(True, description="whether to subtract the mean rating; False: the unbiased model")
    seed: int = Field(0, ge=0, description="initial factors and order of strata")
    stop_on: Literal["validation", "slice", "nothing"] = Field(
        "validation",
        description="ratings that decide early stopping and the best epoch; with split.kind = none the default is "
        "slice",
    )
    stop_by: Literal["rmse", "ndcg"] | None = Field(
        None,
        description="measure on the ratings of stop_on that decides; ndcg: at ranking.count, with als only; None: by "
        "the goal, ndcg for a ranking and rmse for ratings",
    )
    slice_fraction: float = Field(
        0.05, gt=0, lt=1, description="stop_on = slice: part of the training ratings in the slice"
    )
    patience: int | None = Field(
        None,
        ge=1,
        description="epochs without the minimum gain before training stops; with funk, measurements of a factor "
        "without gain before the next factor; None: by the default rule, and sgd also continues past a standstill "
        "(early stopping); a number holds exactly",
    )
    minimum_gain: float = Field(
        1e-4, ge=0, description="least relative fall of the RMSE, or of 1 - NDCG, that counts as a gain"
    )
    implicit: Literal["auto", "none", "items", "users", "both"] = Field(
        "auto",
        description="sgd, bayes: what the pairs alone say, whatever their ratings: each item has a second factor for "
        "the users who rated it (items), each user one for the items they rated (users); auto: both up to 40 million "
        "ratings, with sgd where they explain rows; above, none",
    )
    time: TimeEffects = Field(
        "auto",
        description="sgd, bayes: effects of time, for ratings with times; names with commas between them. user_days: "
        "how a user rates on a day; drift: how a user's ratings change over the years; item_bins (bayes): what an item "
        "is worth in a part of the years; auto: up to 40 million ratings user_days, where users return on other days; "
        "none",
    )
    keep_draws: int = Field(
        32,
        ge=0,
        description="bayes: draws that stay on disk, for intervals, quantiles and recommendations by chance; 0: none",
    )
    checkpoint_epochs: int = Field(10, ge=1, description="epochs between checkpoints: the most that a crash loses")
    warm_start: bool = Field(
        False,
        description="sgd, als: start from the model in use for the goal (current.json of the root) instead of small "
        "random numbers; raw ids match the rows, new rows start at random; without a model in use training starts cold",
    )
    warm_from: Place = Field(
        "",
        description="warm_start: another start model: the folder of a saved model, or a run of the root",
    )
    iterations: int | None = Field(
        None,
        ge=1,
        description="lanczos, arnoldi: most restarts (1,000); power: most iterations per singular value (1,000); "
        "randomized: power iterations (4)",
    )
    tolerance: float = Field(
        1e-6, gt=0, lt=1, description="lanczos, arnoldi, power: error of a singular value relative to the greatest"
    )

    @model_validator(mode="after")
    def _goal_sets_defaults(self) -> TrainSettings:
        """Only defaults: whatever is set stays. A weight for missing cells trains for a ranking."""
        if self.method == "als" and self.als.alpha:
            if "goal" in self.model_fields_set and self.goal == "ratings":
                raise ValueError(
                    f"train.als.alpha = {self.als.alpha:g} counts missing cells as 0, which predicts no ratings: leave "
                    'it out, or set train.goal = "ranking"'
                )
            object.__setattr__(self, "goal", "ranking")
        if self.goal == "ranking" and "method" not in self.model_fields_set:
            object.__setattr__(self, "method", "als")
        self._set_end_of_training()
        return self

    def _set_end_of_training(self) -> None:
        """Set the defaults that say when training for a ranking ends."""
        unset = {"epochs", "minimum_gain"} - self.model_fields_set
        if self.goal == "ranking" and self.method == "als" and "epochs" in unset:
            object.__setattr__(self, "epochs", RANKING_EPOCHS if self.stop_on == "nothing" else MOST_RANKING_EPOCHS)
        if "minimum_gain" in unset:
            of_ratings = type(self).model_fields["minimum_gain"].default
            object.__setattr__(self, "minimum_gain", RANKING_GAIN if self.stops_by == "ndcg" else of_ratings)

    @model_validator(mode="after")
    def _baseline_is_whole(self) -> TrainSettings:
        if METHODS[self.method].removes_baseline and self.biases and not self.center:
            raise ValueError(
                f"train.method = {self.method!r} removes mean and biases together, or neither: "
                "set train.biases = false too"
            )
        return self

    @model_validator(mode="after")
    def _missing_cells_have_no_baseline(self) -> TrainSettings:
        if not self.weighs_missing_cells:
            if self.method == "als" and self.als.toward_mean:
                raise ValueError(
                    f"train.als.toward_mean = {self.als.toward_mean:g} needs a weight for missing cells: leave it out, "
                    'or set train.goal = "ranking"'
                )
            return self
        for name in ("biases", "center"):
            if name in self.model_fields_set and getattr(self, name):
                raise ValueError(
                    "a ranking by row solves sets the target of missing cells to 0, which leaves no room for "
                    f"train.{name} = true: leave it out, or set train.als.alpha = 0"
                )
            object.__setattr__(self, name, False)
        return self

    @model_validator(mode="after")
    def _stops_by_a_measure_it_has(self) -> TrainSettings:
        if self.stop_by is None:
            return self
        if self.stop_on == "nothing":
            raise ValueError(
                f'train.stop_on = "nothing" has no ratings for train.stop_by = "{self.stop_by}": leave one of them out'
            )
        if self.stop_by == "rmse" and self.weighs_missing_cells:
            raise ValueError(
                "a model that counts missing cells predicts no ratings, so it has no RMSE: leave out train.stop_by, or "
                'set it to "ndcg"'
            )
        if self.stop_by == "ndcg" and self.method != "als":
            raise ValueError(
                f'train.stop_by = "ndcg" needs train.method = "als", as {self.method} measures no rankings in its '
                'epochs: leave out train.stop_by, or set it to "rmse"'
            )
        return self

    @model_serializer(mode="wrap")
    def _without_newer_settings(self, dumped: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what is newer than the rest and has no effect, so that ids stay what they were before."""
        content: dict[str, Any] = dumped(self)
        idle = set() if self.method == "bayes" else {"bayes", "keep_draws"} - self.model_fields_set
        idle |= (METHODS[self.method].ignores & {"implicit", "time"}) - self.model_fields_set
        if self.stop_by is None:
            idle.add("stop_by")
        if self.members == 1:
            idle.add("members")
        return {name: value for name, value in content.items() if name not in idle}

    @model_validator(mode="after")
    def _warm_from_something(self) -> TrainSettings:
        if self.warm_from and "warm_start" not in self.model_fields_set:
            object.__setattr__(self, "warm_start", True)
        if self.warm_from and not self.warm_start:
            raise ValueError("train.warm_from names a start model: set train.warm_start = true too")
        return self

    @property
    def weighs_missing_cells(self) -> bool:
        """Whether a missing cell counts as 0 with some weight, so that predictions are no ratings."""
        by_goal = self.als.alpha is None and self.goal == "ranking"
        return self.method == "als" and (bool(self.als.alpha) or by_goal)

    def implicit_for(self, ratings: int, rows: int) -> str:
        """Return whose second factors make means of rows, with so many training ratings, and rows of both sides.

        Up to MEASURED_RATINGS auto is both with bayes, from LEAST_A_ROW on, and with sgd decides in training
        (tasks/training/implicit/schedule.py); above, it is none.
        """
        if "implicit" in METHODS[self.method].ignores:
            return "none"
        if self.implicit != "auto":
            return self.implicit
        if ratings > MEASURED_RATINGS:
            return "none"
        if self.method == "sgd":
            return "auto"
        return "both" if ratings >= LEAST_A_ROW * rows else "none"

    def effects_of_time(self, timestamps: bool, ratings: int) -> str:
        """Return which effects of time a training has; see `effects_of_time`."""
        return effects_of_time(self.trained_as, self.time, self.biases, timestamps, ratings)

    @property
    def trained_as(self) -> str:
        """The name in ALL_METHODS of how the model is trained."""
        return MEMBERS.name if self.method == "sgd" and self.members > 1 else self.method

    @property
    def stops_by(self) -> Literal["rmse", "ndcg"] | None:
        """The measure that decides early stopping and the best epoch; None: there is none."""
        if self.stop_on == "nothing" or METHODS[self.method].missing_as_zero:
            return None
        return self.stop_by or ("ndcg" if self.goal == "ranking" and self.method == "als" else "rmse")

    def stopping_on(self, ratings: str) -> TrainSettings:
        """Return the settings with other ratings in `stop_on`, and the defaults that go with these."""
        other = self.model_copy()
        object.__setattr__(other, "stop_on", ratings)  # as a default: nobody has set it
        other._set_end_of_training()
        return other

    def refuse_idle_settings(self) -> None:
        """Raise SettingsError for a setting of another method, which reading allows for comparisons of methods."""
        changed = [name for name, field in type(self).model_fields.items() if getattr(self, name) != field.default]
        several = self.trained_as == MEMBERS.name
        chosen = f"train.members = {self.members}" if several else f"train.method = {self.method!r}"
        for name in without_effect(self.trained_as, changed):
            raise SettingsError(f"train.{name} has no effect with {chosen}; leave it out")
