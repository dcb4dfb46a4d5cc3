"""The mean of many draws as one model of low rank, without ever multiplying it out.

Covers: the sum of draws so far as compact factors, merging further draws into it, and cutting it to a rank.
Does not cover: the draws (draws.py), QR in parts (tasks/model/canonical.py), the order of merges
(pipeline/training/methods/bayes_graph.py).

The sum of M products U_m V_m^T is the product of the stacked factors, [U_1 … U_M] [V_1 … V_M]^T, of rank M k. With
their thin QR, U = Q_u R_u and V = Q_v R_v, and the SVD R_u R_v^T = W S Z^T of a small core, the nearest product of rank
r has the factors U R_v^T Z S^(-1/2) and V R_u^T W S^(-1/2), of the first r columns: no Q is needed. A merge stacks the
compact factors so far and the new draws. What it cuts off has the squared length of the singular values left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from funkflow.tasks.grid.factor_shard import FactorShard, shard_of
from funkflow.tasks.grid.solved_rows import Matrix, Rows
from funkflow.tasks.kernels.buffers import Weighed
from funkflow.tasks.model.canonical import LEAF_ROWS, qr_r

_NEGLIGIBLE = 1e-12


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


def stacked_r(compact: CompactShard, draws: Sequence[Rows], biases: bool) -> Matrix:
    """Return R of the QR of a shard's compact factors beside those of new draws."""
    rows = max(1, len(compact.factors))
    leaves = [qr_r(_stacked(compact, draws, biases, slice(at, at + LEAF_ROWS))) for at in range(0, rows, LEAF_ROWS)]
    return leaves[0] if len(leaves) == 1 else qr_r(np.concatenate(leaves))


def find_merge(rank: int, shards: int, *parts: Matrix) -> Merge:
    """Return the merge to a rank, from `stacked_r` of the user shards, then of the item shards."""
    users, items = (qr_r(np.concatenate(side)) for side in (parts[:shards], parts[shards:]))
    left, values, right = np.linalg.svd(users @ items.T, full_matrices=False)
    kept = min(rank, int(np.sum(values > _NEGLIGIBLE * values[0])) if values[0] > 0 else 0)
    roots, squares = np.sqrt(values[:kept]), values**2
    of_users, of_items = items.T @ right[:kept].T / roots, users.T @ left[:, :kept] / roots
    return Merge(of_users, of_items, values[:kept], float(np.sum(squares[kept:])), float(np.sum(squares)))


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
