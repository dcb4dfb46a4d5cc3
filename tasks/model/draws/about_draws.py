"""What `model.json` says of a model's draws, and the names of their files.

Covers: the content and the names, for programs that read no draws. Does not cover: the files (drawn_rows.py).
"""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

SIDES = ("user", "item")
FOLDERS = {"user": "user_draws.parquet", "item": "item_draws.parquet"}
PRIORS = "draw_priors.parquet"


class NoiseByRating(TypedDict):
    """How the noise of ratings depends on the predicted rating: `factors` of its variance, in bins of predictions.

    `edges` : between the bins, one fewer than factors, ascending, in rating units. The mean over training ratings is 1.
    """

    edges: list[float]
    factors: list[float]


class DrawsAbout(TypedDict):
    """The draws of a model: `count` of them, of `rank`, in the folders user_draws.parquet and item_draws.parquet.

    `parts` : the files of both sides, with the rows, order and raw ids of the factors. The column `draws` is a
    fixed-size list of float32: for each draw `rank` factors and then the bias, in rating units. `noise` : standard
    deviation of a rating about its prediction in each draw. `priors` : path and checksum of a file with the mean and
    variance of each of these numbers over all rows of a side, by draw. `noise_by_rating` : not in older models, whose
    noise is the same for all ratings. `noise_by_user` : whether the files of users have the column `noise`, a list of D
    factors of the variance of each user's ratings; not in older models.
    """

    count: int
    rank: int
    noise: list[float]
    parts: dict[str, list[Any]]
    priors: dict[str, str]
    noise_by_rating: NotRequired[NoiseByRating]
    noise_by_user: NotRequired[bool]
