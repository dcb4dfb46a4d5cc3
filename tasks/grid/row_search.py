"""Steps of conjugate gradients in every row of a shard, between passes over the ratings.

Covers: the state of all rows, the first directions, and a step.
Does not cover: the passes (tasks/training/als.py), the loops over rows (tasks/kernels/row_steps.py), the basis
(row_basis.py).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from funkflow.tasks.grid.row_basis import RowBasis
from funkflow.tasks.grid.row_objective import Objective, Seen
from funkflow.tasks.grid.solved_rows import Matrix, Rows
from funkflow.tasks.kernels.buffers import Weighed, aligned_copy, aligned_empty
from funkflow.tasks.kernels.row_steps import penalty, row_steps


@dataclass(frozen=True)
class RowProblems(Weighed):
    """What the problems of rows have beside their ratings.

    basis : of the other side; alpha : weight of a missing cell; shares, shifts : float64 (rows,), of
    `Objective.shares` and `Objective.shifts`; common : float64 (w,), the row towards which the L2 term pulls, and
    common_l2 : what its own length counts in that term; free : float64 (w,), 1 for columns that are solved for.
    """

    basis: RowBasis
    alpha: float
    shares: Matrix
    shifts: Matrix
    common: Matrix
    common_l2: float
    free: Matrix

    @classmethod
    def of(
        cls, side: str, counts: Matrix, basis: RowBasis, objective: Objective, common: Matrix | None = None
    ) -> RowProblems:
        """Return those of rows of "users" or "items".

        counts : float64 (rows,), ratings of each; common : float64 (w,), as they are, not in the basis; None: zeros.
        """
        others = objective.items if side == "users" else objective.users
        free = objective.free(len(basis.squares), side)
        shares, shifts = objective.shares(counts, others), objective.shifts(counts, others)
        common = np.zeros(len(free)) if common is None else common
        return cls(basis, objective.alpha, shares, shifts, common, objective.common_l2, free)

    def part(self, rows: slice) -> RowProblems:
        """Return those of some of the rows."""
        return replace(self, shares=self.shares[rows], shifts=self.shifts[rows])

    def penalty(self, rows: Rows) -> float:
        """Return the rows' part of the L2 term."""
        own = self.common_l2 * np.sum(self.common**2) * np.sum(self.shifts)
        return float(penalty(rows.dtype.str[1:])(rows, self.shifts, self.common, self.free) + own)


@dataclass(frozen=True)
class RowSearch(Weighed):
    """Rows x of a shard, which steps change in place, and directions p to move them along.

    In the basis: residuals r = b - A x, float64, `turned` : p. products : r^T P^-1 r, float64 (rows,).
    """

    rows: Rows
    directions: Rows
    turned: Rows
    residuals: Matrix
    products: Matrix
    problems: RowProblems

    @classmethod
    def begin(
        cls, rows: Rows, problems: RowProblems, sums: Matrix, met: Seen, noise: Matrix | None = None
    ) -> tuple[RowSearch, Seen]:
        """Return the search at its first directions, and what was seen; the penalty is that of the rows now.

        sums, met : of a pass at the rows, sums float64 (rows, w); noise : (rows, w), how far from the common row each
        row is pulled to, in the basis.
        """
        begin, _, _ = row_steps(rows.dtype.str[1:])
        basis, turned = problems.basis, aligned_empty(rows.shape, rows.dtype)
        residuals, products = np.empty(rows.shape), np.empty(len(rows))
        pulls = basis.turned(sums.astype(rows.dtype))
        if noise is not None:
            pulls += problems.shifts.astype(rows.dtype)[:, None] * noise
        everywhere, slope = begin(
            pulls, basis.coordinates(rows), basis.squares, problems.alpha, problems.shares,
            problems.shifts, basis.turned_row(problems.common), problems.free, residuals, turned, products,
        )  # fmt: skip
        search = cls(rows, basis.turned_back(turned), turned, residuals, products, problems)
        return search, replace(met, everywhere=everywhere, slope=slope, penalty=problems.penalty(rows))

    def step(self, sums: Matrix, last: bool = False) -> None:
        """Move all rows along their directions; unless it is the last time, set out in new ones.

        sums : of a pass at the directions, without targets.
        """
        _, move, set_out = row_steps(self.rows.dtype.str[1:])
        problems, lengths = self.problems, np.empty(len(self.rows))
        basis, alpha, shifts = problems.basis, problems.alpha, problems.shifts
        move(
            sums, self.rows, self.directions, basis.squares, alpha, shifts, self.turned, self.products, lengths
        )  # fmt: skip
        if last:
            return
        set_out(
            basis.turned(sums.astype(self.rows.dtype)), basis.squares, alpha, problems.shares, shifts, problems.free,
            self.residuals, self.turned, self.products, lengths,
        )  # fmt: skip
        basis.turned_back(self.turned, self.directions)

    def copy(self) -> RowSearch:
        """Return a search whose steps leave this one as it is."""
        return RowSearch(
            aligned_copy(self.rows), aligned_copy(self.directions), aligned_copy(self.turned),
            self.residuals.copy(), self.products.copy(), self.problems,
        )  # fmt: skip
