"""Stochastic gradient descent, block by block.

Covers: a pass over the blocks of a share, on copies of its shards, in several threads; and over one block.
Does not cover: the order of blocks (tasks/grid/visit_order.py), blocks that may run at the same time
(tasks/kernels/wavefront.py), the loop over ratings (tasks/kernels/sgd.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from funkflow.tasks.grid.block import RatingBlock
from funkflow.tasks.grid.factor_shard import FactorShard, refuse_other_shards
from funkflow.tasks.grid.scaling import StepSizes
from funkflow.tasks.grid.visit_order import Visit
from funkflow.tasks.kernels.buffers import Weighed
from funkflow.tasks.kernels.sgd import descend_tiles
from funkflow.tasks.kernels.threads import map_threads
from funkflow.tasks.kernels.tiles import TILE_USERS
from funkflow.tasks.kernels.vector import row_dtype
from funkflow.tasks.kernels.wavefront import visit_tiles
from funkflow.tasks.training.times.steps import ShareTimes


@dataclass(frozen=True)
class Descent(Weighed):
    """A share of user shards after a stratum, with its item shards and the squared errors since the epoch began.

    `users` : user shards, in order. `items` : the item shards that they met; None before the first stratum.
    `squared_errors` : for each user shard, in scaled units, summed in the order of its blocks. `times` : the users'
    effects of time, None for none.
    """

    users: tuple[FactorShard, ...]
    items: tuple[FactorShard, ...] | None
    squared_errors: tuple[float, ...]
    times: ShareTimes | None = None

    @classmethod
    def starting(cls, users: Sequence[FactorShard]) -> Descent:
        """Return a share before its first stratum."""
        return cls(tuple(users), None, (0.0,) * len(users))

    def of_new_epoch(self) -> Descent:
        """Return it with squared errors of 0."""
        return replace(self, squared_errors=(0.0,) * len(self.users))


def descend(
    rows: Sequence[Sequence[RatingBlock]],
    visits: Sequence[Visit],
    before: Descent,
    items: Sequence[FactorShard],
    steps: StepSizes,
    *,
    pulled: bool = False,
    threads: int = 1,
    took: Callable[[float], None] = lambda _seconds: None,
) -> Descent:
    """Return all shards after one SGD pass over blocks of a share; the inputs do not change.

    Parameters
    ----------
    rows : the row of blocks of each user shard.
    visits : the blocks in order, by the numbers of user shard and item shard within the share.
    before : the last state of the user shards. Their squared errors add up until `Descent.of_new_epoch`.
    pulled : whether the L2 term pulls rows to the means of their shards, instead of zeros.
    threads : for blocks that have no shard in common, and for a block's tiles; the bits are those of one thread.
    took : called with the seconds of each block.

    Raises
    ------
    ShardMismatch
        A block was cut for shards of other sizes.
    """
    copies = map_threads(FactorShard.copy, [*before.users, *items], threads=threads)
    users, met = copies[: len(rows)], copies[len(rows) :]
    errors = list(before.squared_errors)
    within = -(-threads // len(rows))

    def visit(number: int) -> None:
        a, b = visits[number]
        began = time.perf_counter()
        errors[a] += descend_in_place(rows[a][b], users[a], met[b], steps, within, pulled)
        took(time.perf_counter() - began)

    if threads == 1:
        for number in range(len(visits)):
            visit(number)
    else:
        visit_tiles(visits, visit, min(threads, len(rows)))
    return replace(before, users=tuple(users), items=tuple(met), squared_errors=tuple(errors))


def descend_in_place(
    block: RatingBlock, users: FactorShard, items: FactorShard, steps: StepSizes, threads: int = 1,
    pulled: bool = False,
) -> float:  # fmt: skip
    """Change both shards by one SGD pass over `block`; return the sum of squared errors on the way, in scaled units.

    Raises
    ------
    ShardMismatch
        The block was cut for shards of other sizes.
    """
    refuse_other_shards(block.shape, len(users.factors), len(items.factors))
    rank, tiles = users.factors.shape[1], block.tiles
    kernel, errors = descend_tiles(rank, block.coding, pulled), np.zeros(len(tiles))
    arguments = (
        *block.places, block.codes, block.scaled_levels(steps.mean, steps.deviation),
        _rows(users), users.states, _rows(items), items.states,
        np.float32(steps.l2), np.float32(steps.step), np.float32(steps.bias_step), errors,
        *(_means(users) + _means(items) if pulled else (None,) * 4),
    )  # fmt: skip

    def visit(first: int, last: int) -> None:
        kernel(first, last, *arguments)

    if threads == 1 or len(tiles) == 1:
        visit(0, len(tiles))
    else:
        first_users = block.run_users[tiles[:, 1]] // TILE_USERS
        places = list(zip(first_users.tolist(), tiles[:, 0].tolist(), strict=True))
        visit_tiles(places, lambda tile: visit(tile, tile + 1), threads)
    return float(np.sum(errors))


def _rows(shard: FactorShard) -> npt.NDArray[np.void]:
    return _records(shard.factors)


def _means(shard: FactorShard) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    assert shard.means is not None
    return _records(shard.means.factors), shard.means.biases


def _records(factors: npt.NDArray[np.float32]) -> npt.NDArray[np.void]:
    """Return factors as records of one row each, whose type has the rank, for the kernel."""
    return factors.view(row_dtype(factors.shape[1]))[:, 0]
