"""A row of blocks as rows of a sparse matrix, unknown entries as zero: its products with dense columns.

Covers: what is removed from the ratings first, products with the matrix and its transpose, its norm, and a block as
SciPy's sparse matrix.
Does not cover: the loops (tasks/kernels/products.py), adding up the rows of blocks
(pipeline/training/sparse_operator.py), or what the products are for (tasks/training/svd_methods.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse

from funkflow.tasks.grid.block import BlockRow, RatingBlock
from funkflow.tasks.grid.factor_shard import FactorShard
from funkflow.tasks.kernels.products import add_product, fill_residuals

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Removed:
    """What is taken from the known entries of one row of blocks, in rating units: mean + b_u + b_i.

    `users` : float64 (users of the row,); `items` : for each block, float64 (items,).
    """

    mean: float
    users: Matrix
    items: tuple[Matrix, ...]


def removed_from(mean: float, users: FactorShard, *items: FactorShard) -> Removed:
    """Return the mean and the biases of a user shard and of all item shards as what is removed."""
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
    for block, biases, part in _blocks(row, removed):
        add_product(block.coding)(*_arguments(block, removed, biases), given[part], out, False)
    return out


def row_transposed_product(row: BlockRow, removed: Removed, given: Matrix) -> Matrix:
    """Return what one user shard adds to A^T Y.

    Parameters
    ----------
    given : its rows of Y, float64 (users of the shard, columns).

    Returns
    -------
    float64 (items, columns), rows of item shard 0 first
    """
    out = np.zeros((sum(len(biases) for biases in removed.items), given.shape[1]))
    for block, biases, part in _blocks(row, removed):
        add_product(block.coding)(*_arguments(block, removed, biases), given, out[part], True)
    return out


def row_gram_product(row: BlockRow, removed: Removed, given: Matrix) -> Matrix:
    """Return what one user shard adds to A^T A X; both products at once, so that A X need not travel."""
    return row_transposed_product(row, removed, row_product(row, removed, given))


def row_square(row: BlockRow, removed: Removed) -> float:
    """Return the sum of the squared entries of one row of blocks."""
    values = (residuals(block, removed, biases) for block, biases, _ in _blocks(row, removed))
    return float(sum(np.sum(each * each) for each in values))


def residuals(block: RatingBlock, removed: Removed, item_biases: Matrix) -> Matrix:
    """Return the known entries of a block, float64 (n,), in its order."""
    out = np.empty(len(block))
    fill_residuals(block.coding)(*_arguments(block, removed, item_biases), out)
    return out


def sparse_block(row: BlockRow, column: int, removed: Removed) -> Any:
    """Return one block as a csr_matrix of float64.

    Of the older kind on purpose: Dask multiplies chunks with `*`, which for SciPy's newer arrays goes by element.
    """
    block = row[column]
    values = residuals(block, removed, removed.items[column])
    return scipy.sparse.csr_matrix((values, (block.user_rows, block.item_rows)), shape=block.shape)


def _blocks(row: BlockRow, removed: Removed) -> Iterator[tuple[RatingBlock, Matrix, slice]]:
    """Yield each block with the biases of its items and where these lie among all items."""
    start = 0
    for block, biases in zip(row, removed.items, strict=True):
        yield block, biases, slice(start, start + len(biases))
        start += len(biases)


def _arguments(block: RatingBlock, removed: Removed, item_biases: Matrix) -> tuple[Any, ...]:
    return (
        block.tiles, block.run_users, block.run_starts, block.cells, block.codes, block.scaled_levels(0.0, 1.0),
        removed.mean, removed.users, item_biases,
    )  # fmt: skip
