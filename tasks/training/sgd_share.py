"""The tasks of stochastic descent: each works on one share of the grid.

Covers: first shards, their means of zeros, loading and writing shards of a checkpoint, descent over a share's blocks,
scores.
Does not cover: one block (sgd.py), several epochs in a task (sgd_epochs.py), the graph of tasks
(pipeline/training/methods/sgd_graph.py).

`threads` : the number of threads of the task (pipeline/training/on_worker.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from funkflow.tasks.errors import Diverged
from funkflow.tasks.grid.bias_baseline import RatedRows
from funkflow.tasks.grid.block import BlockRow, RatingBlock
from funkflow.tasks.grid.factor_shard import (
    FactorShard,
    ShardStart,
    initial_shard,
    read_shard,
    write_shard,
    written_room,
)
from funkflow.tasks.grid.scaling import Scaling, StepSizes
from funkflow.tasks.grid.visit_order import Visit, items_of
from funkflow.tasks.kernels.threads import map_threads
from funkflow.tasks.model.about import Place
from funkflow.tasks.storage import files, npy
from funkflow.tasks.training.implicit import first_means
from funkflow.tasks.training.implicit.second_factors import Shards
from funkflow.tasks.training.score import EpochErrors, HeldOut, score_epoch
from funkflow.tasks.training.sgd import Descent, descend
from funkflow.tasks.training.sgd_epochs import EpochRun, History, step_share, with_ridges
from funkflow.tasks.training.times.held_out_times import HeldOutTimes
from funkflow.tasks.training.times.row_days import RowDays
from funkflow.tasks.training.times.steps import ShareTimes, StepSums, read_times, rows_without, written_times

_LATER_VERSIONS = 3
"""Versions of a user shard that live at once, besides the first: those in flight and the best
(pipeline/planning/method_memory.py counts them, too)."""
ItemShards = Descent | tuple[FactorShard, ...]
"""The item shards of a share: by themselves, or with the users that last met them."""


@dataclass(frozen=True)
class ShareVisits:
    """The blocks of a share's users in one stratum, by their place in the grid, in order.

    `first_row`, `first_column` : of the share's user shards, and of the item shards that they meet.
    `begins` : whether this is the first stratum of an epoch.
    """

    blocks: Sequence[Visit]
    first_row: int
    first_column: int
    begins: bool


def first_user_shards(rated: Sequence[RatedRows], start: ShardStart, mine: slice, threads: int) -> Descent:
    """Return a share of user shards before its first stratum, and leave memory for the versions that follow."""
    make = partial(initial_shard, start=start, side="user")
    of_users = [users for users, _ in rated]
    first = map_threads(lambda a, users: make(users, shard=a), range(mine.start, mine.stop), of_users, threads=threads)
    # All at once; the function releases them when it returns.
    map_threads(lambda users: written_room(len(users), start.rank), of_users * _LATER_VERSIONS, threads=threads)
    return Descent.starting(first)


def first_item_shards(rated: Sequence[RatedRows], start: ShardStart, mine: slice) -> tuple[FactorShard, ...]:
    """Return a share of item shards before its first stratum."""
    return tuple(
        initial_shard(np.logical_or.reduce([items[b] for _, items in rated]), start, "item", b)
        for b in range(mine.start, mine.stop)
    )


def load_user_shards(_rows: Sequence[BlockRow], places: Sequence[Place], rank: int, threads: int) -> Descent:
    """Read a share of user shards from a checkpoint, on the worker that holds its blocks."""
    return Descent.starting(map_threads(lambda place: read_shard(place[0], place[1], rank), places, threads=threads))


def load_item_shards(places: Sequence[Place], rank: int) -> tuple[FactorShard, ...]:
    """Read a share of item shards from a checkpoint."""
    return tuple(read_shard(*place, rank) for place in places)


def descend_share(
    rows: Sequence[BlockRow], visits: ShareVisits, before: Descent, items: ItemShards, steps: StepSizes,
    pulled: bool, threads: int, took: Callable[[float], None], days: Sequence[RowDays] | None = None,
) -> Descent:  # fmt: skip
    """Descend over the blocks of a share; call `took` with the seconds of each block.

    Parameters
    ----------
    pulled : see `descend`; days : of the ratings, where time has effects.
    """
    met = items_of(items)
    columns = slice(visits.first_column, visits.first_column + len(met))
    mine = [row[columns] for row in rows_without(rows, days, before.times, steps.deviation)]
    within = [(a - visits.first_row, b - visits.first_column) for a, b in visits.blocks]
    first = before.of_new_epoch() if visits.begins else before
    return descend(mine, within, first, met, steps, pulled=pulled, threads=threads, took=took)


def users_of(share: Descent) -> Shards:
    """Return the user shards of a share."""
    return share.users


def with_users(share: Descent, users: Shards) -> Descent:
    """Return a share with other user shards, without the items that it met."""
    return replace(share, users=users, items=None)


def begin_user_means(rows: Sequence[Sequence[RatingBlock]], share: Descent) -> Descent:
    """Return a share of users with means of zeros."""
    return replace(share, users=first_means.begin_users(rows, share.users))


def begin_item_means(
    counted: Sequence[list[first_means.Counts]], items: Descent | Shards, first: int
) -> Shards:  # fmt: skip
    """Return a share of items with means of zeros; see `begin_items`."""
    return first_means.begin_items(counted, items_of(items), first)


def begin_epochs(users: Descent, items: ItemShards, history: History) -> EpochRun:
    """Return the start of the first epoch run."""
    return EpochRun(replace(users, items=items_of(items)), None, history)


def score_sgd_share(
    held_out: Sequence[HeldOut], descent: Descent, items: Sequence[ItemShards], scaling: Scaling,
    scale: tuple[float, float], threads: int, times: Sequence[HeldOutTimes | None] = (),
) -> list[EpochErrors]:  # fmt: skip
    """Score each user shard of a share; without validation ratings, `items` is empty; times : see `score_epoch`."""
    shards = [shard for share in items for shard in items_of(share)]
    return score_epoch(held_out, descent, shards, scaling, scale, threads=threads, times=times)


def begin_times(days: Sequence[RowDays], share: Descent) -> Descent:
    """Return a share with effects of time of 0."""
    return replace(share, times=ShareTimes.zeros(days, [len(users.factors) for users in share.users]))


def load_times(share: Descent, places: Sequence[Place]) -> Descent:
    """Return a share with the effects of time of a checkpoint."""
    arrays = [npy.read_array(*place) for place in places]
    return replace(share, times=read_times(arrays, [len(users.factors) for users in share.users]))


def step_share_times(
    rows: Sequence[BlockRow], days: Sequence[RowDays], share: Descent, items: Sequence[ItemShards], scaling: Scaling,
    effects: Sequence[str], threads: int,
) -> tuple[Descent, list[StepSums]]:  # fmt: skip
    """Do what `step_share` does, with the items of all shares, in order."""
    shards = [shard for each in items for shard in items_of(each)]
    return step_share(rows, days, share, shards, scaling, effects, threads)


def sums_of_step(stepped: tuple[Descent, list[StepSums]]) -> list[StepSums]:
    """Return the sums of a step alone."""
    return stepped[1]


def end_step(stepped: tuple[Descent, list[StepSums]], sums: Sequence[Sequence[StepSums]]) -> Descent:
    """Return a share after a step, with the ridges that the sums of all shares give."""
    return with_ridges(stepped[0], [each for share in sums for each in share])


def write_share_times(share: Descent, folder: str, name: str, first: int, threads: int) -> list[tuple[str, str]]:
    """Write the effects of time of a share to a checkpoint, a file a shard, as `write_user_shards` does."""
    times = share.times
    assert times is not None
    paths = [f"{name}-{number:05d}.npy" for number in range(first, first + len(times.shards))]
    arrays = [written_times(times, shard) for shard in range(len(times.shards))]
    checksums = map_threads(
        lambda path, array: npy.write_array(files.join(folder, path), array), paths, arrays, threads=threads
    )
    return list(zip(paths, checksums, strict=True))


def write_user_shards(descent: Descent, folder: str, name: str, first: int, threads: int) -> list[tuple[str, str]]:
    """Write a share of user shards to a checkpoint; return the path of each in the folder, and its checksum.

    Parameters
    ----------
    name, first : beginning of the paths, and the number of the first shard.

    Raises
    ------
    Diverged
        A shard holds numbers that are not finite.
    """
    return _write_shards(descent.users, folder, name, first, threads)


def write_item_shards(items: ItemShards, folder: str, name: str, first: int, threads: int) -> list[tuple[str, str]]:
    """Write a share of item shards to a checkpoint, as `write_user_shards` does."""
    return _write_shards(items_of(items), folder, name, first, threads)


def _write_shards(
    shards: Sequence[FactorShard], folder: str, name: str, first: int, threads: int
) -> list[tuple[str, str]]:
    paths = [f"{name}-{number:05d}.npy" for number in range(first, first + len(shards))]
    for path, is_finite in zip(paths, map_threads(FactorShard.is_finite, shards, threads=threads), strict=True):
        if not is_finite:
            raise Diverged(f"{path}: holds numbers that are not finite")
    checksums = map_threads(
        lambda path, shard: write_shard(files.join(folder, path), shard), paths, shards, threads=threads
    )
    return list(zip(paths, checksums, strict=True))
