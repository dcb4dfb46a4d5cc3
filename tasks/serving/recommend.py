"""Recommend to the users of one part of a dataset.

Covers: recommendations as Parquet, recommendations to some users in this process.
Does not cover: the choice of items (top_items.py, drawn_top.py), tasks (pipeline/stages/recommend.py), rankings
(rank_part.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funkflow.tasks.model.about import Place, read_about
from funkflow.tasks.model.draws.drawn_rows import Draws
from funkflow.tasks.model.draws.orders import By, ItemOrder
from funkflow.tasks.model.parts import rows_of_own
from funkflow.tasks.model.rated import Pairs, TrainedOn, rated_pairs
from funkflow.tasks.serving.drawn_top import top_by_draws
from funkflow.tasks.serving.served_model import ServedModel
from funkflow.tasks.serving.top_items import RatedItems
from funkflow.tasks.storage import files
from funkflow.tasks.storage.arrow_arrays import as_column
from funkflow.tasks.transform import as_ratings


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
class DrawnOrder:
    """An order of items by the draws of the model in `folder`."""

    folder: str
    order: ItemOrder

    @classmethod
    def checked(cls, folder: str, order: ItemOrder) -> DrawnOrder | None:
        """Return the order, or None where the model itself gives it.

        Raises
        ------
        BadInput
            It needs draws, and the model has none.
        """
        if not order.needs_draws:
            return None
        found = cls(folder, order)
        found.draws()
        return found

    def draws(self) -> Draws:
        return Draws.of(self.folder, read_about(self.folder), f"recommend.by = {self.order.by}")


def recommend_part(
    model: ServedModel,
    part: Place,
    validation: Place,
    piece: tuple[int, int],
    chosen: Sequence[int],
    count: int,
    url: str,
    drawn: DrawnOrder | None = None,
) -> RecommendationFile:
    """Write the best items that the users of a part did not rate: user, rank (from 1), item, score, by raw ids.

    Parameters
    ----------
    part, validation : files of a part of the dataset and of its validation ratings; items in either are left out.
    piece : (number, pieces): recommend to this one of equal pieces of the users.
    chosen : dense ids of users to recommend to; empty: all users of the part.
    drawn : the order by draws; None: by the predictions of the model.
    """
    users, items = rated_pairs(part, validation)
    wanted = np.unique(users)
    if chosen:
        wanted = np.intersect1d(wanted, np.asarray(chosen, dtype=users.dtype))
    wanted = np.array_split(wanted, piece[1])[piece[0]]
    table = _top_table(model, wanted, (users, items), count, drawn)
    # Scores hardly repeat, so a dictionary of them would not pay.
    checksum = files.write_table(url, table, compression="lz4", dictionaries=["user", "rank", "item"])
    path = "/".join(url.rsplit("/", 2)[1:])
    return {"path": path, "rows": table.num_rows, "users": len(wanted), "checksum": checksum}


def recommend_to(
    model_folder: str, users: Sequence[str | int], count: int, by: By = "mean", quantile: float | None = None,
    seed: int = 0,
) -> list[Recommendation]:  # fmt: skip
    """Return the rows that `recommend_part` writes for these raw users; read the factors of these users alone.

    Raises
    ------
    BadInput
        A user is not in the data, the trained-on ratings are not beside the model, or the order needs draws that the
        model does not have.
    """
    drawn = DrawnOrder.checked(model_folder, ItemOrder(by, quantile, seed))
    trained_on = TrainedOn.of(model_folder)
    by_part = trained_on.users_by_part(users)
    model = ServedModel.of_files(model_folder)
    wanted = np.unique(np.array([user for own in by_part.values() for user in own], np.int32))
    rated = []
    for number, own in by_part.items():
        pairs = rated_pairs(*trained_on.stored(number))
        is_own = np.isin(pairs[0], own)
        rated.append((pairs[0][is_own], pairs[1][is_own]))
    rated_by, items = (np.concatenate(column) for column in zip(*rated, strict=True))
    by_user = np.argsort(rated_by, kind="stable")
    pairs = rated_by[by_user], items[by_user]
    rows: list[Recommendation] = _top_table(model, wanted, pairs, count, drawn).to_pylist()
    order = {str(user): place for place, user in reversed(list(enumerate(users)))}
    return sorted(rows, key=lambda row: (order[str(row["user"])], row["rank"]))


def _top_table(
    model: ServedModel, wanted: npt.NDArray[np.int32], pairs: Pairs, count: int, drawn: DrawnOrder | None
) -> pa.Table:
    """Return user, rank (from 1), item and score of the best items of dense users; `pairs` : rated, sorted by user."""
    users = model.user_rows(wanted)
    rated = RatedItems.of(wanted, pairs, model.parts.item_counts)
    if drawn is None:
        top = model.top(users, rated, count)
    else:
        rows = rows_of_own(wanted, model.parts.user_counts)
        top = top_by_draws(drawn.draws(), drawn.order, rows, users.ids, rated, min(count, model.items))
        if model.parts.transform != "none":
            top = replace(top, scores=as_ratings(top.scores, model.parts.transform))
    is_item = np.arange(top.rows.shape[1]) < top.found[:, None]
    ranks = np.broadcast_to(np.arange(1, top.rows.shape[1] + 1, dtype=np.int32), top.rows.shape)
    return pa.table(
        {
            "user": users.ids.take(as_column(np.repeat(np.arange(len(wanted)), top.found))),
            "rank": as_column(ranks[is_item]),
            "item": model.item_ids(top.rows[is_item]),
            "score": as_column(top.scores[is_item]),
        }
    )
