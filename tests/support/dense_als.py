"""Alternating row solves in plain NumPy on whole matrices: what the tasks of tasks/training/als.py must equal.

Covers: the objective summed cell by cell, its gradient, an epoch of conjugate gradients, and the exact solves.
Does not cover: speed. It shares no code with the tasks on purpose.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Dense:
    """Targets (users, items), NaN where nothing is observed, and the numbers of J.

    sure : confidences of the observed cells, (users, items); None: all 1.
    common : the row towards which the L2 term pulls users; None: 0. toward_mean : says what its own length counts.
    """

    targets: Matrix
    alpha: float
    l2: float
    sure: Matrix | None = None
    common: Matrix | None = None
    toward_mean: float = 0.0

    @cached_property
    def transposed(self) -> Dense:
        return Dense(self.targets.T, self.alpha, self.l2, None if self.sure is None else self.sure.T)

    @cached_property
    def weights(self) -> Matrix:
        """The weight of each cell: its confidence, or alpha where nothing is observed."""
        sure = np.ones(self.targets.shape) if self.sure is None else self.sure
        return np.asarray(np.where(np.isnan(self.targets), self.alpha, sure))

    @cached_property
    def zero_filled(self) -> Matrix:
        filled: Matrix = np.where(np.isnan(self.targets), 0.0, self.targets)
        return filled

    @cached_property
    def row_weights(self) -> Matrix:
        """Return n + alpha N of each row."""
        counts = np.sum(np.where(np.isnan(self.targets), 0.0, self.weights), axis=1)
        return np.asarray(counts + self.alpha * self.targets.shape[1])

    def penalties(self) -> Matrix:
        """l2 (n + alpha N) of each row."""
        return self.l2 * self.row_weights

    def objective(self, left: Matrix, right: Matrix) -> float:
        """J, cell by cell; the penalty is on the free columns alone, which the caller passes as all of them."""
        errors = self.zero_filled - left @ right.T
        away, own = left, 0.0
        if self.common is not None:
            away, own = left - self.common, (1 / self.toward_mean - 1) * np.sum(self.common**2)
        of_rows = self.penalties() @ (np.sum(away**2, axis=1) + own) + self.transposed.penalties() @ np.sum(
            right**2, axis=1
        )
        return float(np.sum(self.weights * errors**2) + of_rows)

    def problem(self, row: int, right: Matrix) -> tuple[Matrix, Matrix]:
        """Return A and b of one row: A x = b where J is least in it."""
        targets, weights = self.targets[row], self.weights[row]
        matrix = (right * weights[:, None]).T @ right + self.penalties()[row] * np.eye(right.shape[1])
        pull = 0.0 if self.common is None else self.penalties()[row] * self.common
        return matrix, right.T @ (weights * np.nan_to_num(targets)) + pull

    def least_common(self, left: Matrix) -> Matrix:
        """Return the common row where J is least, as its gradient in it is 0 there."""
        weights = self.row_weights
        return np.asarray(weights @ left / (np.sum(weights) * (1 + (1 / self.toward_mean - 1))))

    def pulled(self, left: Matrix) -> Dense:
        """Return it with that row, if users have one."""
        return replace(self, common=self.least_common(left)) if self.toward_mean else self

    def as_sample(self, row: int, right: Matrix) -> Matrix:
        """Return A as it would be if the row's observed cells were a sample of all its cells."""
        weights = self.weights[row]
        share = self.alpha + (1.0 - self.alpha) * np.sum(weights[~np.isnan(self.targets[row])]) / len(right)
        return np.asarray(share * right.T @ right + self.penalties()[row] * np.eye(right.shape[1]))

    def solved(
        self, left: Matrix, right: Matrix, steps: int | None, fixed: int | None = None, rows: Iterable[int] = (),
        plain: bool = False,
    ) -> Matrix:  # fmt: skip
        """Return `left` after some steps of conjugate gradients in every row; None: at the exact solution.

        fixed : a column that stays as it is; rows : to solve; empty: all; plain : without preconditioner.
        """
        free = [column for column in range(right.shape[1]) if column != fixed]
        after = left.copy()
        for row in rows or range(len(left)):
            if np.isnan(self.targets[row]).all():
                after[row, free] = 0.0 if self.common is None else self.common
                if self.common is None:
                    continue
            matrix, wanted = self.problem(row, right)
            wanted = wanted[free] - (0.0 if fixed is None else matrix[free, fixed] * left[row, fixed])
            inner = matrix[np.ix_(free, free)]
            if steps is None:
                after[row, free] = np.linalg.solve(inner, wanted)
            else:
                guess = np.eye(len(free)) if plain else self.as_sample(row, right)[np.ix_(free, free)]
                after[row, free] = conjugate_gradients(inner, wanted, after[row, free], steps, guess)
        return after


def conjugate_gradients(matrix: Matrix, wanted: Matrix, start: Matrix, steps: int, guess: Matrix) -> Matrix:
    """Hestenes and Stiefel (1952), preconditioned by `guess`, which stands for the matrix."""
    x = start.copy()
    residual = wanted - matrix @ x
    ahead = np.linalg.solve(guess, residual)
    direction = ahead.copy()
    for _ in range(steps):
        product = residual @ ahead
        curvature = direction @ matrix @ direction
        if product == 0.0 or curvature <= 0.0:
            break
        x = x + product / curvature * direction
        residual = residual - product / curvature * matrix @ direction
        ahead = np.linalg.solve(guess, residual)
        direction = ahead + residual @ ahead / product * direction
    return x
