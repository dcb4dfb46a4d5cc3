"""The mean of many draws as one model of low rank, without ever multiplying it out.

Covers: the sum of draws so far as compact factors, merging further draws into it, and cutting it to a rank.
Does not cover: the draws (draws.py), singular vectors (tasks/model/canonical.py), the order of merges
(pipeline/training/methods/bayes_graph.py).

The sum of M products U_m V_m^T is the product of the stacked factors, [U_1 … U_M] [V_1 … V_M]^T, of rank M k. With
G_u = U^T U = R^T R, from its eigenvectors, and R G_v R^T = W S^2 W^T, the nearest product of rank r has the factors
U G_v R^T W S^(-3/2) and V R^T W S^(-1/2), of the first r columns: neither an inverse of R nor a QR of the rows is
needed, and a merge passes over the rows twice. Singular values below 1e-7 of the greatest are lost in the squares,
which float32 does not hold anyway. A merge stacks the compact factors so far and the new draws. What it cuts off has
the squared length of the singular values left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from funkflow.tasks.grid.factor_shard import FactorShard, shard_of
from funkflow.tasks.grid.solved_rows import Matrix, Rows
from funkflow.tasks.kernels.buffers import Weighed
from funkflow.tasks.model.canonical import LEAF_ROWS

_NEGLIGIBLE = 1e-14
"""Of the greatest squared singular value."""


@dataclass(frozen=True)
class CompactShard(Weighed):
    """A shard of the sum of all draws so far.

    factors : float32 (rows, r), balanced, strongest first; biases : float64 (rows,), their sum over draws.
    """

    factors: Rows
    biases: Matrix

    @classmethod
    def empty(cls, rows: int) -> CompactShard:
        """Return the sum of no draws."""
        return cls(np.zeros((rows, 0), np.float32), np.zeros(rows))


@dataclass(frozen=True)
class Merge(Weighed):
    """How stacked factors become compact ones.

    users, items : float64 (stacked columns, r). values : float64 (r,), singular values of the sum; lost : squared
    length of what the merge cut off; whole : that of the sum before.
    """

    users: Matrix
    items: Matrix
    values: Matrix
    lost: float
    whole: float


def stacked_gram(compact: CompactShard, draws: Sequence[Rows], biases: bool) -> Matrix:
    """Return X^T X of a shard's compact factors beside those of new draws, float64."""
    found: Matrix | float = 0.0
    for at in range(0, max(1, len(compact.factors)), LEAF_ROWS):
        leaf = _stacked(compact, draws, biases, slice(at, at + LEAF_ROWS))
        found = found + leaf.T @ leaf
    return np.asarray(found)


def find_merge(rank: int, shards: int, *grams: Matrix) -> Merge:
    """Return the merge to a rank, from `stacked_gram` of the user shards, then of the item shards."""
    users, items = (np.sum(side, axis=0) for side in (grams[:shards], grams[shards:]))
    squares, vectors = np.linalg.eigh(users)
    root = np.sqrt(np.maximum(squares, 0.0))[:, None] * vectors.T
    energies, left = (each[..., ::-1] for each in np.linalg.eigh(root @ items @ root.T))
    energies = np.maximum(energies, 0.0)
    kept = min(rank, int(np.sum(energies > _NEGLIGIBLE * energies[0])))
    values, turn = np.sqrt(energies[:kept]), root.T @ left[:, :kept]
    lost, whole = float(np.sum(energies[kept:])), float(np.sum(energies))
    return Merge(items @ turn / values**1.5, turn / np.sqrt(values), values, lost, whole)


def merged(compact: CompactShard, draws: Sequence[Rows], biases: bool, side: str, merge: Merge) -> CompactShard:
    """Return a shard of the sum with the new draws; side : "user" or "item"."""
    turn = merge.users if side == "user" else merge.items
    factors = np.empty((len(compact.factors), turn.shape[1]), np.float32)
    for at in range(0, len(factors), LEAF_ROWS):
        part = slice(at, at + LEAF_ROWS)
        factors[part] = _stacked(compact, draws, biases, part) @ turn
    total = compact.biases.copy()
    for rows in draws if biases else ():
        total += rows[:, -2 if side == "user" else -1]
    return CompactShard(factors, total)


def as_factor_shard(compact: CompactShard, draws: int, rank: int) -> FactorShard:
    """Return the mean of so many draws, by its strongest factors, as a shard of factors; it has `rank` columns."""
    factors = np.zeros((len(compact.factors), rank), np.float32)
    kept = compact.factors[:, :rank]
    factors[:, : kept.shape[1]] = kept / np.float32(np.sqrt(draws))
    return shard_of(factors, compact.biases / draws)


def _stacked(compact: CompactShard, draws: Sequence[Rows], biases: bool, part: slice) -> Matrix:
    """Return some rows of the compact factors and those of all draws side by side, float64."""
    factors = (rows[part, : rows.shape[1] - 2 * biases] for rows in draws)
    return np.concatenate([compact.factors[part], *factors], axis=1, dtype=np.float64)
