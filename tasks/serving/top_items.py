"""The best items that many users did not rate: scores in tiles that stay in the cache.

Covers: the catalogue of items, the matrix product of a tile, and the selection from it.
Does not cover: the heaps (tasks/kernels/top_n.py), the choice in one row (tasks/model/best.py), reading the model
(dense_model.py), the users of a task (recommend.py).

Scores of all users and items do not fit in memory, and sorting or partitioning each row costs several times as much as
the products. So a block of users meets a tile of items, 256 x 512 scores that fit the second-level cache, and a heap
per user takes from it the scores that beat the best so far.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from funkflow.tasks.kernels.buffers import Weighed
from funkflow.tasks.late import late
from funkflow.tasks.model.best import best_places

if TYPE_CHECKING:
    from funkflow.tasks.kernels import top_n
else:  # few users do without the compiled loops
    top_n = late("funkflow.tasks.kernels.top_n")

BLOCK_USERS = 256
TILE_ITEMS = 512
FEW_USERS = 16
"""Up to this number, plain NumPy chooses sooner than compiled loops are loaded."""


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
    count = min(count, len(catalogue.factors))
    top = TopItems(
        np.full((len(users), count), -1, np.int32),
        np.full((len(users), count), -np.inf, np.float32),
        np.zeros(len(users), np.int64),
    )
    (_choose_plainly if len(users) <= FEW_USERS else _choose_by_heaps)(users, catalogue, rated, top)
    return top


def _choose_plainly(users: npt.NDArray[np.float32], catalogue: Catalogue, rated: RatedItems, top: TopItems) -> None:
    """Choose from whole rows of scores, which are those of the tiles, bit for bit."""
    in_order = np.argsort(catalogue.rows)
    scores = np.empty((len(users), len(in_order)), np.float32)
    for first, _, tile in _tiles(users, catalogue):
        scores[:, first : first + tile.shape[1]] = tile
    for user, own in enumerate(scores):
        own[rated.places[rated.starts[user] : rated.ends[user]]] = -np.inf
        best = in_order[best_places(own[in_order], top.rows.shape[1])]
        top.rows[user, : len(best)], top.scores[user, : len(best)] = catalogue.rows[best], own[best]
        top.found[user] = len(best)


def _choose_by_heaps(users: npt.NDArray[np.float32], catalogue: Catalogue, rated: RatedItems, top: TopItems) -> None:
    """Choose by compiled heaps, which take a tile while it is in the cache."""
    cursors = np.array(rated.starts)
    for first, part, tile in _tiles(users, catalogue):
        best = top.scores[part], top.rows[part], top.found[part]
        top_n.take_best()(tile, first, catalogue.rows, rated.places, rated.ends[part], cursors[part], *best)
    top_n.sort_heaps()(top.scores, top.rows, top.found)


def _tiles(
    users: npt.NDArray[np.float32], catalogue: Catalogue
) -> Iterator[tuple[int, slice, npt.NDArray[np.float32]]]:
    """Yield scores, float32 (block of users, tile of items), with the place of the first item and the block.

    The next tile takes the memory of the one before.
    """
    items, rank = len(catalogue.factors), catalogue.factors.shape[1] - 1
    room = np.empty(BLOCK_USERS * TILE_ITEMS, np.float32)
    block = np.ones((BLOCK_USERS, rank + 1), np.float32)
    for begin in range(0, len(users), BLOCK_USERS):
        part = slice(begin, min(begin + BLOCK_USERS, len(users)))
        size = part.stop - part.start
        block[:size, :rank] = users[part]
        for first in range(0, items, TILE_ITEMS):
            tile = catalogue.factors[first : first + TILE_ITEMS]
            scores = room[: size * len(tile)].reshape(size, len(tile))
            np.matmul(block[:size], tile.T, out=scores)
            yield first, part, scores
