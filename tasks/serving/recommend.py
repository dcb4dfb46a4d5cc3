"""Recommend to the users of one part of a dataset, and measure the ranking of validation ratings.

Covers: recommendations as Parquet, recommendations to some users in this process, sums of precision, recall and NDCG,
and the model of popularity beside which they stand.
Does not cover: the choice of items (top_items.py), tasks (pipeline/stages/recommend.py, pipeline/stages/ranking.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funkflow.tasks.model.about import Place
from funkflow.tasks.model.rated import TrainedOn, pairs_of, rated_pairs
from funkflow.tasks.serving.dense_model import DenseModel, read_dense_model
from funkflow.tasks.serving.top_items import Catalogue, RatedItems
from funkflow.tasks.storage import files


class Recommendation(TypedDict):
    """One row of recommendations."""

    user: str | int
    rank: int
    item: str | int
    score: float


class RecommendationFile(TypedDict):
    """A Parquet file of recommendations, with its numbers of rows and users."""

    path: str
    rows: int
    users: int
    checksum: str


@dataclass(frozen=True)
class Ranking:
    """Sums over `users` of precision, recall and NDCG; `+` adds them."""

    precision: float
    recall: float
    ndcg: float
    users: int

    def __add__(self, other: Ranking) -> Ranking:
        return Ranking(
            self.precision + other.precision,
            self.recall + other.recall,
            self.ndcg + other.ndcg,
            self.users + other.users,
        )


def recommend_part(
    model: DenseModel,
    part: Place,
    validation: Place,
    piece: tuple[int, int],
    chosen: Sequence[int],
    count: int,
    url: str,
) -> RecommendationFile:
    """Write the best items that the users of a part did not rate: user, rank (from 1), item, score, by raw ids.

    Parameters
    ----------
    part, validation : files of a part of the dataset and of its validation ratings; items in either are left out.
    piece : (number, pieces): recommend to this one of equal pieces of the users.
    chosen : dense ids of users to recommend to; empty: all users of the part.
    """
    users, items = rated_pairs(part, validation)
    wanted = np.unique(users)
    if chosen:
        wanted = np.intersect1d(wanted, np.asarray(chosen, dtype=users.dtype))
    wanted = np.array_split(wanted, piece[1])[piece[0]]
    table = _top_table(model, wanted, _rated_items_of(wanted, users, items), count)
    # Scores hardly repeat, so a dictionary of them would not pay.
    checksum = files.write_table(url, table, compression="lz4", dictionaries=["user", "rank", "item"])
    path = "/".join(url.rsplit("/", 2)[1:])
    return {"path": path, "rows": table.num_rows, "users": len(wanted), "checksum": checksum}


def recommend_to(model_folder: str, users: Sequence[str | int], count: int) -> list[Recommendation]:
    """Return the rows that `recommend_part` writes for these raw users; read the factors of these users alone.

    Raises
    ------
    BadInput
        A user is not in the data, or the trained-on ratings are not beside the model.
    """
    trained_on = TrainedOn.of(model_folder)
    by_part = trained_on.users_by_part(users)
    wanted = np.unique(np.array([user for own in by_part.values() for user in own], np.int32))
    model = read_dense_model(model_folder, (), wanted)
    rows: list[Recommendation] = []
    for number, own in by_part.items():
        dense = np.unique(np.array(own, np.int32))
        rated = _rated_items_of(dense, *rated_pairs(*trained_on.stored(number)))
        rows += _top_table(model, np.searchsorted(wanted, dense).astype(np.int32), rated, count).to_pylist()
    order = {str(user): place for place, user in reversed(list(enumerate(users)))}
    return sorted(rows, key=lambda row: (order[str(row["user"])], row["rank"]))


def _top_table(model: DenseModel, users: npt.NDArray[np.int32], rated: RatedItems, count: int) -> pa.Table:
    """Return user, rank (from 1), item and score of the best items not rated; `users` are rows of `model`."""
    top = model.top(users, rated, count)
    is_item = np.arange(top.rows.shape[1]) < top.found[:, None]
    ranks = np.broadcast_to(np.arange(1, top.rows.shape[1] + 1, dtype=np.int32), top.rows.shape)
    return pa.table(
        {
            "user": model.user_ids.take(pa.array(np.repeat(users, top.found))),
            "rank": pa.array(ranks[is_item]),
            "item": model.item_ids.take(pa.array(top.rows[is_item])),
            "score": pa.array(top.scores[is_item]),
        }
    )


def count_item_ratings(part: Place, validation: Place, items: int) -> npt.NDArray[np.int64]:
    """Return the number of training ratings of each item in a part, int64 (items,), by dense id."""
    row = files.read_table(validation[0], ["row"], expected_checksum=validation[1])["row"].to_numpy()
    _, rated = _training_pairs(part, row)
    return np.bincount(rated, minlength=items)


def popularity_model(model: DenseModel, *counts: npt.NDArray[np.int64]) -> DenseModel:
    """Return a model that ranks items by their number of ratings, the sum of `counts`, for every user.

    float32 is exact up to 2^24 ratings of an item.
    """
    numbers = np.sum(counts, axis=0).astype(np.float32)
    factors = np.stack([np.zeros_like(numbers), numbers], axis=1)
    return replace(
        model,
        user_factors=np.zeros((len(model.user_factors), 1), np.float32),
        user_scores=np.zeros_like(model.user_scores),
        catalogue=Catalogue(factors, model.catalogue.rows),
        transform="none",
    )


def rank_part(
    models: Sequence[DenseModel], part: Place, validation: Place, threshold: float, count: int
) -> tuple[Ranking, ...]:
    """Return how well the best `count` items of each user match validation ratings of at least `threshold`, by model.

    Every item is a candidate except the user's training items. Users without a relevant validation rating do not count.
    Relevance is 0 or 1: precision = hits / count, recall = hits / relevant, NDCG = DCG / ideal DCG with discount
    1 / log2(rank + 1) (Järvelin and Kekäläinen 2002).
    """
    table = files.read_table(validation[0], ["user", "item", "rating", "row"], expected_checksum=validation[1])
    user, item, rating, row = (table[name].to_numpy() for name in ("user", "item", "rating", "row"))
    is_relevant = (user >= 0) & (item >= 0) & (rating >= np.float32(threshold))
    wanted, places = np.unique(user[is_relevant], return_inverse=True)
    if not len(wanted):
        return (Ranking(0.0, 0.0, 0.0, 0),) * len(models)
    rated = _rated_items_of(wanted, *_training_pairs(part, row))
    rankings = []
    for model in models:
        rows = model.catalogue.rows
        relevant = places * len(rows) + rows[item[is_relevant]].astype(np.int64)
        rankings.append(sum_ranking(model.top(wanted, rated, count).rows, relevant, len(rows), count))
    return tuple(rankings)


def sum_ranking(rows: npt.NDArray[np.int32], relevant: npt.NDArray[np.int64], items: int, count: int) -> Ranking:
    """Return precision, recall and NDCG of lists of items, summed over users.

    Parameters
    ----------
    rows : int32 (users, n), each user's items, the best first; -1: none.
    relevant : int64, user * items + row of each relevant item; every user has at least one.
    """
    users = np.arange(len(rows), dtype=np.int64)
    hits = np.isin(users[:, None] * items + rows, relevant) & (rows >= 0)
    numbers = np.bincount(relevant // items, minlength=len(rows))
    discounts = 1.0 / np.log2(np.arange(2, count + 2))
    ideal = np.cumsum(discounts)[np.minimum(numbers, count) - 1]
    hit = hits.sum(axis=1)
    return Ranking(
        float(np.sum(hit / count)),
        float(np.sum(hit / numbers)),
        float(np.sum(hits @ discounts[: rows.shape[1]] / ideal)),
        len(rows),
    )


def _training_pairs(
    part: Place, validation_rows: npt.NDArray[np.integer]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Return sorted (user, item) of a part without the validation rows; -1 is no row of it."""
    users, items = pairs_of(part)
    is_training = np.ones(len(users), bool)
    is_training[validation_rows[validation_rows >= 0]] = False
    return users[is_training], items[is_training]


def _rated_items_of(
    wanted: npt.NDArray[np.int32], users: npt.NDArray[np.int32], items: npt.NDArray[np.int32]
) -> RatedItems:
    """Return the places of each wanted user's items among (user, item) sorted by user."""
    starts, ends = (np.searchsorted(users, wanted, side) for side in ("left", "right"))
    return RatedItems(np.ascontiguousarray(items, np.int32), starts.astype(np.int64), ends.astype(np.int64))
