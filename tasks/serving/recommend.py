"""Recommend to the users of one part of a dataset, and measure how well held-out ratings are ranked.

Covers: the Parquet of recommendations, the same for some users in this process, sums of precision, recall and NDCG, and
the baseline that these are beside: the most rated items.
Does not cover: the choice of items (top_items.py), which task runs when (pipeline/stages/recommend.py,
pipeline/stages/ranking.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funkflow.tasks.model.rated import Stored, TrainedOn, pairs_of, rated_pairs
from funkflow.tasks.serving.dense_model import Served, read_served
from funkflow.tasks.serving.top_items import Catalogue, Seen
from funkflow.tasks.storage import files


@dataclass(frozen=True)
class Ranking:
    """Sums over users of precision, recall and NDCG; `users` is how many they are."""

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
    served: Served,
    part: Stored,
    held_out: Stored,
    piece: tuple[int, int],
    chosen: Sequence[int],
    count: int,
    url: str,
) -> dict[str, Any]:
    """Write the best unseen items of a part's users as Parquet: user, rank (from 1), item, score, by raw ids.

    Parameters
    ----------
    part, held_out : a part of the dataset and what validation holds of it; a rating in either is seen.
    piece : (number, pieces): which of the equal pieces of the part's users this is.
    chosen : dense ids of the only users to recommend to; empty: all of the part.
    """
    users, items = rated_pairs(part, held_out)
    wanted = np.unique(users)
    if chosen:
        wanted = np.intersect1d(wanted, np.asarray(chosen, dtype=users.dtype))
    wanted = np.array_split(wanted, piece[1])[piece[0]]
    table = _listed(served, wanted, _seen_by(wanted, users, items), count)
    # Scores hardly repeat: looking for repetitions in them would be in vain.
    checksum = files.write_table(url, table, compression="lz4", dictionaries=["user", "rank", "item"])
    path = "/".join(url.rsplit("/", 2)[1:])
    return {"path": path, "rows": table.num_rows, "users": len(wanted), "checksum": checksum}


def recommend_to(model_folder: str, users: Sequence[str | int], count: int) -> list[dict[str, Any]]:
    """Return what `recommend_part` would write for these raw users, in this process: of the users only their own rows.

    Raises
    ------
    BadInput
        A user is not in the data, or the ratings that the model was trained on are not beside it.
    """
    trained_on = TrainedOn.of(model_folder)
    by_part = trained_on.parts_of(users)
    wanted = np.unique(np.array([user for own in by_part.values() for user in own], np.int32))
    served = read_served(model_folder, (), wanted)
    rows: list[dict[str, Any]] = []
    for number, own in by_part.items():
        dense = np.unique(np.array(own, np.int32))
        seen = _seen_by(dense, *rated_pairs(*trained_on.stored(number)))
        rows += _listed(served, np.searchsorted(wanted, dense).astype(np.int32), seen, count).to_pylist()
    order = {str(user): place for place, user in reversed(list(enumerate(users)))}
    return sorted(rows, key=lambda row: (order[str(row["user"])], row["rank"]))


def _listed(served: Served, users: npt.NDArray[np.int32], seen: Seen, count: int) -> pa.Table:
    """Return user, rank (from 1), item and score of the best unseen items; `users` are rows of `served`."""
    top = served.top(users, seen, count)
    is_found = np.arange(top.rows.shape[1]) < top.found[:, None]
    ranks = np.broadcast_to(np.arange(1, top.rows.shape[1] + 1, dtype=np.int32), top.rows.shape)
    return pa.table(
        {
            "user": served.user_ids.take(pa.array(np.repeat(users, top.found))),
            "rank": pa.array(ranks[is_found]),
            "item": served.item_ids.take(pa.array(top.rows[is_found])),
            "score": pa.array(top.scores[is_found]),
        }
    )


def count_ratings(part: Stored, held_out: Stored, items: int) -> npt.NDArray[np.int64]:
    """Return how many training ratings of a part each item has, int64 (items,), by dense id."""
    row = files.read_table(held_out[0], ["row"], expected_checksum=held_out[1])["row"].to_numpy()
    _, rated = _training(part, row)
    return np.bincount(rated, minlength=items)


def most_rated(served: Served, *counts: npt.NDArray[np.int64]) -> Served:
    """Return a model that ranks items by their number of ratings, the same for every user; `counts` add up.

    Up to 2^24 ratings of an item are told apart, which float32 holds.
    """
    numbers = np.sum(counts, axis=0).astype(np.float32)
    factors = np.stack([np.zeros_like(numbers), numbers], axis=1)
    return replace(
        served,
        user_factors=np.zeros((len(served.user_factors), 1), np.float32),
        user_scores=np.zeros_like(served.user_scores),
        catalogue=Catalogue(factors, served.catalogue.rows),
        transform="none",
    )


def rank_part(
    models: Sequence[Served], part: Stored, held_out: Stored, threshold: float, count: int
) -> tuple[Ranking, ...]:
    """Return how the best `count` items of each user meet the held-out ratings of at least `threshold`, by each model.

    Every item is a candidate but those that the user has in training, held-out ones with low ratings too. Users without
    a relevant held-out rating are left out. Relevance is 0 or 1: precision = hits / count, recall = hits / relevant,
    NDCG = DCG / ideal DCG with discount 1 / log2(rank + 1) (Järvelin and Kekäläinen 2002).
    """
    table = files.read_table(held_out[0], ["user", "item", "rating", "row"], expected_checksum=held_out[1])
    user, item, rating, row = (table[name].to_numpy() for name in ("user", "item", "rating", "row"))
    is_relevant = (user >= 0) & (item >= 0) & (rating >= np.float32(threshold))
    wanted, places = np.unique(user[is_relevant], return_inverse=True)
    if not len(wanted):
        return (Ranking(0.0, 0.0, 0.0, 0),) * len(models)
    seen = _seen_by(wanted, *_training(part, row))
    rankings = []
    for served in models:
        rows = served.catalogue.rows
        relevant = places * len(rows) + rows[item[is_relevant]].astype(np.int64)
        rankings.append(measured(served.top(wanted, seen, count).rows, relevant, len(rows), count))
    return tuple(rankings)


def measured(rows: npt.NDArray[np.int32], relevant: npt.NDArray[np.int64], items: int, count: int) -> Ranking:
    """Return the sums for lists of items.

    Parameters
    ----------
    rows : int32 (users, n), each user's items, the best first, -1 where there is none.
    relevant : int64, user * items + row of each relevant item; every user has one.
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


def _training(
    part: Stored, held_out_rows: npt.NDArray[np.integer]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Return (user, item) of a part sorted, without the rows that are held out; -1 is no row of it."""
    users, items = pairs_of(part)
    is_training = np.ones(len(users), bool)
    is_training[held_out_rows[held_out_rows >= 0]] = False
    return users[is_training], items[is_training]


def _seen_by(wanted: npt.NDArray[np.int32], users: npt.NDArray[np.int32], items: npt.NDArray[np.int32]) -> Seen:
    """Return where each wanted user's items lie among (user, item) sorted by user."""
    starts, ends = (np.searchsorted(users, wanted, side) for side in ("left", "right"))
    return Seen(np.ascontiguousarray(items, np.int32), starts.astype(np.int64), ends.astype(np.int64))
