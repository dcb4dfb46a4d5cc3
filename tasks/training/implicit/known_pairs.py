"""Products with the matrix of known pairs, over the blocks of a user shard.

Covers: N Y for its users, N^T X and N^T D N Y for all items, the weights of rows, and the numbers of pairs.
Does not cover: the compiled loops (tasks/kernels/blocks/pair_sums.py), regression (pair_search.py).

N_ab is 1 where it is known that user a met item b, else 0: for ratings, and for further pairs of the blocks. With one
factor y_b an item, a user's mean row is n_a^(-1/2) times the sum of y_b over these n_a items (SVD++: Koren 2008); with
one a user, likewise for items. The rows of all items lie in one array, shard after shard.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from funkflow.tasks.grid.block import RatingBlock
from funkflow.tasks.grid.ordered_ratings import as_records
from funkflow.tasks.grid.solved_rows import Matrix, Rows
from funkflow.tasks.kernels.blocks.pair_sums import add_items, add_users


def roots(counts: Matrix) -> Matrix:
    """Return n^(-1/2) for each number of ratings, 0 where there is none."""
    return np.where(counts > 0, 1.0 / np.sqrt(np.maximum(counts, 1.0)), 0.0)


def further_pairs(blocks: Sequence[RatingBlock]) -> Matrix | float:
    """Return the number of further pairs of each user of a shard, float64 (users,); 0.0 without any."""
    return sum((_further_of(block, "user_rows", 0) for block in blocks), start=0.0)


def further_pairs_of_items(blocks: Sequence[RatingBlock]) -> list[Matrix | float]:
    """Return a user shard's part of the same for items, by item shard."""
    return [_further_of(block, "item_rows", 1) for block in blocks]


def _further_of(block: RatingBlock, rows: str, axis: int) -> Matrix | float:
    if block.further is None:
        return 0.0
    return np.bincount(getattr(block.further, rows), minlength=block.shape[axis]).astype(np.float64)


def sums_over_items(blocks: Sequence[RatingBlock], items: Rows) -> Rows:
    """Return N Y: for each user of a shard the sum of the rows of the items that they rated.

    Parameters
    ----------
    items : Y, float32 or float64 (all items, w), one shard after another.

    Returns
    -------
    of the same type, (users of the shard, w)
    """
    items, sums = np.ascontiguousarray(items), None
    for block, part in _with_items(blocks):
        if sums is None:
            sums = np.zeros((block.shape[0], items.shape[1]), items.dtype)
        add = add_items(items.shape[1], items.dtype.str[1:])
        for known in block.known_pairs:
            add(*known.places, as_records(items[part]), as_records(sums))
    assert sums is not None
    return sums


def sums_over_users(blocks: Sequence[RatingBlock], users: Rows) -> Rows:
    """Return a user shard's part of N^T X: for each item the sum of the rows of the users who rated it.

    Parameters
    ----------
    users : X, float32 or float64 (users of the shard, w).

    Returns
    -------
    of the same type, (all items, w)
    """
    users, parts = np.ascontiguousarray(users), list[Rows]()
    for block, _ in _with_items(blocks):
        sums = np.zeros((block.shape[1], users.shape[1]), users.dtype)
        for known in block.known_pairs:
            add_users(users.shape[1], users.dtype.str[1:])(*known.places, as_records(users), as_records(sums))
        parts.append(sums)
    return np.concatenate(parts)


def gram_part(blocks: Sequence[RatingBlock], items: Rows, weights: Matrix | None = None) -> Rows:
    """Return a user shard's part of N^T D N Y; weights : the diagonal of D, float64 (users of the shard,), None: 1."""
    met = sums_over_items(blocks, items)
    return sums_over_users(blocks, met if weights is None else weighted(met, weights))


def weighted(rows: Rows, weights: Matrix) -> Rows:
    """Return each row times its weight, in the rows' type."""
    return np.asarray(rows * weights.astype(rows.dtype)[:, None])


def _with_items(blocks: Sequence[RatingBlock]) -> Iterator[tuple[RatingBlock, slice]]:
    """Yield each block with the positions of its items among all items."""
    start = 0
    for block in blocks:
        yield block, slice(start, start + block.shape[1])
        start += block.shape[1]
