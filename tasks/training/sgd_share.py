"""What one task of stochastic descent does to its share of the grid.

Covers: first shards, loading and writing a checkpoint's, descent over one share's blocks, several epochs, scores.
Does not cover: one block (sgd.py), one epoch's judgement (sgd_epochs.py), or which task needs what of which other task
(pipeline/training/sgd_graph.py).

`threads` is how many the task may take; pipeline/training/on_worker.py asks the worker.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from funkflow.tasks.errors import Diverged
from funkflow.tasks.grid.block import BlockRow
from funkflow.tasks.grid.factor_shard import FactorShard, initial_shard, read_shard, write_shard, written_room
from funkflow.tasks.grid.scaling import Scaling, StepSizes
from funkflow.tasks.grid.visit_order import Visit, items_of
from funkflow.tasks.kernels.threads import map_threads
from funkflow.tasks.storage import files
from funkflow.tasks.training.score import EpochErrors, HeldOut, score_epoch
from funkflow.tasks.training.sgd import Descent, descend
from funkflow.tasks.training.sgd_epochs import EpochRun, History

_LATER_VERSIONS = 3
"""Of a user shard, besides the first, alive at once: those in flight and the best (pipeline/planning/budget.py counts
them, too)."""
ItemShards = Descent | tuple[FactorShard, ...]
"""The item shards of a share: by themselves, or with the users that last met them."""
RowsSeen = tuple[npt.NDArray[np.bool_], tuple[npt.NDArray[np.bool_], ...]]
"""Which users of a row of blocks, and which items of each block, have ratings."""


@dataclass(frozen=True)
class ShardStart:
    """What first shards are drawn from: rank, seed, P, and the expected length of a row."""

    rank: int
    seed: int
    shards: int
    length: float


@dataclass(frozen=True)
class ShareVisits:
    """The blocks that a share's users go through in one turn, by their place in the grid, in order.

    `first_row`, `first_column` : of the share's user shards, and of the item shards that they meet.
    `begins` : whether an epoch begins here.
    """

    blocks: Sequence[Visit]
    first_row: int
    first_column: int
    begins: bool


def first_user_shards(seen: Sequence[RowsSeen], start: ShardStart, mine: slice, threads: int) -> Descent:
    """Return a share of user shards before its first turn, and leave memory for the versions that follow."""
    make = partial(initial_shard, rank=start.rank, seed=start.seed, side="user", shards=start.shards,
                   length=start.length)  # fmt: skip
    of_users = [users for users, _ in seen]
    first = map_threads(lambda a, users: make(users, shard=a), range(mine.start, mine.stop), of_users, threads=threads)
    # All at once, and gone when this returns.
    map_threads(lambda users: written_room(len(users), start.rank), of_users * _LATER_VERSIONS, threads=threads)
    return Descent.starting(first)


def first_item_shards(seen: Sequence[RowsSeen], start: ShardStart, mine: slice) -> tuple[FactorShard, ...]:
    """Return a share of item shards before its first turn; an item is seen if any row of blocks has it."""
    make = partial(initial_shard, rank=start.rank, seed=start.seed, side="item", shards=start.shards,
                   length=start.length)  # fmt: skip
    return tuple(
        make(np.logical_or.reduce([items[b] for _, items in seen]), shard=b) for b in range(mine.start, mine.stop)
    )


def load_user_shards(_rows: Sequence[BlockRow], entries: Sequence[tuple[str, str, int]], threads: int) -> Descent:
    """Read a share of user shards from a checkpoint, on the worker that holds its blocks."""
    return Descent.starting(map_threads(lambda entry: read_shard(*entry), entries, threads=threads))


def load_item_shards(entries: Sequence[tuple[str, str, int]]) -> tuple[FactorShard, ...]:
    """Read a share of item shards from a checkpoint."""
    return tuple(read_shard(*entry) for entry in entries)


def descend_share(
    rows: Sequence[BlockRow], visits: ShareVisits, before: Descent, items: ItemShards, steps: StepSizes,
    threads: int, took: Callable[[float], None],
) -> Descent:  # fmt: skip
    """Descend over the blocks of a share; `took` is told the seconds of each block."""
    met = items_of(items)
    columns = slice(visits.first_column, visits.first_column + len(met))
    mine = [row[columns] for row in rows]
    within = [(a - visits.first_row, b - visits.first_column) for a, b in visits.blocks]
    return descend(mine, within, before, met, steps, visits.begins, threads, took)


def begin_epochs(users: Descent, items: ItemShards, history: History) -> EpochRun:
    """Return a state as several epochs in one task take it."""
    return EpochRun(Descent(users.users, items_of(items), users.squared_errors), None, history)


def score_sgd_share(
    held_out: Sequence[HeldOut], descent: Descent, items: Sequence[ItemShards], scaling: Scaling,
    scale: tuple[float, float], threads: int,
) -> list[EpochErrors]:  # fmt: skip
    """Score each user shard of a share; where nothing is held out, `items` are none."""
    return score_epoch(
        held_out, descent, [shard for share in items for shard in items_of(share)], scaling, scale, threads
    )


def write_user_shards(descent: Descent, folder: str, set_name: str, first: int, threads: int) -> list[dict[str, str]]:
    """Write a share of user shards to a checkpoint; return path and checksum of each.

    Raises
    ------
    Diverged
        A shard holds numbers that are not finite.
    """
    return _write_shards(descent.users, folder, f"{set_name}/user", first, threads)


def write_item_shards(items: ItemShards, folder: str, set_name: str, first: int, threads: int) -> list[dict[str, str]]:
    """Write a share of item shards to a checkpoint, as `write_user_shards` does."""
    return _write_shards(items_of(items), folder, f"{set_name}/item", first, threads)


def _write_shards(
    shards: Sequence[FactorShard], folder: str, name: str, first: int, threads: int
) -> list[dict[str, Any]]:
    paths = [f"{name}-{number:05d}.npy" for number in range(first, first + len(shards))]
    for path, is_finite in zip(paths, map_threads(FactorShard.is_finite, shards, threads=threads), strict=True):
        if not is_finite:
            raise Diverged(f"{path}: holds numbers that are not finite")
    checksums = map_threads(
        lambda path, shard: write_shard(files.join(folder, path), shard), paths, shards, threads=threads
    )
    return [{"path": path, "checksum": checksum} for path, checksum in zip(paths, checksums, strict=True)]
