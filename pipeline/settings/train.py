"""What a run is told of training: the [train] section.

Covers: its settings with their defaults, and which of them go together.
Does not cover: all other sections, and reading settings (sections.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from funkflow.pipeline.settings.methods import DEFAULT_METHOD, METHODS, described_methods, without_effect
from funkflow.tasks.errors import SettingsError
from funkflow.tasks.storage.paths import expanded, refuse_other_encoding


def _expanded(path: str) -> str:
    try:
        refuse_other_encoding(path)
        return expanded(path)
    except SettingsError as error:
        raise ValueError(error.message.partition(": ")[2]) from error  # pydantic names the setting and the value


Place = Annotated[str, AfterValidator(_expanded)]
"""A path, in which `~` is a home folder, or a URL."""


if TYPE_CHECKING:
    MethodName = str
else:
    MethodName = Literal[tuple(METHODS)]


class Section(BaseModel):
    """What every section is: frozen, without unknown keys, and with finite numbers only."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class BatchSettings(Section):
    """method = "batch": U and V move against the gradient over all ratings, both from the same old values."""

    step: float | None = Field(
        None,
        gt=0,
        description="fixed step s of U <- U + s (sum of e V - l2 n U), ratings scaled to unit deviation; "
        "None: backtracking line search, which needs no tuning (tasks/training/gradient_descent.py)",
    )
    momentum: float = Field(
        0.0, ge=0, lt=1, description="part of the last direction that is kept; helps fixed steps, not the line search"
    )
    steps: int = Field(1000, ge=1, description="at most; fewer when it has converged or validation stops improving")
    tolerance: float = Field(
        1e-7, ge=0, lt=1, description="it has converged when the gradient is this part of the greatest it was"
    )
    patience: int = Field(20, ge=1, description="steps without train.minimum_gain before training stops")
    checkpoint_steps: int = Field(
        50, ge=1, description="steps between checkpoints: the most that a dead client loses; each costs half a step"
    )


class TrainSettings(Section):
    """How the factors are found."""

    method: MethodName = Field(DEFAULT_METHOD, description=described_methods())
    batch: BatchSettings = BatchSettings()
    rank: int = Field(64, ge=1, le=4096, description="k, the number of factors")
    epochs: int = Field(
        100, ge=1, description="at most, with funk of one factor; fewer when validation stops improving"
    )
    l2: float | None = Field(
        None,
        ge=0,
        description="L2 term a rating, ratings scaled to unit deviation; None: by the documented rule (default rule), "
        "with sgd less from epoch to epoch where the error is small; a number stays as it is",
    )
    step: float | None = Field(
        None, gt=0, description="first step size of the per-row adaptive steps; None: by the same rule"
    )
    biases: bool = Field(True, description="b_u and b_i; False gives the pure form")
    center: bool = Field(True, description="subtract the mean rating; False gives the pure form")
    seed: int = Field(0, ge=0, description="initial factors and order of strata")
    stop_on: Literal["validation", "slice", "nothing"] = Field(
        "validation",
        description="what early stopping and the kept epoch are decided on; where split.kind is none a slice, unless "
        "it is set",
    )
    slice_fraction: float = Field(
        0.05, gt=0, lt=1, description="stop_on = slice: part of the training ratings held back for it"
    )
    patience: int | None = Field(
        None,
        ge=1,
        description="epochs without the minimum gain before training stops; with funk, looks at a factor "
        "without any gain before the next is begun; None: by the rule (default rule), and with sgd training also goes "
        "on past a standstill (early stopping); a number is kept to exactly",
    )
    minimum_gain: float = Field(1e-4, ge=0, description="relative fall of the RMSE that counts as a gain")
    checkpoint_epochs: int = Field(
        10, ge=1, description="epochs between checkpoints: the most that a dead client loses"
    )
    warm_start: bool = Field(
        False,
        description="sgd: training starts from the model in use (current.json of the root) instead of from small "
        "random numbers; rows go by raw ids, and new ones start as ever; without a model in use it starts cold",
    )
    warm_from: Place = Field(
        "", description="warm_start: instead of the model in use, the folder of a saved model, or a run of the root"
    )
    iterations: int | None = Field(
        None,
        ge=1,
        description="lanczos, arnoldi: restarts at most (1,000); power: iterations for each singular value at most "
        "(1,000); randomized: power iterations (4)",
    )
    tolerance: float = Field(
        1e-6, gt=0, lt=1, description="lanczos, arnoldi, power: error of a singular value, relative to the greatest"
    )

    @model_validator(mode="after")
    def _baseline_is_whole(self) -> TrainSettings:
        if METHODS[self.method].removes_baseline and self.biases and not self.center:
            raise ValueError(
                f"train.method = {self.method!r} removes mean and biases together, or neither: "
                "set train.biases = false too"
            )
        return self

    @model_validator(mode="after")
    def _warm_from_something(self) -> TrainSettings:
        if self.warm_from and "warm_start" not in self.model_fields_set:
            object.__setattr__(self, "warm_start", True)
        if self.warm_from and not self.warm_start:
            raise ValueError("train.warm_from names what to start from: set train.warm_start = true too")
        return self

    def refuse_what_has_no_effect(self) -> None:
        """Raise SettingsError for a setting of another method; not when read, as a comparison has several methods."""
        changed = [name for name, field in type(self).model_fields.items() if getattr(self, name) != field.default]
        for name in without_effect(self.method, changed):
            raise SettingsError(f"train.{name} changes nothing with train.method = {self.method!r}; leave it out")
