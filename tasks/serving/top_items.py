"""The best unseen items of many users: scores in tiles, each gone through while it is still in the cache.

Covers: the items as scoring reads them, the matrix product of a tile, and what becomes of it.
Does not cover: the heaps (tasks/kernels/top_n.py), where the factors come from (dense_model.py), which users a task
takes.

Users by items are far too many scores to be kept, and to sort or partition each row of them costs several times what
the products do. So a block of users meets a tile of items, 256 x 512 scores that fit the second-level cache, and a heap
of each user's best so far takes from it the few that are better.
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
    """All items, in places that count from 0.

    `factors` : float32 (items, k + 1), the item's factors and, last, its bias; `rows` : int32 (items,), what an item is
    called in results, where of equal scores the lower comes first.
    """

    factors: npt.NDArray[np.float32]
    rows: npt.NDArray[np.int32]


@dataclass(frozen=True)
class Seen:
    """What each user has seen: the `places` of items, int32, ascending from `starts[user]` to `ends[user]`, int64."""

    places: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]


@dataclass(frozen=True)
class TopItems:
    """For each user `found[user]` items, the best first: `rows` int32 and `scores` float32, both (users, count)."""

    rows: npt.NDArray[np.int32]
    scores: npt.NDArray[np.float32]
    found: npt.NDArray[np.int64]


def top_items(users: npt.NDArray[np.float32], catalogue: Catalogue, seen: Seen, count: int) -> TopItems:
    """Return the `count` unseen items of each user with the highest <u, v> + b_i; fewer where fewer are unseen.

    Parameters
    ----------
    users : float32 (n, k), their factors.
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
    cursors = np.array(seen.starts)
    for begin in range(0, len(users), BLOCK_USERS):
        part = slice(begin, min(begin + BLOCK_USERS, len(users)))
        size = part.stop - part.start
        block[:size, :rank] = users[part]
        for first in range(0, items, TILE_ITEMS):
            tile = catalogue.factors[first : first + TILE_ITEMS]
            scores = room[: size * len(tile)].reshape(size, len(tile))
            np.matmul(block[:size], tile.T, out=scores)
            take_best()(
                scores, first, catalogue.rows, seen.places, seen.ends[part], cursors[part],
                top.scores[part], top.rows[part], top.found[part],
            )  # fmt: skip
        sort_heaps()(top.scores[part], top.rows[part], top.found[part])
    return top
