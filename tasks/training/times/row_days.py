"""When ratings were given: the slots of a row of blocks, and the calendar of all rows.

Covers: slots from blocks of days, which effects of time a training has, the bins of the calendar.
Does not cover: blocks of days (tasks/grid/scatter.py), effects (effects.py).

A slot is a user on a day on which they rated something. A block of days is a block whose ratings are days since 1970.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from funkflow.tasks.grid.block import BlockRow
from funkflow.tasks.grid.solved_rows import Matrix
from funkflow.tasks.kernels.blocks.time_sums import slots_of
from funkflow.tasks.kernels.buffers import Weighed
from funkflow.tasks.model.times.effects import day_keys, days_of_keys
from funkflow.tasks.time_effects import BINS, DAYS, EFFECTS

LEAST_SPAN, LEAST_RETURNING = 14, 0.05
"""`auto` has effects of users from so many days between the first and the last rating on, where so large a part of the
ratings is of users who rated on several days."""
MOST_BINS, RATINGS_A_CELL = 30, 20
"""Bins of the calendar: at most so many, and so few that an item has this many ratings in each, on average."""

Days = npt.NDArray[np.int32]
NO_DAY = np.iinfo(np.int32).min
"""Of a validation rating without a time."""


@dataclass(frozen=True)
class RowDays(Weighed):
    """When the ratings of a user shard were given.

    slots : for each block, int32 (n,), the slot of each rating; users, days : int32 (slots,), of each slot, ascending;
    counts : float64 (slots,), its ratings.
    """

    slots: tuple[npt.NDArray[np.int32], ...]
    users: Days
    days: Days
    counts: Matrix

    @property
    def of_several(self) -> npt.NDArray[np.bool_]:
        """Whether the slot's user has others, too, bool (slots,)."""
        return np.asarray(np.bincount(self.users, minlength=1)[self.users] > 1)

    def mean_days(self, users: int) -> Matrix:
        """Return the mean day of the ratings of so many users, float64 (users,)."""
        ratings = np.bincount(self.users, self.counts, users)
        return np.asarray(np.bincount(self.users, self.counts * self.days, users) / np.maximum(ratings, 1.0))


@dataclass(frozen=True)
class DayCounts(Weighed):
    """Numbers of ratings by day: days int64 (d,), ascending, counts float64 (d,).

    `returning` : ratings of users who rated on several days.
    """

    days: npt.NDArray[np.int64]
    counts: Matrix
    returning: float


@dataclass(frozen=True)
class Calendar:
    """The effects of a training, and the bins of its days: `edges` : the first day of each bin but the first."""

    effects: tuple[str, ...] = ()
    edges: tuple[int, ...] = ()

    def bins_of(self, days: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
        """Return the bin of each day, int32 (n,)."""
        return np.searchsorted(np.asarray(self.edges, np.int64), days, side="right").astype(np.int32)

    @property
    def bins(self) -> int:
        """Their number."""
        return len(self.edges) + 1


NO_TIMES = Calendar()


def row_days(blocks: BlockRow) -> RowDays:
    """Return the slots of a row of blocks of days."""
    read = tuple(blocks)
    every = _distinct(day_keys(block.user_rows, block.ratings) for block in read)
    users, days = days_of_keys(every)
    starts = np.searchsorted(users, np.arange(read[0].shape[0] + 1))
    slots, counts = [], np.zeros(len(every))
    for block in read:
        mine = np.empty(len(block), np.int32)
        slots_of()(*block.places, block.ratings, days, starts, mine)
        slots.append(mine)
        counts += np.bincount(mine, minlength=len(every))
    return RowDays(tuple(slots), users, days, counts)


def _distinct(keys: Iterable[npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
    """Return all numbers that occur, ascending: by sorting, as np.unique with its hash takes 20 times as long."""
    found = []
    for each in keys:
        each.sort()
        found.append(_distinct_of(each))
    every = np.concatenate(found)
    every.sort()
    return _distinct_of(every)


def _distinct_of(ascending: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    is_new = np.ones(len(ascending), bool)
    is_new[1:] = ascending[1:] != ascending[:-1]
    return ascending[is_new]


def day_counts(row: RowDays) -> DayCounts:
    """Return the numbers of ratings by day of a user shard."""
    days, places = np.unique(row.days, return_inverse=True)
    counts = np.asarray(np.bincount(places, row.counts, len(days)), np.float64)
    return DayCounts(days.astype(np.int64), counts, float(np.sum(row.counts[row.of_several])))


def calendar_of(parts: Sequence[DayCounts], wanted: str, items: int) -> Calendar:
    """Return the calendar of a training.

    Parameters
    ----------
    parts : of all user shards. wanted : names of effects with commas between them, "none", or "auto" (`LEAST_SPAN`).
    items : their number.
    """
    days = np.concatenate([part.days for part in parts])
    order = np.argsort(days, kind="stable")
    days, below = days[order], np.cumsum(np.concatenate([part.counts for part in parts])[order])
    if not len(days) or wanted == "none":
        return NO_TIMES
    effects = tuple(name for name in EFFECTS if name in wanted.split(","))
    if wanted == "auto":
        returning = sum(part.returning for part in parts) / below[-1]
        effects = (DAYS,) if days[-1] - days[0] >= LEAST_SPAN and returning >= LEAST_RETURNING else ()
    edges: tuple[int, ...] = ()
    if BINS in effects:
        bins = int(np.clip(below[-1] / (RATINGS_A_CELL * max(1, items)), 1, MOST_BINS))
        at = days[np.searchsorted(below, below[-1] * np.arange(1, bins) / bins)]
        edges = tuple(np.unique(at[at > days[0]]).tolist())
    return Calendar(effects, edges)
