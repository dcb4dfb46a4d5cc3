"""What a block says of each of its users and items by itself: sums of ratings, counts, and which have any.

Covers: calling the kernel for one block, and which rows of a row of blocks have ratings.
Does not cover: the loop itself (tasks/kernels/row_sums.py), or what the sums are for (tasks/training/bias_baseline.py,
factor_shard.py).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from funkflow.tasks.grid.block import BlockRow, RatingBlock
from funkflow.tasks.kernels.row_sums import residual_sums

Sums = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]
"""Sum and count of each row, float64 (rows,)."""


def block_sums(block: RatingBlock, mean: float, item_biases: npt.NDArray[np.float64]) -> tuple[Sums, Sums]:
    """Return sums and counts of r - mean - b_i by user, and of r - mean by item, in rating units."""
    users, items = ((np.zeros(rows), np.zeros(rows)) for rows in block.shape)
    residual_sums(block.coding)(
        block.tiles, block.run_users, block.run_starts, block.cells, block.codes, block.scaled_levels(0.0, 1.0),
        mean, item_biases, *users, *items,
    )  # fmt: skip
    return users, items


def rows_seen(row: BlockRow) -> tuple[npt.NDArray[np.bool_], tuple[npt.NDArray[np.bool_], ...]]:
    """Return which users, and for each block which items, of one row of blocks have any rating."""
    sums = [block_sums(block, 0.0, np.zeros(block.shape[1])) for block in row]
    users: npt.NDArray[np.bool_] = np.any([counts > 0 for (_, counts), _ in sums], axis=0)
    return users, tuple(counts > 0 for _, (_, counts) in sums)
