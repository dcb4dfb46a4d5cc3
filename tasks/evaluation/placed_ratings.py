"""Held-out ratings by the rows of a saved model, so that a task scores those of one part of its users.

Covers: the rows that a dataset's ids have in a model, ratings written by part of the users, and their scores.
Does not cover: where ids stand in a model of other data (tasks/dataset/matches.py), the score of a pair
(tasks/model/score_rows.py), or what is made of the scores (breakdown.py, compare_models.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funkflow.tasks.dataset.matches import Places, read_match, split_places
from funkflow.tasks.dataset.sorting import stable_order
from funkflow.tasks.dataset.trained_pairs import known_pairs
from funkflow.tasks.model.about import Place
from funkflow.tasks.model.parts import Rows, read_rows
from funkflow.tasks.model.score_rows import Scorer, score_rows
from funkflow.tasks.storage import files
from funkflow.tasks.storage.arrow_groups import read_groups, write_groups
from funkflow.tasks.training.score import Errors

_Rows = npt.NDArray[np.int32]


@dataclass(frozen=True)
class PlacedRatings:
    """Ratings by the rows of a model.

    `user_rows` : int32 (n,), in one part of its users; `item_rows` : int32 (n,), of all items, one part after another;
    -1 for what the model does not have. `ratings` : float64 (n,). `timestamps` : (n,), where there are any.
    """

    user_rows: _Rows
    item_rows: _Rows
    ratings: npt.NDArray[np.float64]
    timestamps: npt.NDArray[np.datetime64] | None


def rows_of_own(dense: npt.NDArray[np.int32], counts: Sequence[int]) -> npt.NDArray[np.int64]:
    """Return the rows of dense ids in the model of their own grid, whose parts have so many rows, one after another.

    Dense id d is row d div P of part d mod P.
    """
    starts = np.cumsum([0, *counts], dtype=np.int64)
    rows: npt.NDArray[np.int64] = starts[dense % len(counts)] + dense // len(counts)
    return rows


def place_own(held_out: Place, user_counts: Sequence[int], item_counts: Sequence[int], url: str) -> str:
    """Write a part of the held-out ratings by the rows of the model of their own grid; return `url`.

    Ratings of users or items that the data do not have are left out.
    """
    table = files.read_table(held_out[0], expected_checksum=held_out[1])
    known, users, items = known_pairs(table)
    rows = rows_of_own(users, user_counts), rows_of_own(items, item_counts)
    write_placed(url, table.filter(pa.array(known)), *rows, user_counts)
    return url


def place_in_other(
    held_out: Place, number: int, users: str, items: Places, user_counts: Sequence[int], url: str
) -> str:
    """Write a part of the held-out ratings by the rows of a model of other data; return `url`.

    Parameters ---------- number : of the part; `users` : where the dataset's users stand in the model, by part
    (tasks/dataset/matches.py); `items` : where all of its items do.
    """
    table = files.read_table(held_out[0], ["user", "item", "rating"], held_out[1])
    known, own_users, own_items = known_pairs(table)
    write_placed(
        url, table.filter(pa.array(known)), read_match(users, number).of(own_users), items[own_items], user_counts
    )
    return url


def write_placed(
    url: str,
    table: pa.Table,
    users: npt.NDArray[np.integer],
    items: npt.NDArray[np.integer],
    user_counts: Sequence[int],
) -> None:
    """Write ratings, one group for each part of the users, in the order they came in, and a last one for the unknown.

    Parameters
    ----------
    users, items : (n,), rows in the model, one part after another; -1: unknown.
    """
    part, rows = split_places(users, user_counts)
    part = np.where(rows < 0, len(user_counts), part)
    order, starts = stable_order(part, len(user_counts) + 1)
    columns = {"user_row": rows, "item_row": items.astype(np.int32), "rating": table["rating"].to_numpy()}
    if "timestamp" in table.column_names:
        columns["timestamp"] = table["timestamp"].to_numpy()
    write_groups(url, pa.table({name: each[order] for name, each in columns.items()}), starts.tolist())


def read_placed(url: str, part: int) -> PlacedRatings:
    """Read the ratings of one part of the users, of one piece of the held-out ratings."""
    table = read_groups(url, [part])
    times = table["timestamp"].to_numpy() if "timestamp" in table.column_names else None
    user_rows, item_rows, ratings = (table[name].to_numpy() for name in ("user_row", "item_row", "rating"))
    return PlacedRatings(user_rows, item_rows, ratings.astype(np.float64), times)


def scored_pieces(
    pieces: Sequence[str], part: int, users: Rows, items: Rows, by: Scorer
) -> Iterator[tuple[PlacedRatings, npt.NDArray[np.float64]]]:
    """Yield the ratings of one part of the users, piece by piece, with the scores of the model."""
    for url in pieces:
        placed = read_placed(url, part)
        yield placed, score_rows(users, items, placed.user_rows, placed.item_rows, by)


def errors_of_part(pieces: Sequence[str], part: int, users: Place | None, items: Rows, by: Scorer) -> Errors:
    """Return the errors of a model on the ratings of one part of its users; None: of those it does not have."""
    total = Errors(0.0, 0.0, 0)
    for placed, scores in scored_pieces(pieces, part, rows_of_part(users, by.rank), items, by):
        errors = placed.ratings - scores
        total += Errors(float(np.sum(errors**2)), float(np.sum(np.abs(errors))), len(errors))
    return total


def rows_of_part(users: Place | None, rank: int) -> Rows:
    """Read the numbers of a part of the users; none of them for the unknown."""
    return Rows(np.empty(0, np.float32), np.empty((0, rank), np.float32)) if users is None else read_rows(*users, rank)
