"""The grid as one sparse matrix, with missing entries as zero.

Covers: an operator for SciPy's methods, and the same matrix as a Dask array of sparse chunks.
Does not cover: the work of a task (tasks/grid/block_products.py), the methods (tasks/training/svd_methods.py).

Rows are users and columns are items, shard by shard: all rows of shard 0 first. A product takes one task a row of
blocks, and the client adds the parts in the order of the rows, so the bits are the same on any number of workers.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import scipy.sparse
from dask.delayed import delayed
from distributed import Future
from scipy.sparse.linalg import LinearOperator

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.progress.events import StageAdvanced
from funkflow.pipeline.root.manifests import Grid
from funkflow.pipeline.training.placed_grid import PlacedGrid
from funkflow.tasks.grid.block_products import (
    row_gram_product,
    row_product,
    row_square,
    row_transposed_product,
    sparse_block,
)
from funkflow.tasks.grid.factor_shard import shard_rows

Matrix = npt.NDArray[np.float64]

_PRODUCTS_A_LINE = 20
"""Products between two events: a product takes some milliseconds at least, and the metrics file keeps every event."""


class BlockMatrix(LinearOperator):
    """A - (mean + b_u + b_i) at the observed entries, 0 elsewhere: float64 (users, items).

    Parameters
    ----------
    removed : for each row of blocks, the future of a `Removed`.
    stage : for progress events.

    Attributes
    ----------
    products : number of products with A or its transpose so far; one with many columns counts once.
    """

    def __init__(
        self, context: Context, grid: Grid, data: PlacedGrid, removed: list[Future[Any]], *, stage: str
    ) -> None:
        self._context, self._data, self._removed, self._stage = context, data, removed, stage
        self._name = context.attempt
        self.heights, self.widths = (
            [shard_rows(grid.rows_of(side), grid.shards, shard) for shard in range(grid.shards)]
            for side in ("users", "items")
        )
        self.products = self._rounds = 0
        self._last: list[Future[Any]] = []
        super().__init__(np.float64, (grid.users, grid.items))  # type: ignore[call-arg]  # SciPy's types miss it

    def norm(self) -> float:
        """Return the root of the sum of all squared entries."""
        return math.sqrt(sum(self._by_row(row_square, "square", [()] * len(self.heights), products=0)))

    def as_dask_array(self) -> da.Array:
        """Return the matrix as a Dask array of csr_matrix chunks, one a block, in float64."""
        empty = scipy.sparse.csr_matrix((0, 0))
        whole: da.Array = da.block(
            [
                [
                    da.from_delayed(
                        delayed(sparse_block, pure=False)(
                            row, b, self._removed[a], dask_key_name=f"sparse-block-{self._name}-{a:03d}-{b:03d}"
                        ),
                        (height, width), meta=empty, name=f"sparse-{self._name}-{a:03d}-{b:03d}",
                    )
                    for b, width in enumerate(self.widths)
                ]
                for a, (row, height) in enumerate(zip(self._data.rows, self.heights, strict=True))
            ]
        )  # fmt: skip
        return whole

    def gram_product(self, given: Matrix) -> Matrix:
        """Return A^T A X with one task a row of blocks, float64 (items, columns)."""
        jobs = [(_contiguous(given),)] * len(self.heights)
        return functools.reduce(np.add, self._by_row(row_gram_product, "gram", jobs, products=2))

    def _matmat(self, given: Matrix) -> Matrix:
        jobs = [(_contiguous(given),)] * len(self.heights)
        return np.concatenate(self._by_row(row_product, "product", jobs))

    def _rmatmat(self, given: Matrix) -> Matrix:
        ends = np.cumsum(self.heights).tolist()
        jobs = [(_contiguous(given[end - height : end]),) for end, height in zip(ends, self.heights, strict=True)]
        return functools.reduce(np.add, self._by_row(row_transposed_product, "transposed", jobs))

    def _matvec(self, given: Matrix) -> Matrix:
        return self._matmat(given.reshape(-1, 1))[:, 0]

    def _rmatvec(self, given: Matrix) -> Matrix:
        return self._rmatmat(given.reshape(-1, 1))[:, 0]

    def _by_row(
        self, function: Callable[..., Any], doing: str, jobs: Sequence[tuple[Matrix, ...]], products: int = 1
    ) -> list[Any]:
        """Run one task a row of blocks; return the results in the order of the rows.

        One message submits all tasks, and the client releases those of the last round after it: it waits 10 ms between
        two messages, longer than a small product takes.
        """
        client, number = self._context.client, self._rounds
        keys = [f"{doing}-{self._name}-{number:06d}-{a:03d}" for a in range(len(jobs))]
        self._last = client.map(
            function, self._data.rows, self._removed, *zip(*jobs, strict=True), key=keys, pure=False
        )
        gathered: list[Any] = client.gather(self._last)
        self._rounds, self.products = number + 1, self.products + products
        if number % _PRODUCTS_A_LINE == 0:
            self._context.notify(StageAdvanced(self._stage, self.products, 0, "products"))
        return gathered


def _contiguous(given: Matrix) -> Matrix:
    return np.ascontiguousarray(given, np.float64)
