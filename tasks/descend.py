"""Move one block's ratings through the gradient: the only place where factors change.

Covers: shapes, copies and the state that travels along a user shard's strata.
Does not cover: which block runs when (pipeline/runtime/strata.py), the loop over ratings (kernels.py), reading blocks
(blocks.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tasks.blocks import RatingBlock
from tasks.errors import ShardMismatch
from tasks.factors import FactorShard
from tasks.kernels import descend_ratings


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
class Descent:
    """A user shard after a stratum, with the item shard it met and the squared error summed since the epoch began.

    `squared_error` is in scaled units, summed in the fixed order of the user shard's strata. `items` is None before
    the first.
    """

    users: FactorShard
    items: FactorShard | None
    squared_error: float


def descend(block: RatingBlock, before: Descent, items: FactorShard, steps: StepSizes, first: bool) -> Descent:
    """Return both shards after one SGD pass over `block`; the inputs are never changed.

    Parameters
    ----------
    before : the user shard's last state; `first` says that an epoch begins here, so its squared error is forgotten.

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
    scaled = (block.ratings - np.float32(steps.mean)) * np.float32(1.0 / steps.deviation)
    squared_error = descend_ratings(
        block.user_rows, block.item_rows, scaled, users.factors, users.states, items.factors, items.states,
        np.float32(steps.l2), np.float32(steps.step), np.float32(steps.bias_step),
    )  # fmt: skip
    return Descent(users, items, squared_error + (0.0 if first else before.squared_error))


def items_of(descent: Descent) -> FactorShard:
    """Return the item shard alone, so that it can travel without the user shard."""
    assert descent.items is not None
    return descent.items
