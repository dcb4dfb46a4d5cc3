"""Validation ratings by the rows of a saved model; one task scores those of one part of its users.

Covers: rows of dense ids in a model, ratings by part of the users on disk, and their scores.
Does not cover: rows of ids in a model of other data (tasks/dataset/matches.py), the score of a pair
(tasks/model/score_rows.py), or the use of the scores (breakdown.py, compare_models.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funkflow.tasks.dataset.matches import Places, read_match
from funkflow.tasks.dataset.sorting import stable_order
from funkflow.tasks.dataset.trained_pairs import known_pairs
from funkflow.tasks.grid.scatter import days_of
from funkflow.tasks.model.about import Place
from funkflow.tasks.model.parts import (
    ModelParts,
    Rows,
    read_item_times,
    read_part_rows,
    read_timed_users,
    rows_of_own,
    split_places,
)
from funkflow.tasks.model.score_rows import Scorer, score_pairs
from funkflow.tasks.storage import files
from funkflow.tasks.storage.arrow_groups import read_groups, write_groups
from funkflow.tasks.training.score import NO_DAY, Errors, HeldOut

_Rows = npt.NDArray[np.int32]


@dataclass(frozen=True)
class RatingsByRow:
    """Ratings by the rows of a model.

    `user_rows` : int32 (n,), in one part of its users; `item_rows` : int32 (n,), of all items, one part after another;
    -1: not in the model. `ratings` : float64 (n,). `timestamps` : datetime64 (n,), or None.
    """

    user_rows: _Rows
    item_rows: _Rows
    ratings: npt.NDArray[np.float64]
    timestamps: npt.NDArray[np.datetime64] | None

    @property
    def days(self) -> npt.NDArray[np.int64] | None:
        """Days since 1970, int64 (n,), of each rating."""
        return None if self.timestamps is None else days_of(self.timestamps)


def place_own(validation: Place, user_counts: Sequence[int], item_counts: Sequence[int], url: str) -> str:
    """Write a part of the validation ratings by the rows of the model of their own grid; return `url`.

    Leave out ratings of users or items that are not in the dataset.
    """
    table = files.read_table(validation[0], expected_checksum=validation[1])
    is_inside, users, items = known_pairs(table)
    rows = rows_of_own(users, user_counts), rows_of_own(items, item_counts)
    write_by_row(url, table.filter(pa.array(is_inside)), *rows, user_counts)
    return url


def place_in_other(
    validation: Place, number: int, users: str, items: Places, user_counts: Sequence[int], url: str
) -> str:
    """Write a part of the validation ratings by the rows of a model of other data; return `url`.

    Parameters
    ----------
    number : of the part.
    users, items : rows of the dataset's users, by part, and of its items in the model (tasks/dataset/matches.py).
    """
    table = files.read_table(validation[0], expected_checksum=validation[1])
    is_inside, own_users, own_items = known_pairs(table)
    write_by_row(
        url, table.filter(pa.array(is_inside)), read_match(users, number).of(own_users), items[own_items], user_counts
    )
    return url


def write_by_row(
    url: str,
    table: pa.Table,
    users: npt.NDArray[np.integer],
    items: npt.NDArray[np.integer],
    user_counts: Sequence[int],
) -> None:
    """Write ratings in their order, one group for each part of the users, and a last one for missing users.

    Parameters
    ----------
    users, items : int (n,), rows in the model, one part after another; -1: missing.
    """
    part, rows = split_places(users, user_counts)
    part = np.where(rows < 0, len(user_counts), part)
    order, starts = stable_order(part, len(user_counts) + 1)
    columns = {"user_row": rows, "item_row": items.astype(np.int32), "rating": table["rating"].to_numpy()}
    if "timestamp" in table.column_names:
        columns["timestamp"] = table["timestamp"].to_numpy()
    write_groups(url, pa.table({name: each[order] for name, each in columns.items()}), starts.tolist())


def read_by_row(url: str, part: int) -> RatingsByRow:
    """Read the ratings of one part of the users from one piece of the validation ratings."""
    table = read_groups(url, [part])
    times = table["timestamp"].to_numpy() if "timestamp" in table.column_names else None
    user_rows, item_rows, ratings = (table[name].to_numpy() for name in ("user_row", "item_row", "rating"))
    return RatingsByRow(user_rows, item_rows, ratings.astype(np.float64), times)


def time_offsets(parts: ModelParts, ratings: HeldOut, shard: int) -> npt.NDArray[np.float64] | None:
    """Return what time adds to the predictions of a user shard's validation ratings, (n,); None without effects."""
    if parts.edges is None or ratings.days is None:
        return None
    known = ratings.days != NO_DAY
    days, rows = np.where(known, ratings.days, 0), np.where(known, ratings.user_rows, -1)
    users = read_timed_users(*parts.users[shard], parts.rank).times
    assert users is not None
    found, items = users.of(rows, days), read_item_times(parts.items, parts.edges)
    if items is not None:
        firsts = np.repeat(np.cumsum([0, *parts.item_counts[:-1]]), np.diff(ratings.starts))
        found += items.of(np.where(known & (ratings.item_rows >= 0), firsts + ratings.item_rows, -1), days)
    return found


def score_pieces(
    pieces: Sequence[str], part: int, users: Rows, items: Rows, by: Scorer
) -> Iterator[tuple[RatingsByRow, npt.NDArray[np.float64]]]:
    """Yield the ratings of one part of the users, piece by piece, with their scores, float64 (n,)."""
    for url in pieces:
        ratings = read_by_row(url, part)
        yield ratings, score_pairs(users, items, ratings.user_rows, ratings.item_rows, by, days=ratings.days)


def errors_of_part(pieces: Sequence[str], part: int, users: Place | None, items: Rows, by: Scorer) -> Errors:
    """Return the errors of a model on the ratings of one part of its users; None: of missing users."""
    total = Errors(0.0, 0.0, 0)
    for rows, scores in score_pieces(pieces, part, rows_of_part(users, by), items, by):
        errors = rows.ratings - scores
        total += Errors(float(np.sum(errors**2)), float(np.sum(np.abs(errors))), len(errors))
    return total


def rows_of_part(users: Place | None, by: Scorer) -> Rows:
    """Read a part of the users, with the effects of time of a model that has some; no rows for None, missing users."""
    if users is None:
        return Rows(np.empty(0, np.float32), np.empty((0, by.rank), np.float32))
    return (read_timed_users if by.timed else read_part_rows)(*users, by.rank)
