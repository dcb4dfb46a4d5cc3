"""The best items that many users did not rate: scores in tiles that stay in the cache.

Covers: shards of items, the matrix product of a tile, and the selection from it.
Does not cover: the heaps (tasks/kernels/top_n.py), reading the model (served_model.py), the users of a task
(recommend.py).

Scores of all users and items do not fit in memory, and sorting or partitioning each row costs several times as much as
the products. So a block of users meets a tile of items, 256 x 512 scores that fit the second-level cache, and a heap
per user takes from it the scores that beat the best so far.

Nor need all items be in memory: they come in shards, one after another, and the heaps stay. The tiles are the same
whatever the shards, and a heap keeps the best of all that it was offered, so the shards change no bit of the result.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from funkflow.tasks.kernels.top_n import place_seen, sort_heaps, take_best
from funkflow.tasks.model.rated import Pairs

BLOCK_USERS = 256
TILE_ITEMS = 512

Shard = npt.NDArray[np.float32]
"""Some items in a row, float32 (n, k + 1): their factors and, last, the bias."""


@dataclass(frozen=True)
class RatedItems:
    """The items that each user rated: `items`, int32, ascending from `starts[user]` to `ends[user]`, int64."""

    items: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]

    @classmethod
    def of(cls, wanted: npt.NDArray[np.int32], pairs: Pairs, part_rows: Sequence[int]) -> RatedItems:
        """Return the items of each wanted user, int32 (n,), by their rows in the model.

        pairs : rated users and items, by dense id, sorted by both. part_rows : rows of each item part of the model.
        """
        starts, ends = (np.searchsorted(pairs[0], wanted, side).astype(np.int64) for side in ("left", "right"))
        stops = np.cumsum(ends - starts)
        rows = np.empty(stops[-1] if len(stops) else 0, np.int32)
        first_rows = np.cumsum([0, *part_rows[:-1]], dtype=np.int64)
        place_seen()(np.ascontiguousarray(pairs[1], np.int32), starts, ends, first_rows, rows)
        return cls(rows, stops - ends + starts, stops)


@dataclass(frozen=True)
class TopItems:
    """For each user `found[user]` items, the best first: `rows` int32 and `scores` float32, both (users, count)."""

    rows: npt.NDArray[np.int32]
    scores: npt.NDArray[np.float32]
    found: npt.NDArray[np.int64]


def top_items(users: npt.NDArray[np.float32], shards: Iterable[Shard], rated: RatedItems, count: int) -> TopItems:
    """Return the `count` items with the highest <u, v> + b_i that each user did not rate; fewer if fewer are left.

    Parameters
    ----------
    users : float32 (n, k), factors of users.
    shards : all items in their order, from item 0; of equal scores the lower item comes first.
    count : at most all items.
    """
    top = TopItems(
        np.full((len(users), count), -1, np.int32),
        np.full((len(users), count), -np.inf, np.float32),
        np.zeros(len(users), np.int64),
    )
    if not len(users):
        return top
    room, cursors, first = np.empty(BLOCK_USERS * TILE_ITEMS, np.float32), np.array(rated.starts), 0
    for shard in in_whole_tiles(shards):
        _offer(users, shard, first, rated, cursors, top=top, room=room)
        first += len(shard)
        del shard  # before the next one is read
    sort_heaps()(top.scores, top.rows, top.found)
    return top


def _offer(
    users: npt.NDArray[np.float32], shard: Shard, first: int, rated: RatedItems, cursors: npt.NDArray[np.int64],
    top: TopItems, room: npt.NDArray[np.float32],
) -> None:  # fmt: skip
    """Offer the items of a shard, from item `first` on, to the heaps of all users; `cursors` go on from shard to shard.

    room : float32 (BLOCK_USERS * TILE_ITEMS,), for scores.
    """
    block = np.ones((min(BLOCK_USERS, len(users)), shard.shape[1]), np.float32)
    for begin in range(0, len(users), BLOCK_USERS):
        part = slice(begin, min(begin + BLOCK_USERS, len(users)))
        size = part.stop - part.start
        block[:size, :-1] = users[part]
        rated_part = rated.items, rated.ends[part], cursors[part]
        best = top.scores[part], top.rows[part], top.found[part]
        for start in range(0, len(shard), TILE_ITEMS):
            tile = shard[start : start + TILE_ITEMS]
            scores = room[: size * len(tile)].reshape(size, len(tile))
            np.matmul(block[:size], tile.T, out=scores)
            take_best()(scores, first + start, *rated_part, *best)


def in_whole_tiles(shards: Iterable[Shard]) -> Iterator[Shard]:
    """Yield the same items in shards of whole tiles, but for the last one; copy those of a cut tile alone.

    The same tile has the same bits in its scores; a product of another shape may have others.
    """
    rest: list[Shard] = []
    for shard in shards:
        start = 0
        if rest:
            start = TILE_ITEMS - sum(map(len, rest))
            rest.append(shard[:start].copy())
            if len(shard) < start:
                continue
            yield np.concatenate(rest)
            rest = []
        end = start + (len(shard) - start) // TILE_ITEMS * TILE_ITEMS
        if end > start:
            yield shard[start:end]
        if end < len(shard):
            rest = [shard[end:].copy()]
        del shard  # before the next one is read
    if rest:
        yield np.concatenate(rest)
