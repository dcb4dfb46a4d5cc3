"""The basis in which row solves go on: there the products of all rows of the other side are diagonal.

Covers: the basis of a matrix Y^T Y, and rows turned into it and back.
Does not cover: the loops (tasks/kernels/row_steps.py), the solves (tasks/training/als.py).

A row x has the same products with rows y in any orthogonal basis. In this one the part of all cells, x^T Y^T Y x, costs
w numbers in place of w x w, and the preconditioner of every row is diagonal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from funkflow.tasks.grid.solved_rows import Matrix, Rows
from funkflow.tasks.kernels.buffers import Weighed, aligned_empty
from funkflow.tasks.kernels.row_steps import turn


@dataclass(frozen=True)
class RowBasis(Weighed):
    """A basis in which Y^T Y of the other side's rows is diagonal, in the columns that are solved for.

    vectors : float64 (w, w), one in each column; columns that are not solved for stay as they are. squares : float64
    (w,), the diagonal. inverse : float64 (w, w), of `vectors`; their transpose where they are orthogonal. Then sums
    over ratings and rows have the same coordinates.
    """

    vectors: Matrix
    squares: Matrix
    inverse: Matrix

    @classmethod
    def of(cls, gram: Matrix, free: Matrix, precision: Matrix | None = None) -> RowBasis:
        """Return the basis for Y^T Y.

        Parameters
        ----------
        free : float64 (w,), 1 for columns to solve for, 0 for fixed ones.
        precision : float64 (w,), positive: the diagonal matrix that is the identity in the basis; None: the identity
            itself, and the basis is orthogonal.
        """
        solved, roots = np.flatnonzero(free), np.ones(len(gram))
        if precision is not None:
            roots[solved] = np.sqrt(precision[solved])
        values, vectors = np.linalg.eigh((gram / np.outer(roots, roots))[np.ix_(solved, solved)])
        whole, squares = np.eye(len(gram)), np.zeros(len(gram))
        whole[np.ix_(solved, solved)], squares[solved] = vectors, np.maximum(values, 0.0)
        return cls(whole / roots[:, None], squares, (whole * roots[:, None]).T)

    def turned(self, rows: Rows) -> Rows:
        """Return sums over ratings in this basis, as an aligned copy."""
        return _times(rows, self.vectors, aligned_empty(rows.shape, rows.dtype))

    def coordinates(self, rows: Rows) -> Rows:
        """Return rows in this basis, as an aligned copy."""
        return _times(rows, self.inverse.T, aligned_empty(rows.shape, rows.dtype))

    def turned_row(self, row: Matrix) -> Matrix:
        """Return one row, float64 (w,), in this basis."""
        return np.asarray(np.sum(row[:, None] * self.inverse.T, axis=0))

    def turned_back(self, rows: Rows, room: Rows | None = None) -> Rows:
        """Return rows of this basis as they were, in `room`, (rows, w), or in an aligned copy."""
        return _times(rows, self.vectors.T, aligned_empty(rows.shape, rows.dtype) if room is None else room)


def _times(rows: Rows, matrix: Matrix, room: Rows) -> Rows:
    turn(rows.dtype.str[1:])(np.ascontiguousarray(rows), np.ascontiguousarray(matrix, rows.dtype), room)
    return room
