"""What ratings become on their way in, and how what is predicted becomes a rating again.

Covers: log(1 + rating), for counts and amounts whose few greatest would outweigh all others, and its inverse.
Does not cover: ratings that have no logarithm (tasks/parsing/rows/transformed.py), or where it is asked for
(pipeline/settings/sections.py).

A dataset holds transformed ratings, so training, RMSE and MAE are on that scale: there the model, the mean rating and
the biases compare. Whatever leaves a model as a rating is turned back: predictions, reconstructions, scores.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Transform = Literal["none", "log1p"]
NAMES: dict[str, str] = {"none": "rating", "log1p": "log(1 + rating)"}
"""What RMSE and MAE are of."""


def transformed(ratings: npt.ArrayLike, transform: Transform) -> Any:
    """Return ratings as a model is trained on them, in their own number type; float64 for numbers and lists."""
    return ratings if transform == "none" else np.log1p(ratings)


def as_ratings(values: npt.ArrayLike, transform: Transform) -> Any:
    """Return what a model predicts in rating units, in its own number type: the inverse of `transformed`."""
    return values if transform == "none" else np.expm1(values)


def transformed_scale(scale: tuple[float, float] | None, transform: Transform) -> tuple[float, float] | None:
    """Return least and greatest rating as the dataset has them, as float32 like its ratings."""
    if scale is None or transform == "none":
        return scale
    least, greatest = np.log1p(np.array(scale)).astype(np.float32).tolist()
    return least, greatest
