"""The best items that many users did not rate: scores in tiles that stay in the cache.

Covers: shards of items, the matrix product of a tile, and the selection from it.
Does not cover: the loops over scores (tasks/kernels/top_n.py), the choice in one row (tasks/model/best.py), reading
the model (served_model.py), the users of a task (recommend.py).

Scores of all users and items do not fit in memory, and sorting or partitioning each row costs several times as much as
the products. So a block of users meets a tile of items, 256 x 512 scores that fit the second-level cache, and each user
takes from it the scores that can be among the best.

Nor need all items be in memory: they come in shards, one after another, and the best stay. The tiles are the same
whatever the shards, and the best are the best in any order, so the shards change no bit of the result.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from funkflow.tasks.late import late
from funkflow.tasks.model.best import best_places
from funkflow.tasks.model.parts import rows_of_own
from funkflow.tasks.model.rated import Pairs

if TYPE_CHECKING:
    from funkflow.tasks.kernels import top_n
else:  # few users do without the compiled loops
    top_n = late("funkflow.tasks.kernels.top_n")

BLOCK_USERS = 256
TILE_ITEMS = 512
_ROOM = 16
"""Of a user, beside twice the items to choose."""
FEW_USERS = 16
"""Up to this number, plain NumPy chooses sooner than compiled loops are loaded."""

Shard = npt.NDArray[np.float32]
"""Some items in a row, float32 (n, k + 1): their factors and, last, the bias."""
Tile = tuple[int, slice, npt.NDArray[np.float32]]
"""First item of a tile, block of users, and their scores, float32 (users of the block, items of the tile)."""


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
        if len(wanted) <= FEW_USERS:
            by_user = [np.sort(rows_of_own(pairs[1][a:b], part_rows)) for a, b in zip(starts, ends, strict=True)]
            placed = np.concatenate([np.empty(0, np.int64), *by_user]).astype(np.int32)
            return cls(placed, stops - ends + starts, stops)
        rows = np.empty(stops[-1] if len(stops) else 0, np.int32)
        first_rows = np.cumsum([0, *part_rows[:-1]], dtype=np.int64)
        top_n.place_seen()(np.ascontiguousarray(pairs[1], np.int32), starts, ends, first_rows, rows)
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
    return top_of_tiles(_tiles(users, shards), len(users), rated, count)


def top_of_tiles(tiles: Iterable[Tile], users: int, rated: RatedItems, count: int) -> TopItems:
    """Return the `count` items with the highest scores of tiles, as `top_items` does.

    Parameters
    ----------
    tiles : in the order of items, and the blocks of users in order within some items.
    users : their number.
    """
    top = TopItems(
        np.full((users, count), -1, np.int32),
        np.full((users, count), -np.inf, np.float32),
        np.zeros(users, np.int64),
    )
    if users:
        (_choose_plainly if users <= FEW_USERS else _choose_by_keys)(tiles, rated, top)
    return top


def best_of_scores(scores: npt.NDArray[np.float32], rated: RatedItems, count: int) -> TopItems:
    """Return the `count` items with the highest scores that each user did not rate, as `top_items` does.

    Parameters
    ----------
    scores : float32 (users, items), changed.
    count : at most all items.
    """
    block = _Block(np.zeros((len(scores), count), np.uint64))
    block.take(scores, 0, rated.items, rated.ends, np.array(rated.starts))
    block.keep()
    return TopItems(*_rows_and_scores(block.best), np.count_nonzero(block.best, axis=1))


def _choose_plainly(tiles: Iterable[Tile], rated: RatedItems, top: TopItems) -> None:
    """Choose from whole rows of scores, which are those of the tiles, bit for bit."""
    scored = [np.empty((len(top.found), 0), np.float32)]
    scored += [scores.copy() for _, _, scores in tiles]
    for user, own in enumerate(np.concatenate(scored, axis=1)):
        own[rated.items[rated.starts[user] : rated.ends[user]]] = -np.inf
        best = best_places(own, top.rows.shape[1])
        top.rows[user, : len(best)], top.scores[user, : len(best)] = best, own[best]
        top.found[user] = len(best)


def _choose_by_keys(tiles: Iterable[Tile], rated: RatedItems, top: TopItems) -> None:
    """Choose by compiled loops, which take a tile while it is in the cache."""
    cursors, best = np.array(rated.starts), np.zeros(top.rows.shape, np.uint64)
    for begin, of_block in itertools.groupby(tiles, lambda tile: tile[1].start):
        block = _Block(best[begin : begin + BLOCK_USERS])
        for first, part, scores in of_block:
            block.take(scores, first, rated.items, rated.ends[part], cursors[part])
        block.keep()
    for begin in range(0, len(best), BLOCK_USERS):
        part = slice(begin, begin + BLOCK_USERS)
        top.rows[part], top.scores[part] = _rows_and_scores(best[part])
        top.found[part] = np.count_nonzero(best[part], axis=1)


class _Block:
    """The keys of a block of users, from their best so far on, uint64 (users, n) of `take_best`, or 0."""

    def __init__(self, best: npt.NDArray[np.uint64]) -> None:
        self.best, most = best, best.shape[1]
        self.keys = np.zeros((len(best), 2 * most + _ROOM), np.uint64)
        self.keys[:, :most] = best
        self.counts = np.count_nonzero(best, axis=1)
        self.thresholds = np.where(self.counts < most, np.float32(-np.inf), _rows_and_scores(best[:, -1])[1])

    def take(self, scores: npt.NDArray[np.float32], first: int, *rated: npt.NDArray[Any]) -> None:
        """Take a tile of scores, whose first item is `first`; `rated` : of `take_best`."""
        state = self.keys, self.counts, self.thresholds, self.best.shape[1]
        top_n.take_best()(scores, first, *rated, *state)

    def keep(self) -> None:
        """Write the best keys to `best`, the highest first."""
        self.keys[np.arange(self.keys.shape[1]) >= self.counts[:, None]] = 0
        self.best[:] = np.sort(self.keys, axis=1)[:, : -self.best.shape[1] - 1 : -1]


def _rows_and_scores(keys: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Return rows and scores of keys of `take_best`; row -1 and score -inf of a key of 0."""
    upper, lower = (keys >> np.uint64(32)).astype(np.uint32), keys.astype(np.uint32)
    bits = np.where(upper >> np.uint32(31), upper ^ np.uint32(1 << 31), ~upper)
    return (~lower).view(np.int32), np.where(keys == 0, np.float32(-np.inf), bits.view(np.float32))


def _tiles(users: npt.NDArray[np.float32], shards: Iterable[Shard]) -> Iterator[Tile]:
    """Yield all tiles, shard by shard; the next one takes the memory of the one before."""
    room, first = np.empty(BLOCK_USERS * TILE_ITEMS, np.float32), 0
    block = np.ones((min(BLOCK_USERS, len(users)), users.shape[1] + 1), np.float32)
    for shard in in_whole_tiles(shards):
        yield from _tiles_of(users, shard, first, block=block, room=room)
        first += len(shard)
        del shard  # before the next one is read


def _tiles_of(
    users: npt.NDArray[np.float32], shard: Shard, first: int, block: npt.NDArray[np.float32],
    room: npt.NDArray[np.float32],
) -> Iterator[Tile]:  # fmt: skip
    """Yield the tiles of a shard, whose first item is `first`; block, room : for factors of users, and for scores."""
    for begin in range(0, len(users), BLOCK_USERS):
        part = slice(begin, min(begin + BLOCK_USERS, len(users)))
        size = part.stop - part.start
        block[:size, :-1] = users[part]
        for start in range(0, len(shard), TILE_ITEMS):
            tile = shard[start : start + TILE_ITEMS]
            scores = room[: size * len(tile)].reshape(size, len(tile))
            np.matmul(block[:size], tile.T, out=scores)
            yield first + start, part, scores


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
