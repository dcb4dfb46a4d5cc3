"""The best items of many users by draws of a posterior.

Covers: tiles of scores from draws, group after group of items.
Does not cover: the scores (tasks/model/draws/orders.py), the choice (top_items.py), files of lists (recommend.py).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funkflow.tasks.model.draws.drawn_rows import Draws
from funkflow.tasks.model.draws.orders import ItemOrder
from funkflow.tasks.serving.top_items import BLOCK_USERS, RatedItems, Tile, TopItems, top_of_tiles

USER_BYTES = 64 << 20
"""Draws of users that a task has at once; all items are read once for them."""


def top_by_draws(
    draws: Draws, order: ItemOrder, rows: npt.NDArray[np.int64], ids: pa.Array, rated: RatedItems, count: int
) -> TopItems:
    """Return the best items that these users did not rate, with unclipped scores.

    Parameters
    ----------
    rows : of the users in the model, (n,); ids : their raw ids, (n,).
    rated : rows of items.
    count : at most all items.
    """
    side, parts = draws.users, []
    step = max(BLOCK_USERS, USER_BYTES // (4 * side.draws * (side.rank + 1)) // BLOCK_USERS * BLOCK_USERS)
    chosen = order.draws_of(ids, side.draws)
    for start in range(0, max(1, len(rows)), step):
        part = slice(start, start + step)
        own = RatedItems(rated.items, rated.starts[part], rated.ends[part])
        parts.append(top_of_tiles(_tiles(draws, order, rows[part], chosen[part]), len(rows[part]), own, count))
    top = TopItems(*(np.concatenate([getattr(each, name) for each in parts]) for name in ("rows", "scores", "found")))
    np.add(top.scores, np.float32(draws.mean), out=top.scores)
    return top


def _tiles(
    draws: Draws, order: ItemOrder, rows: npt.NDArray[np.int64], chosen: npt.NDArray[np.intp]
) -> Iterator[Tile]:  # fmt: skip
    users, first = draws.users.take(rows), 0
    for items in draws.items.in_groups():
        for begin in range(0, len(users), BLOCK_USERS):
            part = slice(begin, min(begin + BLOCK_USERS, len(users)))
            yield first, part, order.scores(users[part], items, chosen[part])
        first += len(items)
