"""Recommend to the users of one part of a dataset, and measure how well held-out ratings are ranked.

Covers: what each user has seen, the Parquet of recommendations, and sums of precision, recall and NDCG.
Does not cover: the choice of items (top_items.py), which task runs when (pipeline/stages/recommend.py, ranking.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks import files
from tasks.served import Served
from tasks.top_items import Seen

_Stored = tuple[str, str]
"""Where a file lies, and its checksum."""


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
    part: _Stored,
    held_out: _Stored,
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
    users, items = _seen(part, held_out)
    wanted = np.unique(users)
    if chosen:
        wanted = np.intersect1d(wanted, np.asarray(chosen, dtype=users.dtype))
    wanted = np.array_split(wanted, piece[1])[piece[0]]
    top = served.top(wanted, _seen_by(wanted, users, items), count)
    is_found = np.arange(top.rows.shape[1]) < top.found[:, None]
    ranks = np.broadcast_to(np.arange(1, top.rows.shape[1] + 1, dtype=np.int32), top.rows.shape)
    table = pa.table(
        {
            "user": served.user_ids.take(pa.array(np.repeat(wanted, top.found))),
            "rank": pa.array(ranks[is_found]),
            "item": served.item_ids.take(pa.array(top.rows[is_found])),
            "score": pa.array(top.scores[is_found]),
        }
    )
    # Scores hardly repeat: looking for repetitions in them would be in vain.
    checksum = files.write_table(url, table, compression="lz4", dictionaries=["user", "rank", "item"])
    path = "/".join(url.rsplit("/", 2)[1:])
    return {"path": path, "rows": table.num_rows, "users": len(wanted), "checksum": checksum}


def rank_part(served: Served, part: _Stored, held_out: _Stored, threshold: float, count: int) -> Ranking:
    """Return how the best `count` items of each user meet the held-out ratings of at least `threshold`.

    Every item is a candidate but those that the user has in training, held-out ones with low ratings too. Users without
    a relevant held-out rating are left out. Relevance is 0 or 1: precision = hits / count, recall = hits / relevant,
    NDCG = DCG / ideal DCG with discount 1 / log2(rank + 1) (Järvelin and Kekäläinen 2002).
    """
    table = files.read_table(held_out[0], ["user", "item", "rating", "row"], expected_checksum=held_out[1])
    user, item, rating, row = (table[name].to_numpy() for name in table.column_names)
    is_relevant = (user >= 0) & (item >= 0) & (rating >= np.float32(threshold))
    users, items = _columns(part)
    is_training = np.ones(len(users), bool)
    is_training[row[row >= 0]] = False
    users, items = users[is_training], items[is_training]
    wanted, places = np.unique(user[is_relevant], return_inverse=True)
    if not len(wanted):
        return Ranking(0.0, 0.0, 0.0, 0)
    top = served.top(wanted, _seen_by(wanted, users, items), count)
    catalogue = served.catalogue
    relevant_rows = catalogue.rows[item[is_relevant]].astype(np.int64)
    return measured(top.rows, places * len(catalogue.rows) + relevant_rows, len(catalogue.rows), count)


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


def _columns(part: _Stored) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    table = files.read_table(part[0], ["user", "item"], expected_checksum=part[1])
    return table["user"].to_numpy(), table["item"].to_numpy()


def _seen(part: _Stored, held_out: _Stored) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Return all (user, item) of a part sorted, with the held-out ones that are not in the dataset itself."""
    users, items = _columns(part)
    table = files.read_table(held_out[0], ["user", "item", "row"], expected_checksum=held_out[1])
    user, item, row = (table[name].to_numpy() for name in table.column_names)
    more = (row < 0) & (user >= 0) & (item >= 0)
    if not more.any():
        return users, items
    users, items = np.append(users, user[more]), np.append(items, item[more])
    order = np.lexsort((items, users))
    return users[order], items[order]


def _seen_by(wanted: npt.NDArray[np.int32], users: npt.NDArray[np.int32], items: npt.NDArray[np.int32]) -> Seen:
    """Return where each wanted user's items lie among (user, item) sorted by user."""
    starts, ends = (np.searchsorted(users, wanted, side) for side in ("left", "right"))
    return Seen(np.ascontiguousarray(items, np.int32), starts.astype(np.int64), ends.astype(np.int64))
