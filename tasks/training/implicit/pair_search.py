"""Ridge regression on the matrix of known pairs, by conjugate gradients in the space of items.

Covers: the state of the search, its start, and a step.
Does not cover: the products (known_pairs.py), what is regressed (tasks/training/posterior/implicit.py).

Each column x of a matrix (items, w) solves (S N^T D N S + rho I) x = b with a rho of its own, where S is diagonal over
items and D over users. All columns take their steps together, so that a step costs one pass over the pairs and back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from funkflow.tasks.grid.block import BlockRow
from funkflow.tasks.grid.solved_rows import Matrix, Rows
from funkflow.tasks.kernels.buffers import Weighed
from funkflow.tasks.training.implicit.known_pairs import gram_part, weighted


@dataclass(frozen=True)
class PairSearch(Weighed):
    """A search between its steps.

    solution, residuals : float64 (items, w); directions : (items, w), of the rows' type; products : float64 (w,),
    r^T P^-1 r; scales, diagonal : float64 (items,), of S, and about that of S N^T D N S; shifts : float64 (w,), rho.
    """

    solution: Matrix
    residuals: Matrix
    directions: Rows
    products: Matrix
    scales: Matrix
    diagonal: Matrix
    shifts: Matrix

    @classmethod
    def begin(
        cls, solution: Matrix, residuals: Matrix, scales: Matrix, diagonal: Matrix, shifts: Matrix,
        number: npt.DTypeLike,
    ) -> PairSearch:  # fmt: skip
        """Return the search at its first directions; residuals : b - A x of the solution so far."""
        turned = residuals / (diagonal[:, None] + shifts)
        products = np.einsum("if,if->f", residuals, turned)
        return cls(solution, residuals, turned.astype(number), products, scales, diagonal, shifts)

    def part(self, blocks: BlockRow, weights: Matrix | None) -> Rows:
        """Return a user shard's part of N^T D N S p at the directions p, (items, w); weights : of D."""
        return gram_part(blocks, weighted(self.directions, self.scales), weights)

    def step(self, parts: list[Rows]) -> PairSearch:
        """Return the search after a step; parts : of all user shards, in order."""
        along = self.directions.astype(np.float64)
        image = added(parts) * self.scales[:, None] + self.shifts * along
        curvature = np.einsum("if,if->f", along, image)
        length = np.divide(self.products, curvature, out=np.zeros_like(curvature), where=curvature > 0)
        residuals = self.residuals - length * image
        turned = residuals / (self.diagonal[:, None] + self.shifts)
        products = np.einsum("if,if->f", residuals, turned)
        again = np.divide(products, self.products, out=np.zeros_like(products), where=self.products > 0)
        return replace(
            self, solution=self.solution + length * along, residuals=residuals, products=products,
            directions=(turned + again * along).astype(self.directions.dtype),
        )  # fmt: skip


def added(parts: list[Rows]) -> Matrix:
    """Return the sum of parts in float64, in order."""
    total = parts[0].astype(np.float64)
    for part in parts[1:]:
        total += part
    return total
