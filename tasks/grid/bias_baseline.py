"""Sums and counts of the ratings of each row, and the two baselines: the mean, and the mean with damped biases.

Covers: the sums of a block, which rows have ratings, and the baselines' shards; the same code scores them as any model.
Does not cover: the loop over ratings (tasks/kernels/row_sums.py), the biases of the trained model
(tasks/training/sgd.py).

The biases are Koren's decoupled estimate (Koren 2010, section 2.1): b_i = sum(r - µ) / (25 + n_i), then
b_u = sum(r - µ - b_i) / (10 + n_u).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from funkflow.tasks.grid.block import BlockRow, RatingBlock
from funkflow.tasks.grid.factor_shard import FactorShard, shard_of
from funkflow.tasks.kernels.row_sums import residual_sums

ITEM_DAMPING, USER_DAMPING = 25.0, 10.0
Sums = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]
"""Sum and count of each row, float64 (rows,)."""
RatedRows = tuple[npt.NDArray[np.bool_], tuple[npt.NDArray[np.bool_], ...]]
"""Which users of a row of blocks, and which items of each of its blocks, have ratings: bool (rows,)."""


def block_sums(block: RatingBlock, mean: float, item_biases: npt.NDArray[np.float64]) -> tuple[Sums, Sums]:
    """Return sums and counts of r - mean - b_i by user, and of r - mean by item, in rating units."""
    users, items = ((np.zeros(rows), np.zeros(rows)) for rows in block.shape)
    coded = (block.codes, block.scaled_levels(0.0, 1.0))
    residual_sums(block.coding)(*block.places, *coded, mean, item_biases, *itertools.chain(users, items))
    return users, items


def rows_with_ratings(row: BlockRow) -> RatedRows:
    """Return the users of a row of blocks, and the items of each block, that have ratings."""
    sums = [block_sums(block, 0.0, np.zeros(block.shape[1])) for block in row]
    users: npt.NDArray[np.bool_] = np.any([counts > 0 for (_, counts), _ in sums], axis=0)
    return users, tuple(counts > 0 for _, (_, counts) in sums)


def mean_shard(rows: int) -> FactorShard:
    """Return a shard with biases and factors of 0: it predicts the mean."""
    return _with_biases(np.zeros(rows))


def item_sums(row: BlockRow, mean: float) -> list[Sums]:
    """Return for each block of a row the sum of r - µ and the number of ratings of its items."""
    return [block_sums(block, mean, np.zeros(block.shape[1]))[1] for block in row]


def item_bias_shard(sums: Sequence[list[Sums]], shard: int) -> FactorShard:
    """Return item shard `shard` with its damped biases, from the sums of all rows of blocks, in rating units."""
    total, count = (np.sum([row[shard][part] for row in sums], axis=0) for part in range(2))
    return _with_biases(total / (ITEM_DAMPING + count))


def user_bias_shard(row: BlockRow, mean: float, *items: FactorShard) -> FactorShard:
    """Return a user shard with its damped biases, given those of all item shards, in rating units."""
    sums = [
        block_sums(block, mean, shard.biases.astype(np.float64))[0] for block, shard in zip(row, items, strict=True)
    ]
    total, count = (np.sum([each[part] for each in sums], axis=0) for part in range(2))
    return _with_biases(total / (USER_DAMPING + count))


def _with_biases(biases: npt.NDArray[np.float64]) -> FactorShard:
    return shard_of(np.zeros((len(biases), 1)), biases)
