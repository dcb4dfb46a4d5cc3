"""What time adds to predictions of validation ratings in training.

Covers: the slots and bins of a user shard's validation ratings, and their effects.
Does not cover: effects (effects.py), errors (tasks/training/score.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from funkflow.tasks.grid.solved_rows import Matrix, Rows
from funkflow.tasks.kernels.buffers import Weighed
from funkflow.tasks.model.times.effects import day_keys, progress
from funkflow.tasks.training.times.effects import UserTimes
from funkflow.tasks.training.times.row_days import NO_DAY, Calendar, RowDays


class DatedRatings(Protocol):
    """Validation ratings of a user shard with days (tasks/training/score.py)."""

    @property
    def user_rows(self) -> Any: ...
    @property
    def item_rows(self) -> Any: ...
    @property
    def starts(self) -> Any: ...
    @property
    def days(self) -> Any: ...


@dataclass(frozen=True)
class HeldOutTimes(Weighed):
    """Where the effects of a user shard's validation ratings are.

    slots : int64 (n,), -1 for a day on which the user has no training rating; users : int64 (n,), -1 without a user or
    a day; progress : x of drift, float64 (n,); items, bins : int64 and int32 (n,), among all items, -1 without an item
    or a day.
    """

    slots: npt.NDArray[np.int64]
    users: npt.NDArray[np.int64]
    progress: Matrix
    items: npt.NDArray[np.int64]
    bins: npt.NDArray[np.int32]

    @classmethod
    def of(
        cls, ratings: DatedRatings, row: RowDays, calendar: Calendar, items: Sequence[int], users: int
    ) -> HeldOutTimes:
        """Return those of some ratings; row : of the training ratings; users, items : of this shard, of item shards."""
        known, keys = ratings.days != NO_DAY, day_keys(row.users, row.days)
        days, rows = np.where(known, ratings.days, 0), np.where(known, ratings.user_rows, -1).astype(np.int64)
        wanted, places = day_keys(rows, days), np.zeros(len(rows), np.int64)
        found = np.zeros(len(rows), bool)
        if len(keys):
            places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
            found = (keys[places] == wanted) & (rows >= 0)
        firsts = np.repeat(np.cumsum([0, *items[:-1]]), np.diff(ratings.starts))
        has_item = known & (ratings.item_rows >= 0)
        return cls(
            np.where(found, places, -1), rows, progress(days, row.mean_days(users)[np.maximum(rows, 0)]),
            np.where(has_item, firsts + ratings.item_rows, -1), calendar.bins_of(days),
        )  # fmt: skip

    def offsets(self, users: UserTimes, table: Rows | None = None, draws: int = 1) -> Matrix:
        """Return what time adds to each prediction, in units of training.

        Parameters
        ----------
        users, table : effects, or their sums over so many draws; table : (items, bins), of all items, None for zeros.
        """
        found = np.where(self.users >= 0, users.drift[np.maximum(self.users, 0)] * self.progress, 0.0)
        if len(users.days):
            found += np.where(self.slots >= 0, users.days[np.maximum(self.slots, 0)], 0.0)
        if table is not None and len(self.items):
            found += np.where(self.items >= 0, table[np.maximum(self.items, 0), self.bins], 0.0)
        return np.asarray(found / draws)
