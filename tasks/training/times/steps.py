"""Steps of the effects of time in stochastic descent.

Covers: a row of blocks without effects, the step of a shard of users, the ridges after it, when a step is due.
Does not cover: draws (effects.py), the epoch around a step (tasks/training/sgd_epochs.py,
pipeline/training/methods/sgd_graph.py).

With rows as they are, the effect a of a user on a day with n ratings is the least of the sum of squared errors plus
k a^2, the sum of errors without it divided by n + k; drift likewise. k is the variance of errors over that of effects,
which is estimated from the last step: the mean of a^2 and of its own variance, s / (n + k) (Dempster, Laird & Rubin
1977). So no number is tuned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import overload

import numpy as np

from funkflow.tasks.grid.block import BlockRow, RatingBlock
from funkflow.tasks.grid.scaling import Scaling
from funkflow.tasks.grid.solved_rows import Matrix, Rows
from funkflow.tasks.kernels.buffers import Weighed
from funkflow.tasks.time_effects import DAYS, DRIFT
from funkflow.tasks.training.times.effects import UserTimes, progress_of, sum_of_squares
from funkflow.tasks.training.times.row_days import RowDays
from funkflow.tasks.training.times.row_sums import block_without, residuals_of_block

FIRST_STEP, STEP_EPOCHS = 4, 2
"""The first epoch at whose end effects take a step, and epochs from one step to the next. Steps from the first epoch on
keep `auto` of train.implicit from seeing that means explain rows: latest-small, random 10 %, rank 64, ends at 0.8441,
with steps from the fourth on at 0.8333. A step in every epoch ends within 0.0001 of one in every second on MovieLens
1M (0.8212), a step in every fourth 0.0008 above."""
FIRST_RIDGE = 20.0


@dataclass(frozen=True)
class ShareTimes(Weighed):
    """The effects of a share of user shards, and k of days and of drift."""

    shards: tuple[UserTimes, ...]
    ridges: tuple[float, float] = (FIRST_RIDGE, FIRST_RIDGE)

    @classmethod
    def zeros(cls, days: Sequence[RowDays], users: Sequence[int]) -> ShareTimes:
        """Return effects of 0; users : of each shard."""
        return cls(tuple(UserTimes.zeros(*each) for each in zip(days, users, strict=True)))


@dataclass(frozen=True)
class StepSums:
    """Sums over a user shard at a step.

    ratings, squares : number, and sum of squared errors before it; counts, lengths, inverses : of days and of drift,
    how many effects there are, the sum of their squares, and that of 1 / (n + k).
    """

    ratings: float
    squares: float
    counts: tuple[float, float]
    lengths: tuple[float, float]
    inverses: tuple[float, float]


@dataclass(frozen=True)
class RowWithoutTimes(Sequence[RatingBlock]):
    """A row of blocks whose ratings lack the effects of time, worked out at each access.

    effects : float32 (slots,), in units of `deviation`; first : number of the first block among those of `row`.
    """

    blocks: BlockRow
    row: RowDays
    effects: Rows
    deviation: float
    first: int = 0

    @classmethod
    def of(cls, blocks: BlockRow, row: RowDays, times: UserTimes, deviation: float) -> RowWithoutTimes:
        """Return the row for the effects of its users."""
        return cls(blocks, row, times.of_slots(row).astype(np.float32), deviation)

    def __len__(self) -> int:
        return len(self.blocks)

    @overload
    def __getitem__(self, column: int) -> RatingBlock: ...
    @overload
    def __getitem__(self, column: slice) -> RowWithoutTimes: ...
    def __getitem__(self, column: int | slice) -> RatingBlock | RowWithoutTimes:
        if isinstance(column, slice):
            begin = column.indices(len(self))[0]
            return replace(self, blocks=self.blocks[column], first=self.first + begin)  # type: ignore[arg-type]
        return block_without(self.blocks[column], self.row.slots[self.first + column], self.effects, self.deviation)


def is_step_due(epoch: int) -> bool:
    """Return whether effects take a step at the end of an epoch, counted from 1."""
    return epoch >= FIRST_STEP and (epoch - FIRST_STEP) % STEP_EPOCHS == 0


def rows_without(
    rows: Sequence[BlockRow], days: Sequence[RowDays] | None, times: ShareTimes | None, deviation: float
) -> Sequence[Sequence[RatingBlock]]:
    """Return the rows of blocks of a share without the effects of time, if it has some."""
    if days is None or times is None:
        return rows
    return [RowWithoutTimes.of(*each, deviation) for each in zip(rows, days, times.shards, strict=True)]


def step_times(
    blocks: BlockRow, row: RowDays, before: UserTimes, users: Rows, items: Sequence[Rows], scaling: Scaling,
    ridges: tuple[float, float], effects: Sequence[str],
) -> tuple[UserTimes, StepSums]:  # fmt: skip
    """Return the effects of a user shard after a step, and their sums.

    Parameters
    ----------
    users, items : rows as row solves have them, of the shard and of all item shards (tasks/grid/solved_rows.py).
    effects : which there are.
    """
    bare, sums, squares = RowWithoutTimes.of(blocks, row, before, scaling.deviation), np.zeros(len(row.days)), 0.0
    for column, shard in enumerate(items):
        residuals = residuals_of_block(bare[column], row.slots[column], users, shard, scaling, sums)
        squares += sum_of_squares(residuals)
    days, drift, several = before.days, before.drift, row.of_several
    inverse = lengths = counts = (0.0, 0.0)
    if DAYS in effects:
        told = row.counts + ridges[0]
        days = (sums + row.counts * before.days) / told * several
        sums = sums - row.counts * (days - before.days)
        inverse, lengths = (float(np.sum(1.0 / told[several])), 0.0), (sum_of_squares(days), 0.0)
        counts = (float(np.sum(several)), 0.0)
    if DRIFT in effects:
        x, users_count = progress_of(row, len(drift)), len(drift)
        told, pull = (
            np.asarray(np.bincount(row.users, given, users_count), np.float64)
            for given in (row.counts * x**2, x * (sums + row.counts * x * drift[row.users]))
        )
        drift, moves = pull / (told + ridges[1]), told > 0.0
        inverse = (inverse[0], float(np.sum(1.0 / (told + ridges[1])[moves])))
        lengths, counts = (lengths[0], sum_of_squares(drift)), (counts[0], float(np.sum(moves)))
    return UserTimes(days, drift), StepSums(float(np.sum(row.counts)), squares, counts, lengths, inverse)


def ridges_of(parts: Sequence[StepSums], before: tuple[float, float]) -> tuple[float, float]:
    """Return k of days and of drift after a step; parts : of all user shards, in order."""
    variance = sum(part.squares for part in parts) / max(1.0, sum(part.ratings for part in parts))
    found = []
    for number, ridge in enumerate(before):
        count, length, inverse = (
            sum(getattr(part, name)[number] for part in parts) for name in ("counts", "lengths", "inverses")
        )
        spread = length + variance * inverse
        found.append(variance * count / spread if spread > 0.0 else ridge)
    return found[0], found[1]


def written_times(times: ShareTimes, shard: int) -> Matrix:
    """Return the effects of one shard as an array: of days, of drift, and k of both."""
    each = times.shards[shard]
    return np.concatenate([each.days, each.drift, times.ridges])


def read_times(arrays: Sequence[Matrix], users: Sequence[int]) -> ShareTimes:
    """Return the effects of a share from such arrays; users : of each shard."""
    shards = tuple(
        UserTimes(array[: -rows - 2], array[-rows - 2 : -2]) for array, rows in zip(arrays, users, strict=True)
    )
    return ShareTimes(shards, (float(arrays[0][-2]), float(arrays[0][-1])))
