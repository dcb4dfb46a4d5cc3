"""Sums and counts of the ratings of each user and item of a block.

Covers: one block, and the rows of a row of blocks that have ratings.
Does not cover: the loop (tasks/kernels/row_sums.py), the use of the sums (bias_baseline.py).
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from funkflow.tasks.grid.block import BlockRow, RatingBlock
from funkflow.tasks.kernels.row_sums import residual_sums

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
