"""What tests of the descent share: random shards and blocks, and both in the plain form that the slow twin takes.

Covers: making them and taking them apart. Does not cover: comparing (test_kernels.py, test_twins.py).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from funkflow.tasks.grid.block import RatingBlock
from funkflow.tasks.grid.factor_shard import FactorShard, room_for
from funkflow.tasks.grid.scaling import StepSizes
from funkflow.tasks.kernels.reference import Matrix, Run, descend_plainly
from funkflow.tasks.kernels.vector import BIAS, BIAS_SQUARES, FACTOR_SQUARES

STEPS = StepSizes(mean=3.1, deviation=1.3, l2=0.1, step=0.05, bias_step=0.04)


def random_shard(rng: np.random.Generator, rows: int, rank: int) -> FactorShard:
    """A shard in the middle of training."""
    shard = room_for(rows, rank)
    shard.factors[:] = rng.normal(size=(rows, rank)) / np.sqrt(rank)
    shard.states[:] = 0.0
    shard.states[:, BIAS] = rng.normal(size=rows)
    shard.states[:, FACTOR_SQUARES], shard.states[:, BIAS_SQUARES] = 1.0 + rng.random((2, rows))
    return shard


def random_block(
    rng: np.random.Generator,
    users: npt.NDArray[np.int64],
    items: npt.NDArray[np.int64],
    count: int,
    shape: tuple[int, int],
    levels: int = 5,
) -> RatingBlock:
    """At most `count` ratings of these users for these items, of so many levels; 0: any number."""
    pairs = np.unique(np.stack([rng.choice(users, count), rng.choice(items, count)], axis=1), axis=0)
    ratings = rng.integers(1, levels + 1, len(pairs)) * 5 / levels if levels else rng.normal(3.0, 1.0, len(pairs))
    return RatingBlock.of(pairs[:, 0], pairs[:, 1], ratings.astype(np.float32), shape)


def as_plain(shard: FactorShard) -> dict[str, Matrix]:
    states = shard.states.astype(np.float64)
    columns = {"bias": BIAS, "factor_squares": FACTOR_SQUARES, "bias_squares": BIAS_SQUARES}
    return {"factors": shard.factors.astype(np.float64), **{name: states[:, at].copy() for name, at in columns.items()}}


def plain_tiles(block: RatingBlock, steps: StepSizes) -> list[list[Run]]:
    """The ratings of a block, scaled, by tile and run."""
    scaled = (block.ratings.astype(np.float64) - steps.mean) / steps.deviation
    rows = list(zip(block.user_rows.tolist(), block.item_rows.tolist(), scaled.tolist(), strict=True))
    starts = block.run_starts.tolist()
    return [
        [rows[starts[run] : starts[run + 1]] for run in range(first, end)] for _, first, end in block.tiles.tolist()
    ]


def twin_of(block: RatingBlock, users: FactorShard, items: FactorShard, steps: StepSizes = STEPS):  # type: ignore[no-untyped-def]
    """What the slow twin makes of the same shards: both in plain form, and the squared error."""
    plain_users, plain_items = as_plain(users), as_plain(items)
    error = descend_plainly(plain_tiles(block, steps), plain_users, plain_items, steps.l2, steps.step, steps.bias_step)
    return plain_users, plain_items, error
