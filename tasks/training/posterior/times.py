"""Effects of time in a sweep: ratings less the effects before it, and new effects after it.

Covers: the tasks of a sweep, their order, where chains start, sums of effects over draws.
Does not cover: effects and their draws (tasks/training/times/), the graph of a sweep
(pipeline/training/methods/bayes_graph.py).

Rows are drawn from ratings less the effects of time, so that no draw of rows knows of them. Then the effects of each
user are drawn where the user's ratings are, and those of all items from sums over all rows of blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from funkflow.tasks.grid.block import BlockRow, RatingBlock
from funkflow.tasks.grid.solved_rows import Matrix
from funkflow.tasks.kernels.buffers import Weighed
from funkflow.tasks.noise import Stream
from funkflow.tasks.training.posterior.implicit import Tasks
from funkflow.tasks.training.posterior.sweep_parts import ItemDraw, Model, UserDraw
from funkflow.tasks.training.times.effects import (
    ItemTimes,
    Squares,
    UserTimes,
    draw_item_times,
    draw_user_times,
    squares_of,
)
from funkflow.tasks.training.times.row_days import RowDays
from funkflow.tasks.training.times.row_sums import BinSums, blocks_without, residuals_of, sums_by_bin
from funkflow.tasks.training.times.steps import read_times


@dataclass(frozen=True)
class TimedUsers(Weighed):
    """A user shard with new effects, and its parts of the sums for those of the items."""

    users: UserDraw
    sums: BinSums
    squares: Squares


def without_times(
    tasks: Tasks, days: Sequence[Any], users: Sequence[Any], items: Any, model: Model
) -> list[Any]:  # fmt: skip
    """Return the rows of blocks without the effects of time; days : `RowDays` of each."""
    return tasks.by_row("without-times", blocks_of_sweep, [days, users], items, model)


def with_times(
    tasks: Tasks, blocks: Sequence[Any], days: Sequence[Any], users: Sequence[Any], before: Any, items: Any,
    model: Model, stream: Stream,
) -> tuple[list[Any], Any]:  # fmt: skip
    """Return drawn users and items with new effects; blocks : of `without_times`; before : the items before."""
    timed = tasks.by_row("times-of-users", draw_times_of_users, [blocks, days, users], before, items, model, stream)
    parts = [tasks.one(f"sums-of-times-{a:03d}", parts_of, each) for a, each in enumerate(timed)]
    with_new = [tasks.one(f"timed-users-{a:03d}", users_of, each) for a, each in enumerate(timed)]
    return with_new, tasks.one("times-of-items", draw_times_of_items, before, items, model, stream, *parts)


def blocks_of_sweep(
    blocks: BlockRow, _counts: Matrix, _shard: int, days: RowDays, users: UserDraw, items: ItemDraw, model: Model
) -> tuple[RatingBlock, ...]:
    """Return a row of blocks without the effects of time."""
    mine, others = _times_of(users, items)
    return blocks_without(blocks, days, mine, others, model.calendar, model.objective.scaling.deviation)


def draw_times_of_users(
    _blocks: BlockRow, _counts: Matrix, shard: int, blocks: tuple[RatingBlock, ...], days: RowDays, users: UserDraw,
    before: ItemDraw, items: ItemDraw, model: Model, stream: Stream,
) -> TimedUsers:  # fmt: skip
    """Draw the effects of a user shard.

    Parameters
    ----------
    blocks : without the effects before; before : the items before the sweep, with their effects; items : drawn.
    """
    mine, others = _times_of(users, before)
    residuals, sums = residuals_of(blocks, days, users.rows, items.shards, model.objective.scaling)
    precisions = items.noise.precision * users.weights
    generator = stream.generator("times of users", shard)
    drawn = draw_user_times(days, mine, sums, precisions, model.calendar, others.levels, generator)
    change = drawn.of_slots(days) - mine.of_slots(days)
    by_bin = sums_by_bin(blocks, days, residuals, change, precisions, model.calendar)
    return TimedUsers(replace(users, times=drawn), by_bin, squares_of(days, drawn))


def users_of(timed: TimedUsers) -> UserDraw:
    """Return the users alone."""
    return timed.users


def parts_of(timed: TimedUsers) -> tuple[BinSums, Squares]:
    """Return the sums alone."""
    return timed.sums, timed.squares


def draw_times_of_items(
    before: ItemDraw, items: ItemDraw, model: Model, stream: Stream, *parts: tuple[BinSums, Squares]
) -> ItemDraw:
    """Draw the effects of all items, and the precisions of all effects."""
    assert before.times is not None
    sums, weights = (np.sum([getattr(each, name) for each, _ in parts], axis=0) for name in ("sums", "weights"))
    squares, generator = [each for _, each in parts], stream.generator("times of items")
    drawn = draw_item_times(before.times, sums, weights, model.calendar, squares, generator, first=stream.sweep == 1)
    return replace(items, times=drawn)


def first_item_times(items: ItemDraw, model: Model) -> ItemDraw:
    """Return items with effects of 0."""
    return replace(items, times=ItemTimes.zeros(sum(map(len, items.shards)), model.calendar))


def first_user_times(users: UserDraw, days: RowDays, written: Matrix | None) -> UserDraw:
    """Return a user shard with effects of 0, or those of `steps.written_times`."""
    if written is None:
        return replace(users, times=UserTimes.zeros(days, len(users.rows)))
    return replace(users, times=read_times([written], [len(users.rows)]).shards[0])


def resumed_user_times(users: UserDraw, written: Matrix) -> UserDraw:
    """Return a user shard with its effects of a checkpoint."""
    return replace(users, times=user_times(written, len(users.rows)))


def user_times(written: Matrix, users: int) -> UserTimes:
    """Return the effects of a shard of so many users from an array of theirs, of days and then of drift."""
    split = len(written) - users
    return UserTimes(written[:split], written[split:])


def levels_of(draw: ItemDraw) -> tuple[float, ...]:
    """Return the precisions of effects of time."""
    assert draw.times is not None
    return draw.times.levels


def resumed_item_times(items: ItemDraw, levels: Sequence[float], *tables: Matrix) -> ItemDraw:
    """Return all items with their effects of a checkpoint; tables : parts of these, in order."""
    return replace(items, times=ItemTimes(np.concatenate(tables), tuple(levels)))


def add_user_times(sums: UserTimes, draw: UserDraw) -> UserTimes:
    """Return a sum of effects with those of one more draw."""
    assert draw.times is not None
    return sums + draw.times


def add_item_times(sums: Matrix, draw: ItemDraw) -> Matrix:
    """Return a sum of effects of items with those of one more draw, float64 (items, bins)."""
    assert draw.times is not None
    return sums + draw.times.table


def _times_of(users: UserDraw, items: ItemDraw) -> tuple[UserTimes, ItemTimes]:
    assert users.times is not None
    assert items.times is not None
    return users.times, items.times
