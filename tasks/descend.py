"""Move one block's ratings through the gradient: the only place where factors change.

Covers: shapes, copies and the state that travels along a user shard's strata.
Does not cover: which block runs when (pipeline/runtime/strata.py), which tile waits for which (wavefront.py), the loop
over ratings (kernels_descend.py), reading blocks (blocks.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.blocks import RatingBlock
from tasks.errors import ShardMismatch
from tasks.factors import FactorShard
from tasks.kernels_descend import descend_tiles
from tasks.kernels_vector import row_dtype
from tasks.memory import Weighed
from tasks.tiles import TILE_USERS
from tasks.wavefront import go_through


@dataclass(frozen=True)
class StepSizes:
    """What the step needs besides the data, all for ratings scaled to unit deviation.

    `mean` and `deviation`, in rating units, do that scaling; `bias_step` is 0 where biases are off.
    """

    mean: float
    deviation: float
    l2: float
    step: float
    bias_step: float


@dataclass(frozen=True)
class Descent(Weighed):
    """A user shard after a stratum, with the item shard it met and the squared error summed since the epoch began.

    `squared_error` is in scaled units, summed in the fixed order of the user shard's strata. `items` is None before
    the first.
    """

    users: FactorShard
    items: FactorShard | None
    squared_error: float


def descend(
    block: RatingBlock, before: Descent, items: FactorShard, steps: StepSizes, first: bool, threads: int = 1
) -> Descent:
    """Return both shards after one SGD pass over `block`; the inputs are never changed.

    Parameters
    ----------
    before : the user shard's last state; `first` says that an epoch begins here, so its squared error is forgotten.
    threads : how many go through the block's tiles; the bits are those of one.

    Raises
    ------
    ShardMismatch
        The block was cut for shards of other sizes.
    """
    if block.shape != (len(before.users.factors), len(items.factors)):
        raise ShardMismatch(
            f"a block of {block.shape} rows met shards of {len(before.users.factors)} and {len(items.factors)} rows"
        )
    users, items = before.users.copy(), items.copy()
    squared_error = descend_in_place(block, users, items, steps, threads)
    return Descent(users, items, squared_error + (0.0 if first else before.squared_error))


def descend_in_place(
    block: RatingBlock, users: FactorShard, items: FactorShard, steps: StepSizes, threads: int = 1
) -> float:
    """Change both shards by one SGD pass over `block`; return the sum of squared errors met, in scaled units."""
    rank, tiles = users.factors.shape[1], block.tiles
    kernel, errors = descend_tiles(rank, block.coding), np.zeros(len(tiles))

    def visit(first: int, last: int) -> None:
        kernel(
            first, last, tiles, block.run_users, block.run_starts, block.cells, block.codes,
            block.scaled_levels(steps.mean, steps.deviation), _rows(users), users.states, _rows(items), items.states,
            np.float32(steps.l2), np.float32(steps.step), np.float32(steps.bias_step), errors,
        )  # fmt: skip

    if threads == 1 or len(tiles) == 1:
        visit(0, len(tiles))
    else:
        first_users = block.run_users[tiles[:, 1]] // TILE_USERS
        places = list(zip(first_users.tolist(), tiles[:, 0].tolist(), strict=True))
        go_through(places, lambda tile: visit(tile, tile + 1), threads)
    return float(np.sum(errors))


def _rows(shard: FactorShard) -> npt.NDArray[np.void]:
    """Return the factors as records of one row each: the rank is part of the type, which the kernel goes by."""
    return shard.factors.view(row_dtype(shard.factors.shape[1]))[:, 0]


def items_of(descent: Descent) -> FactorShard:
    """Return the item shard alone, so that it can travel without the user shard."""
    assert descent.items is not None
    return descent.items
