"""Effects of time, and their draws.

Covers: effects of a user shard and of all items, their draws given all else, the means of draws.
Does not cover: sums over ratings (row_sums.py), slots and bins (row_days.py), when they are drawn
(tasks/training/posterior/times.py).

To the prediction of a rating of user u for item i on day t, in units of training, they add

    a_ut + c_u x_u(t) + e_ib        x_u(t) = sign(t - t_u) |t - t_u|^0.4 / 100^0.4        (Koren 2009)

with t_u the mean day of the user's ratings and b the bin of day t. a_ut ~ N(0, 1 / l_a), for users with several days,
as a user with one has a bias; c_u ~ N(0, 1 / l_c), e_ib ~ N(0, 1 / l_e), each precision with the prior that those of
rows have (tasks/training/posterior/priors.py). All are conjugate, so that draws are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from funkflow.tasks.grid.solved_rows import Matrix, Rows
from funkflow.tasks.kernels.buffers import Weighed
from funkflow.tasks.model.times.effects import UserDays, progress
from funkflow.tasks.time_effects import BINS, DAYS, DRIFT, EFFECTS
from funkflow.tasks.training.times.row_days import Calendar, RowDays

SHAPE, RATE = 0.5, 0.005
"""Of the priors of precisions, as those of rows have it."""
FIRST = 100.0
"""Precision of effects in the first sweep: a tenth of the ratings' deviation."""


@dataclass(frozen=True)
class UserTimes(Weighed):
    """Effects of a user shard: `days` : a, float64 (slots,); `drift` : c, float64 (users,)."""

    days: Matrix
    drift: Matrix

    @classmethod
    def zeros(cls, row: RowDays, users: int) -> UserTimes:
        """Return effects of 0."""
        return cls(np.zeros(len(row.days)), np.zeros(users))

    def of_slots(self, row: RowDays) -> Matrix:
        """Return the effects of both on each slot, float64 (slots,)."""
        if not self.drift.any():
            return self.days
        return np.asarray(self.days + self.drift[row.users] * progress_of(row, len(self.drift)))

    def by_day(self, row: RowDays, draws: int = 1) -> UserDays:
        """Return the effects, sums over so many draws, as a model keeps them."""
        middle = row.mean_days(len(self.drift))
        return UserDays(row.users, row.days, self.days / draws, self.drift / draws, middle)

    def __add__(self, other: UserTimes) -> UserTimes:
        return UserTimes(self.days + other.days, self.drift + other.drift)


@dataclass(frozen=True)
class ItemTimes(Weighed):
    """Effects of all items: `table` : e, float32 (items, bins); `levels` : l_a, l_c and l_e."""

    table: Rows
    levels: tuple[float, ...] = (FIRST,) * len(EFFECTS)

    @classmethod
    def zeros(cls, items: int, calendar: Calendar) -> ItemTimes:
        """Return effects of 0."""
        return cls(np.zeros((items, calendar.bins), np.float32))


@dataclass(frozen=True)
class Squares:
    """Numbers of effects and the sums of their squares, of days and of drift."""

    counts: tuple[float, float]
    squares: tuple[float, float]


def progress_of(row: RowDays, users: int) -> Matrix:
    """Return x of each slot, float64 (slots,); users : of the shard."""
    return progress(row.days, row.mean_days(users)[row.users])


def draw_user_times(
    row: RowDays, before: UserTimes, sums: Matrix, precisions: Matrix, calendar: Calendar, levels: Sequence[float],
    generator: np.random.Generator,
) -> UserTimes:  # fmt: skip
    """Draw the effects of a user shard, of days and then of drift.

    Parameters
    ----------
    sums : float64 (slots,), of residuals without the effects before; precisions : float64 (users,), of a rating.
    """
    each, days, drift = precisions[row.users], before.days, before.drift
    if DAYS in calendar.effects:
        precision = each * row.counts + levels[EFFECTS.index(DAYS)]
        days = _drawn(each * (sums + row.counts * before.days), precision, generator) * row.of_several
        sums = sums - row.counts * (days - before.days)
    if DRIFT in calendar.effects:
        x, users = progress_of(row, len(drift)), len(drift)
        told, pull = (
            np.asarray(np.bincount(row.users, given, users), np.float64)
            for given in (each * row.counts * x**2, each * x * (sums + row.counts * x * drift[row.users]))
        )
        drift = _drawn(pull, told + levels[EFFECTS.index(DRIFT)], generator) * (told > 0.0)
    return UserTimes(days, drift)


def squares_of(row: RowDays, times: UserTimes) -> Squares:
    """Return the sums from which precisions are drawn."""
    drifting = float(np.sum(np.bincount(row.users[row.of_several], minlength=len(times.drift)) > 0))
    counts = (float(np.sum(row.of_several)), drifting)
    return Squares(counts, (sum_of_squares(times.days), sum_of_squares(times.drift)))


def sum_of_squares(numbers: Rows) -> float:
    """Return the sum of squares in float64, whose bits do not depend on where the numbers lie, as BLAS' do."""
    return float(np.sum(np.square(numbers, dtype=np.float64)))


def draw_item_times(
    before: ItemTimes, sums: Matrix, precisions: Matrix, calendar: Calendar, squares: Sequence[Squares],
    generator: np.random.Generator, first: bool,
) -> ItemTimes:  # fmt: skip
    """Draw the effects of all items, and then all precisions.

    Parameters
    ----------
    sums, precisions : float64 (items, bins), of residuals without the effects before, times their precisions, and of
        these. first : whether this is the first sweep, whose effects were drawn from zeros: precisions stay.
    """
    table, levels, counts, lengths = before.table, before.levels, np.zeros(3), np.zeros(3)
    if BINS in calendar.effects:
        old = before.table.astype(np.float64)
        drawn = _drawn(sums + precisions * old, precisions + levels[EFFECTS.index(BINS)], generator)
        table = (drawn * np.any(precisions > 0.0, axis=1)[:, None]).astype(np.float32)
        counts[2], lengths[2] = np.sum(precisions > 0.0), np.sum(table[precisions > 0.0].astype(np.float64) ** 2)
    for each in squares:
        counts[:2] += each.counts
        lengths[:2] += each.squares
    drawn_levels = generator.gamma(SHAPE + counts / 2.0, 1.0 / (RATE + lengths / 2.0))
    return replace(before, table=table, levels=before.levels if first else tuple(drawn_levels.tolist()))


def _drawn(pull: Matrix, precision: Matrix, generator: np.random.Generator) -> Matrix:
    return np.asarray(pull / precision + generator.standard_normal(precision.shape) / np.sqrt(precision))
