"""A row of blocks as rows of a sparse matrix, with missing entries as zero: products with dense columns.

Covers: removing the baseline, products with the matrix and its transpose, its norm, and a block as SciPy's sparse
matrix.
Does not cover: the loops (tasks/kernels/products.py), the sum over rows of blocks
(pipeline/training/methods/sparse_operator.py), the methods (tasks/training/svd_methods.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from funkflow.tasks.grid.block import BlockRow, RatingBlock
from funkflow.tasks.grid.factor_shard import FactorShard
from funkflow.tasks.kernels.products import add_product, fill_residuals
from funkflow.tasks.late import late

if TYPE_CHECKING:
    from scipy import sparse
else:
    sparse = late("scipy.sparse")

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Removed:
    """The baseline of the observed entries of one row of blocks, in rating units: mean + b_u + b_i.

    `users` : float64 (users of the row,); `items` : for each block, float64 (items,).
    """

    mean: float
    users: Matrix
    items: tuple[Matrix, ...]


def removed_from(mean: float, users: FactorShard, *items: FactorShard) -> Removed:
    """Return the baseline of the mean and the biases of a user shard and of all item shards."""
    return Removed(mean, _biases_of(users), tuple(_biases_of(each) for each in items))


def _biases_of(shard: FactorShard) -> Matrix:
    return shard.biases.astype(np.float64)


def row_product(row: BlockRow, removed: Removed, given: Matrix) -> Matrix:
    """Return the rows of A X of one user shard.

    Parameters
    ----------
    given : X, float64 (items, columns); rows of item shard 0 first, then those of 1, …

    Returns
    -------
    float64 (users of the shard, columns)
    """
    out = np.zeros((len(removed.users), given.shape[1]))
    for block, biases, part in _blocks_with_biases(row, removed):
        add_product(block.coding)(*_arguments(block, removed, biases), given[part], out, False)
    return out


def row_transposed_product(row: BlockRow, removed: Removed, given: Matrix) -> Matrix:
    """Return the part of one user shard in A^T Y.

    Parameters
    ----------
    given : its rows of Y, float64 (users of the shard, columns).

    Returns
    -------
    float64 (items, columns), rows of item shard 0 first
    """
    out = np.zeros((sum(len(biases) for biases in removed.items), given.shape[1]))
    for block, biases, part in _blocks_with_biases(row, removed):
        add_product(block.coding)(*_arguments(block, removed, biases), given, out[part], True)
    return out


def row_gram_product(row: BlockRow, removed: Removed, given: Matrix) -> Matrix:
    """Return the part of one user shard in A^T A X: both products in one task, so that A X need not travel."""
    return row_transposed_product(row, removed, row_product(row, removed, given))


def row_square(row: BlockRow, removed: Removed) -> float:
    """Return the sum of the squared entries of one row of blocks."""
    values = (residuals(block, removed, biases) for block, biases, _ in _blocks_with_biases(row, removed))
    return float(sum(np.sum(each * each) for each in values))


def residuals(block: RatingBlock, removed: Removed, item_biases: Matrix) -> Matrix:
    """Return the observed entries of a block without the baseline, float64 (n,), in its order."""
    out = np.empty(len(block))
    fill_residuals(block.coding)(*_arguments(block, removed, item_biases), out)
    return out


def sparse_block(row: BlockRow, column: int, removed: Removed) -> Any:
    """Return one block as a csr_matrix of float64.

    Not a csr_array: Dask multiplies chunks with `*`, which is elementwise for SciPy's newer arrays.
    """
    block = row[column]
    values = residuals(block, removed, removed.items[column])
    return sparse.csr_matrix((values, (block.user_rows, block.item_rows)), shape=block.shape)


def _blocks_with_biases(row: BlockRow, removed: Removed) -> Iterator[tuple[RatingBlock, Matrix, slice]]:
    """Yield each block with the biases of its items and their positions among all items."""
    start = 0
    for block, biases in zip(row, removed.items, strict=True):
        yield block, biases, slice(start, start + len(biases))
        start += len(biases)


def _arguments(block: RatingBlock, removed: Removed, item_biases: Matrix) -> tuple[Any, ...]:
    levels = block.scaled_levels(0.0, 1.0)
    return (*block.places, block.codes, levels, removed.mean, removed.users, item_biases)
