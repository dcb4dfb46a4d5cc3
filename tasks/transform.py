"""Transform ratings before training, and predictions back into ratings.

Covers: log(1 + rating), for counts and amounts whose few greatest would outweigh all others, and its inverse; how sure
a count is.
Does not cover: ratings without a logarithm (tasks/parsing/rows/transformed.py), or the setting
(pipeline/settings/ingest.py).

A dataset holds transformed ratings, so training, RMSE, MAE and their comparison with baselines are on that scale.
Predictions, reconstructions and scores of recommendations are in rating units.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from funkflow.tasks.late import late

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
else:  # for the names of transforms, which settings have, nobody needs it
    np = late("numpy")

Transform = Literal["none", "log1p"]
NAMES: dict[str, str] = {"none": "rating", "log1p": "log(1 + rating)"}
"""Quantity of RMSE and MAE by transform."""


COUNTS = (1e-6, 1e9)
"""The scale of counts (ingest.counts): a pair that never met is no row, and a greater number is no count."""


def confidences(counts: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return how sure counts are that a user likes an item: 1 + log((1 + n) / 2), which is 1 for a count of 1."""
    return np.asarray(1.0 + np.log((1.0 + np.asarray(counts, np.float64)) / 2.0))


def transformed(ratings: npt.ArrayLike, transform: Transform) -> Any:
    """Return ratings on the scale of training, in their own dtype; float64 for numbers and lists."""
    return ratings if transform == "none" else np.log1p(ratings)


def as_ratings(values: npt.ArrayLike, transform: Transform) -> Any:
    """Return predictions in rating units, in their own dtype; the inverse of `transformed`."""
    return values if transform == "none" else np.expm1(values)


def transformed_scale(scale: tuple[float, float] | None, transform: Transform) -> tuple[float, float] | None:
    """Return the scale of the transformed ratings, rounded to float32 like these."""
    if scale is None or transform == "none":
        return scale
    least, greatest = np.log1p(np.array(scale)).astype(np.float32).tolist()
    return least, greatest
