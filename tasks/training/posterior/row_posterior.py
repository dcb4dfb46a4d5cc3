"""What the posterior of a side's rows has beside their ratings: their prior, the noise, and a basis.

Covers: the problems whose solutions are draws, and the pulls of the prior in them.
Does not cover: noise on ratings, the solves (draws.py), draws of the prior (priors.py).

All is divided by tau, and in a user's row by tau a_u. In the basis where L, the prior's precision, is the identity, the
shift of each row is 1 over the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from funkflow.tasks.grid.row_basis import RowBasis
from funkflow.tasks.grid.row_objective import Objective
from funkflow.tasks.grid.row_search import RowProblems
from funkflow.tasks.grid.solved_rows import Matrix, Rows
from funkflow.tasks.kernels.buffers import Weighed
from funkflow.tasks.noise import Stream
from funkflow.tasks.training.posterior.priors import NoiseLevel, RowPrior


@dataclass(frozen=True)
class RowPosterior(Weighed):
    """What rows of "users" or "items" are drawn from, beside their ratings."""

    side: str
    prior: RowPrior
    basis: RowBasis
    noise: NoiseLevel

    def problems(self, counts: Matrix, objective: Objective) -> RowProblems:
        """Return the problems of some rows; counts : float64 (rows,), ratings of each."""
        others = objective.items if self.side == "users" else objective.users
        mean, shifts = self.prior.mean, np.full(len(counts), 1.0 / self.noise.precision)
        free = objective.free(len(mean), self.side)
        return RowProblems(self.basis, 0.0, counts / others, shifts, mean * free, 0.0, free)

    def pulls(self, rows: Rows, counts: Matrix, stream: Stream, *place: int) -> Rows:
        """Return how far from `prior.mean` each row is pulled, in the basis: a normal number each, and the slope."""
        number = rows.dtype.type
        pulls: Rows = stream.generator(f"rows of {self.side}", *place).standard_normal(rows.shape, dtype=number)
        pulls += np.outer(
            self.prior.away(counts).astype(number), self.basis.turned_row(self.prior.slope).astype(number)
        )
        return pulls
