"""The best items that many users did not rate: scores in tiles that stay in the cache.

Covers: the catalogue of items, the matrix product of a tile, and the selection from it.
Does not cover: the heaps (tasks/kernels/top_n.py), reading the model (dense_model.py), the users of a task
(recommend.py).

Scores of all users and items do not fit in memory, and sorting or partitioning each row costs several times as much as
the products. So a block of users meets a tile of items, 256 x 512 scores that fit the second-level cache, and a heap
per user takes from it the scores that beat the best so far.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from funkflow.tasks.kernels.buffers import Weighed
from funkflow.tasks.kernels.top_n import sort_heaps, take_best

BLOCK_USERS = 256
TILE_ITEMS = 512


@dataclass(frozen=True)
class Catalogue(Weighed):
    """All items, by place from 0.

    `factors` : float32 (items, k + 1), factors and, last, the bias; `rows` : int32 (items,), the number of an item in
    results; of equal scores the lower number comes first.
    """

    factors: npt.NDArray[np.float32]
    rows: npt.NDArray[np.int32]


@dataclass(frozen=True)
class RatedItems:
    """The items that each user rated: `places`, int32, ascending from `starts[user]` to `ends[user]`, int64."""

    places: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]

    @classmethod
    def of(
        cls, wanted: npt.NDArray[np.int32], users: npt.NDArray[np.int32], items: npt.NDArray[np.int32]
    ) -> RatedItems:
        """Return the items of each wanted user among (user, item) sorted by user, int32 (n,) both."""
        starts, ends = (np.searchsorted(users, wanted, side) for side in ("left", "right"))
        return cls(np.ascontiguousarray(items, np.int32), starts.astype(np.int64), ends.astype(np.int64))


@dataclass(frozen=True)
class TopItems:
    """For each user `found[user]` items, the best first: `rows` int32 and `scores` float32, both (users, count)."""

    rows: npt.NDArray[np.int32]
    scores: npt.NDArray[np.float32]
    found: npt.NDArray[np.int64]


def top_items(users: npt.NDArray[np.float32], catalogue: Catalogue, rated: RatedItems, count: int) -> TopItems:
    """Return the `count` items with the highest <u, v> + b_i that each user did not rate; fewer if fewer are left.

    Parameters
    ----------
    users : float32 (n, k), factors of users.
    """
    items, rank = len(catalogue.factors), catalogue.factors.shape[1] - 1
    count = min(count, items)
    top = TopItems(
        np.full((len(users), count), -1, np.int32),
        np.full((len(users), count), -np.inf, np.float32),
        np.zeros(len(users), np.int64),
    )
    room = np.empty(BLOCK_USERS * TILE_ITEMS, np.float32)
    block = np.ones((BLOCK_USERS, rank + 1), np.float32)
    cursors = np.array(rated.starts)
    for begin in range(0, len(users), BLOCK_USERS):
        part = slice(begin, min(begin + BLOCK_USERS, len(users)))
        size = part.stop - part.start
        block[:size, :rank] = users[part]
        rated_part = rated.places, rated.ends[part], cursors[part]
        best = top.scores[part], top.rows[part], top.found[part]
        for first in range(0, items, TILE_ITEMS):
            tile = catalogue.factors[first : first + TILE_ITEMS]
            scores = room[: size * len(tile)].reshape(size, len(tile))
            np.matmul(block[:size], tile.T, out=scores)
            take_best()(scores, first, catalogue.rows, *rated_part, *best)
        sort_heaps()(*best)
    return top
