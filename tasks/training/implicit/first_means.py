"""Row means before their first step, and how much of the rows they explain.

Covers: the numbers of known pairs of all rows, means and second factors of zeros, sums of squares of means and rows.
Does not cover: steps (second_factors.py), what follows from the sums (schedule.py).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from funkflow.tasks.grid.block import RatingBlock
from funkflow.tasks.grid.factor_shard import FactorShard, RowMeans
from funkflow.tasks.grid.solved_rows import Matrix, Rows
from funkflow.tasks.training.implicit.second_factors import Shards, as_tree, means_of

Counts = npt.NDArray[np.int64]
"""Numbers of ratings and of known pairs, int64 (2, rows)."""


def begin_users(rows: Sequence[Sequence[RatingBlock]], users: Shards) -> Shards:
    """Return a share of user shards with means of zeros."""
    return tuple(
        _with_zeros(shard, [_counts(block, "user_rows", 0) for block in row])
        for shard, row in zip(users, rows, strict=True)
    )


def count_items(rows: Sequence[Sequence[RatingBlock]]) -> list[Counts]:
    """Return the counts of the items of each item shard in a share of rows of blocks."""
    return [
        functools.reduce(np.add, parts)
        for parts in zip(*([_counts(block, "item_rows", 1) for block in row] for row in rows), strict=True)
    ]


def begin_items(counted: Sequence[list[Counts]], items: Shards, first: int) -> Shards:
    """Return item shards with means of zeros; counted : by share of users, of all items; first : shard."""
    return tuple(_with_zeros(shard, [each[first + at] for each in counted]) for at, shard in enumerate(items))


def explained_squares(shards: Shards) -> Matrix:
    """Return the sums of squares of the factors' means and of the factors, float64 (2,)."""
    return as_tree([np.array([_square(means_of(shard).factors), _square(shard.factors)]) for shard in shards])


def _counts(block: RatingBlock, rows: str, axis: int) -> Counts:
    rated, *further = (np.bincount(getattr(each, rows), minlength=block.shape[axis]) for each in block.known_pairs)
    return np.stack([rated, sum(further, start=rated)])


def _with_zeros(shard: FactorShard, counts: Sequence[Counts]) -> FactorShard:
    """Return a shard with means of zeros; counts : parts. Nothing is learnt from rows that no rating trains."""
    rated, known = functools.reduce(np.add, counts)
    return replace(shard, means=RowMeans.zeros(np.where(rated > 0, known, 0), shard.factors.shape[1]))


def _square(rows: Rows) -> float:
    return float(np.einsum("rf,rf->", rows, rows, dtype=np.float64))
