"""The sections of single training methods below [train].

Covers: [train.batch], [train.als] and [train.bayes], paths, names of effects of time. Does not cover: settings of
several methods (train.py).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from funkflow.pipeline.settings.methods import ALL_METHODS
from funkflow.tasks.errors import SettingsError
from funkflow.tasks.storage.paths import expand_home, refuse_other_encoding
from funkflow.tasks.time_effects import BINS, EFFECTS


def _home_path(path: str) -> str:
    try:
        refuse_other_encoding(path)
        return expand_home(path)
    except SettingsError as error:
        raise ValueError(error.message.partition(": ")[2]) from error  # pydantic names the setting and the value


def _effects_of_time(names: str) -> str:
    chosen = [name.strip() for name in names.split(",")]
    if names not in ("auto", "none") and (set(chosen) - set(EFFECTS) or len(set(chosen)) < len(chosen)):
        raise ValueError(f"not auto, none or some of {', '.join(EFFECTS)}, each once, with commas between them")
    return ",".join(chosen)


Place = Annotated[str, AfterValidator(_home_path)]
"""A path, with `~` for a home folder, or a URL."""


TimeEffects = Annotated[str, AfterValidator(_effects_of_time)]
"""Names of effects of time with commas between them, "auto" or "none"."""


MEASURED_RATINGS = 40_000_000
"""Up to so many training ratings means of rows by who rated what, and effects of time, are the default: they were
measured up to 25 million. With each an epoch or a sweep takes twice as long, and shards are twice as large."""


def effects_of_time(method: str, wanted: str, biases: bool, timestamps: bool, ratings: int) -> str:
    """Return which effects of time a training has.

    Parameters
    ----------
    method : of ALL_METHODS; wanted : as settings have it; biases : whether the model has some, as effects are biases.
    timestamps : whether the ratings have times; ratings : of training, auto has none above MEASURED_RATINGS.

    Raises
    ------
    SettingsError
        The settings name effects that the method does not have, or there are no times.
    """
    if "time" in ALL_METHODS[method].ignores or (wanted == "auto" and (not biases or ratings > MEASURED_RATINGS)):
        return "none"
    if wanted != "none" and not biases:
        raise SettingsError(f"train.time = {wanted!r} needs biases: leave it out, or leave out train.biases = false")
    if wanted not in ("auto", "none") and not timestamps:
        raise SettingsError(
            f"train.time = {wanted!r} needs the time of each rating, and the ratings have none: leave it out, or "
            "name their column with ingest.columns.timestamp"
        )
    if method == "sgd" and BINS in wanted.split(","):
        raise SettingsError(
            f"train.time = {wanted!r}: with train.method = 'sgd' users alone have effects of time; leave {BINS} out, "
            "or set train.method = bayes"
        )
    return wanted if timestamps else "none"


class Section(BaseModel):
    """Base of all sections: frozen, without unknown keys, with finite numbers only."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class BatchSettings(Section):
    """method = "batch": gradient descent over all ratings, with U and V updated from the same old values."""

    step: float | None = Field(
        None,
        gt=0,
        description="fixed step s of U <- U + s (sum of e V - l2 n U), for ratings scaled to unit deviation; "
        "None: backtracking line search, which needs no tuning (tasks/training/gradient_descent.py)",
    )
    momentum: float = Field(
        0.0, ge=0, lt=1, description="weight of the last direction; helps fixed steps, not the line search"
    )
    steps: int = Field(
        1000,
        ge=1,
        description="most iterations; fewer at convergence, or if validation stops improving",
    )
    tolerance: float = Field(
        1e-7, ge=0, lt=1, description="training has converged once the gradient falls to this part of its maximum"
    )
    patience: int = Field(20, ge=1, description="iterations without train.minimum_gain before training stops")
    checkpoint_steps: int = Field(
        50,
        ge=1,
        description="iterations between checkpoints: the most that a crash loses; each costs half an iteration",
    )


class AlsSettings(Section):
    """method = "als": the rows of users and of items solved by turns, by conjugate gradients."""

    alpha: float | None = Field(
        None,
        ge=0,
        le=1,
        description="weight of a missing cell, whose target is 0: 0 completes the ratings, 1 with train.l2 = 0 is the "
        "SVD of the matrix with zeros, and between them lie the models that rank best; above 0 there are no biases; "
        "None: 0 for ratings, and for a ranking by the part of the cells that have ratings",
    )
    toward_mean: float | None = Field(
        None,
        ge=0,
        le=1,
        description="part of the mean row of all users to which their L2 term pulls them, in place of 0, so that users "
        "with few ratings are recommended popular items; needs alpha above 0; None: where alpha is None, by the part "
        "of the cells that have ratings, else 0",
    )
    steps: int = Field(1, ge=1, description="preconditioned steps of conjugate gradients for each row in an epoch")
    tolerance: float = Field(
        1e-6, ge=0, lt=1, description="training has converged once the gradient falls to this part of its maximum"
    )


class BayesSettings(Section):
    """method = "bayes": draws from the posterior by Gibbs sampling, in chains from optima of sgd on."""

    chains: int | None = Field(
        None,
        ge=1,
        le=64,
        description="chains, each from an optimum of its own; several run at once where they are small; None: 8, and "
        "32 for up to 300,000 ratings",
    )
    burn_in: int = Field(4, ge=0, description="sweeps of a chain before its first draw that counts")
    draws: int | None = Field(
        None,
        ge=1,
        description="sweeps of a chain after these; each draws all rows; None: 16, and 8 for up to 300,000 ratings",
    )
    steps: int = Field(4, ge=1, description="preconditioned steps of conjugate gradients for each row in a sweep")
    pair_steps: int = Field(
        6, ge=1, description="steps of conjugate gradients for the second factors of train.implicit in a sweep"
    )
    mean_rank: int | None = Field(
        None,
        ge=1,
        description="rank of the model, the mean of all draws cut to it; None: four times train.rank, and twice for "
        "large models",
    )
