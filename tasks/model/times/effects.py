"""Effects of time on predictions, as a model keeps them.

Covers: effects of users on days, of items in bins of days, their sum at given times, and their columns in a table.
Does not cover: how they are estimated (tasks/training/times/), the model's files (tasks/model/model.py).

A user has an effect on each day on which they rated something, and a drift c x(t), x(t) = sign(t - m) (|t - m| / 100
days)^0.4 with m the mean day of their ratings. On other days there is drift alone. Days count from 1970.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funkflow.tasks.kernels.buffers import Weighed
from funkflow.tasks.storage.arrow_arrays import as_column

POWER, UNIT = 0.4, 100.0
"""Of drift (Koren 2009), and the days of which x is 1."""
USER_COLUMNS = ("days", "day_effects", "drift", "mean_day")
ITEM_COLUMN = "time_effects"
_DAY_BITS, _DAY_MASK, _FIRST_DAY = 32, 0xFFFFFFFF, -(2**31)

Numbers = npt.NDArray[np.float64]


def day_keys(users: npt.NDArray[Any], days: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return a number for each user on a day, ascending with the user, then the day; there are days before 1970."""
    return users.astype(np.int64) << _DAY_BITS | (days.astype(np.int64) - _FIRST_DAY)


def days_of_keys(keys: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Return the users and the days of numbers."""
    return (keys >> _DAY_BITS).astype(np.int32), ((keys & _DAY_MASK) + _FIRST_DAY).astype(np.int32)


def progress(days: npt.NDArray[Any], mean_days: npt.NDArray[Any]) -> Numbers:
    """Return x of each day, float64 (n,)."""
    away = days - mean_days
    return np.asarray(np.sign(away) * (np.abs(away) / UNIT) ** POWER)


@dataclass(frozen=True)
class UserDays(Weighed):
    """Effects on some users.

    users, days : int32 (s,), a user on a day each, in the order of `day_keys`; effects : float64 (s,); drift, mean_days
    : float64 (users,); base : float64 (users,), taken from each user's effects; None: nothing is.
    """

    users: npt.NDArray[np.int32]
    days: npt.NDArray[np.int32]
    effects: Numbers
    drift: Numbers
    mean_days: Numbers
    base: Numbers | None = None

    def of(self, users: npt.NDArray[Any], days: npt.NDArray[Any]) -> Numbers:
        """Return the effect on each user on a day, float64 (n,); 0 for user -1."""
        wanted, keys, there = day_keys(users, days), day_keys(self.users, self.days), np.maximum(users, 0)
        if not len(users) or not len(self.drift):
            return np.zeros(len(users))
        found = self.drift[there] * progress(days, self.mean_days[there])
        if len(keys):
            places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
            found += np.where(keys[places] == wanted, self.effects[places], 0.0)
        if self.base is not None:
            found -= self.base[there]
        return np.asarray(np.where(users >= 0, found, 0.0))

    def at_last_days(self) -> Numbers:
        """Return the effect on each user on the last day of their ratings, float64 (users,)."""
        rows = np.arange(len(self.drift))
        return self.of(rows, self.last_days())

    def from_last_days(self) -> UserDays:
        """Return the effects beside those of the last days, which a model's biases have."""
        return replace(self, base=self.at_last_days())

    def last_days(self) -> npt.NDArray[np.int64]:
        """Return the last day of each user's ratings, int64 (users,), 0 for none."""
        never = np.iinfo(np.int64).min
        last = np.full(len(self.drift), never)
        np.maximum.at(last, self.users, self.days)
        return np.where(last == never, 0, last)

    def times(self, factor: float) -> UserDays:
        """Return the effects in another unit."""
        return replace(self, effects=self.effects * factor, drift=self.drift * factor)

    def columns(self) -> dict[str, pa.Array]:
        """Return a row a user: lists of days and of effects, drift, and mean day."""
        starts = np.searchsorted(self.users, np.arange(len(self.drift) + 1)).astype(np.int32)
        lists = (
            pa.ListArray.from_arrays(pa.array(starts), pa.array(each))
            for each in (self.days, self.effects.astype(np.float32))
        )
        numbers = (pa.array(each.astype(np.float32)) for each in (self.drift, self.mean_days))
        return dict(zip(USER_COLUMNS, (*lists, *numbers), strict=True))

    @classmethod
    def of_table(cls, table: pa.Table) -> UserDays:
        """Return the effects of a table with such columns."""
        lists = [table[name].combine_chunks() for name in USER_COLUMNS[:2]]
        days, effects = (each.flatten().to_numpy(zero_copy_only=False) for each in lists)
        counts = np.asarray(lists[0].value_lengths().to_numpy(zero_copy_only=False), np.int64)
        users = np.repeat(np.arange(len(table), dtype=np.int32), counts)
        drift, mean_days = (table[name].to_numpy().astype(np.float64) for name in USER_COLUMNS[2:])
        return cls(users, days.astype(np.int32), effects.astype(np.float64), drift, mean_days)


@dataclass(frozen=True)
class ItemBins(Weighed):
    """Effects on some items: `table` : float64 (items, bins); `edges` : the first day of each bin but the first."""

    table: Numbers
    edges: tuple[int, ...]

    def of(self, items: npt.NDArray[Any], days: npt.NDArray[Any]) -> Numbers:
        """Return the effect on each item on a day, float64 (n,); 0 for item -1."""
        if not len(items) or not self.table.size:
            return np.zeros(len(items))
        bins = np.searchsorted(np.asarray(self.edges, np.int64), days, side="right")
        return np.where(items >= 0, self.table[np.maximum(items, 0), bins], 0.0)

    def from_last_bin(self) -> ItemBins:
        """Return the effects beside those of the last bin, which a model's biases have."""
        return replace(self, table=self.table - self.table[:, -1:])

    def columns(self) -> dict[str, pa.Array]:
        """Return a row an item: the effects of all bins."""
        flat = as_column(self.table.astype(np.float32).ravel())
        return {ITEM_COLUMN: pa.FixedSizeListArray.from_arrays(flat, self.table.shape[1])}

    @classmethod
    def of_table(cls, table: pa.Table, edges: Sequence[int]) -> ItemBins:
        """Return the effects of a table with such a column."""
        numbers = table[ITEM_COLUMN].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return cls(numbers.reshape(len(table), -1).astype(np.float64), tuple(edges))
