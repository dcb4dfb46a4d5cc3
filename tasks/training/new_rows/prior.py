"""Mean and covariance of the rows that training leaves, for rows that come later.

Covers: sums over a shard, second factors of items that explain the users' rows, and their files.
Does not cover: the graph of these tasks (pipeline/training/new_rows.py), the row of somebody new
(tasks/model/fold/new_row_prior.py).

Second factors y are the ridge regression of the rows on who rated what, whatever the method of training: the least of

    sum n |p - m - n^(-1/2) N y|^2 + ridge |y|^2

over users with n ratings and rows p, where N is the matrix of pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from funkflow.tasks.grid.block import RatingBlock, StoredRow
from funkflow.tasks.grid.factor_shard import read_shard
from funkflow.tasks.grid.solved_rows import Matrix, Rows
from funkflow.tasks.kernels.buffers import Weighed
from funkflow.tasks.model.about import Place
from funkflow.tasks.model.fold.new_row_prior import NewRowPrior, write_new_rows
from funkflow.tasks.storage import npy
from funkflow.tasks.training.implicit.known_pairs import further_pairs, roots, sums_over_items, sums_over_users
from funkflow.tasks.training.implicit.pair_search import PairSearch, added

_ROWS_AT_ONCE = 1 << 16
STEPS = 6
"""Steps of conjugate gradients. MovieLens 1M has the same RMSE of new users with 10."""


@dataclass(frozen=True)
class RowMoments(Weighed):
    """Sums over rows: how many there are, their sum, float64 (w,), and that of their products, float64 (w, w)."""

    count: int
    sums: Matrix
    products: Matrix

    def __add__(self, other: RowMoments) -> RowMoments:
        return RowMoments(self.count + other.count, self.sums + other.sums, self.products + other.products)

    def prior(self, noise: float, second: Rows | None = None) -> NewRowPrior:
        """Return the prior of rows about their mean, or about that and what second factors say."""
        mean = self.sums / max(1, self.count)
        covariance = self.products / max(1, self.count) - np.outer(mean, mean)
        return NewRowPrior(mean, covariance, noise, second)


def moments_of(saved: Place, rank: int, blocks: StoredRow | None = None, second: Rows | None = None) -> RowMoments:
    """Return the sums over the rows of a saved shard that are not zero, less what second factors say of them.

    blocks, second : of a user shard, its row of blocks, and second factors of all items; None without.
    """
    said, scales = None, np.zeros(0)
    if second is not None and blocks is not None:
        read = blocks.read()
        said, scales = sums_over_items(read, second), roots(_pairs(read))
    found = RowMoments(0, np.zeros(rank + 1), np.zeros((rank + 1, rank + 1)))
    for part, rows in _slices(saved, rank):
        there = np.any(rows != 0.0, axis=1)
        if said is not None:
            rows -= said[part] * scales[part, None]
        rows = rows[there]
        found += RowMoments(len(rows), rows.sum(axis=0), rows.T @ rows)
    return found


def total(*parts: RowMoments) -> RowMoments:
    """Return the sums over all shards, in order."""
    return sum(parts[1:], start=parts[0])


def pull_part(saved: Place, rank: int, blocks: StoredRow, moments: RowMoments) -> tuple[Rows, list[Matrix]]:
    """Return a user shard's part of N^T n^(1/2) (p - m), float32 (items, w), and the pairs of items by shard."""
    read = blocks.read()
    roots_of_pairs, mean = np.sqrt(_pairs(read)), moments.sums / max(1, moments.count)
    away = np.zeros((len(roots_of_pairs), rank + 1), np.float32)
    for part, rows in _slices(saved, rank):
        there = np.any(rows != 0.0, axis=1)
        away[part][there] = (rows[there] - mean) * roots_of_pairs[part][there, None]
    counts = [
        np.sum([np.bincount(each.item_rows, minlength=block.shape[1]) for each in block.known_pairs], axis=0)
        for block in read
    ]
    return sums_over_users(read, away), counts


def begin_search(ridge: float, *parts: tuple[Rows, list[Matrix]]) -> PairSearch:
    """Return the regression before its first step; parts : of `pull_part`, of all user shards."""
    pull = added([each for each, _ in parts])
    counts = np.sum([np.concatenate(each) for _, each in parts], axis=0)
    shifts = np.full(pull.shape[1], ridge)
    return PairSearch.begin(np.zeros(pull.shape), pull, np.ones(len(pull)), counts, shifts, np.float32)


def search_part(blocks: StoredRow, search: PairSearch) -> Rows:
    """Return a user shard's part of N^T N at the directions of the search, float32 (items, w)."""
    return search.part(blocks.read(), None)


def step(search: PairSearch, *parts: Rows) -> PairSearch:
    """Return the search after a step."""
    return search.step(list(parts))


def second_of(search: PairSearch) -> Rows:
    """Return the second factors found, float32 (items, w)."""
    return search.solution.astype(np.float32)


def write_second(url: str, second: Rows, first: int, rows: int) -> str:
    """Write those of an item shard, from row `first` on; return the file's checksum."""
    return npy.write_array(url, second[first : first + rows])


def write_moments(url: str, moments: RowMoments, noise: float) -> str:
    """Write the prior of a side: its mean, and the rows of its covariance; return the file's checksum."""
    prior = moments.prior(noise)
    return npy.write_array(url, np.vstack([prior.mean, prior.covariance]))


def read_prior(saved: Place, noise: float, second: list[Place]) -> NewRowPrior:
    """Read the prior of a side, in the units of training; second : of all item shards, () for none."""
    array = npy.read_array(*saved)
    found = np.concatenate([npy.read_array(*each) for each in second]) if second else None
    return NewRowPrior(array[0], array[1:], noise, found)


def export_new_rows(sides: list[Place], noise: float, deviation: float, url: str) -> str:
    """Write the priors of users and items as a model keeps them, in rating units; return the file's checksum."""
    return write_new_rows(url, *(read_prior(each, noise, []).in_units(deviation) for each in sides))


def _slices(saved: Place, rank: int) -> Iterator[tuple[slice, Matrix]]:
    """Yield the rows of a shard in float64, the bias last, slice by slice."""
    shard = read_shard(*saved, rank)
    for first in range(0, len(shard.factors), _ROWS_AT_ONCE):
        part = slice(first, first + _ROWS_AT_ONCE)
        yield part, np.column_stack([shard.factors[part], shard.biases[part]]).astype(np.float64)


def _pairs(read: tuple[RatingBlock, ...]) -> Matrix:
    """Return the number of known pairs of each user, float64 (users,)."""
    counts = [np.bincount(block.user_rows, minlength=block.shape[0]) for block in read]
    return np.asarray(np.sum(counts, axis=0) + further_pairs(read), np.float64)
