"""The most similar items of some items of a catalogue, as Parquet.

Covers: one piece of the items, by the cosine of their factors.
Does not cover: the choice of items (top_items.py), one item in this process (tasks/model/neighbours.py), the stage
(pipeline/stages/recommend.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypedDict

import numpy as np
import pyarrow as pa

from funkflow.tasks.serving.served_model import ServedModel
from funkflow.tasks.serving.top_items import TILE_ITEMS, RatedItems, Shard, in_whole_tiles, top_items
from funkflow.tasks.storage import files

PIECE_ITEMS = 20_000
"""Items of a piece, at most."""
_LAST = -4.0
"""Added to the cosine with an item without training ratings, which comes after all others and is left out."""
_SHARD_ITEMS = 32 * TILE_ITEMS
"""Items whose directions a task has at once, beside those of its own piece."""


class SimilarFile(TypedDict):
    """A Parquet file of similar items, with its numbers of rows and of items that have any."""

    path: str
    rows: int
    items: int
    checksum: str


def similar_part(model: ServedModel, piece: tuple[int, int], count: int, url: str) -> SimilarFile:
    """Write the `count` other items with the greatest cosine to each item of a piece: item, rank, similar, cosine.

    Items without training ratings have none and are none.

    Parameters
    ----------
    piece : (number, pieces): this one of equal pieces of the items.
    """
    start, stop = (model.items * number // piece[1] for number in (piece[0], piece[0] + 1))
    directions = _directions_of(model, start, stop)
    is_trained = directions[:, -1] == 0
    own = directions[is_trained, :-1]
    wanted = np.flatnonzero(is_trained).astype(np.int32) + np.int32(start)
    themselves = np.arange(len(wanted), dtype=np.int64)
    rated = RatedItems(wanted, themselves, themselves + 1)
    top = top_items(own, _directions(model), rated, min(count, model.items))
    is_similar = (np.arange(top.rows.shape[1]) < top.found[:, None]) & (top.scores > _LAST / 2)
    ranks = np.broadcast_to(np.arange(1, top.rows.shape[1] + 1, dtype=np.int32), top.rows.shape)
    of_each = is_similar.sum(axis=1)
    table = pa.table(
        {
            "item": model.item_ids(np.repeat(wanted, of_each)),
            "rank": pa.array(ranks[is_similar]),
            "similar": model.item_ids(top.rows[is_similar]),
            "cosine": pa.array(top.scores[is_similar]),
        }
    )
    checksum = files.write_table(url, table, compression="lz4", dictionaries=["item", "rank", "similar"])
    path = "/".join(url.rsplit("/", 2)[1:])
    return {"path": path, "rows": table.num_rows, "items": int(np.sum(of_each > 0)), "checksum": checksum}


def _directions(model: ServedModel) -> Iterator[Shard]:
    """Yield the items with factors of length 1 and, for a bias, 0; with no factors and `_LAST` if they have none."""
    for shard in in_whole_tiles(model.item_shards()):
        for start in range(0, len(shard), _SHARD_ITEMS):
            yield _as_directions(shard[start : start + _SHARD_ITEMS])
        del shard  # before the next one is read


def _as_directions(shard: Shard) -> Shard:
    lengths = np.sqrt(np.square(shard[:, :-1], dtype=np.float64).sum(axis=1)).astype(np.float32)
    is_trained = lengths > 0
    directions = np.empty_like(shard)
    np.divide(shard[:, :-1], np.where(is_trained, lengths, np.float32(1))[:, None], out=directions[:, :-1])
    directions[:, -1] = np.where(is_trained, np.float32(0), np.float32(_LAST))
    return directions


def _directions_of(model: ServedModel, start: int, stop: int) -> Shard:
    """Return the directions of the items from `start` to `stop`."""
    found, first = [], 0
    for shard in model.item_shards():
        own = shard[max(0, start - first) : max(0, stop - first)]
        if len(own):
            found.append(_as_directions(own))
        first += len(shard)
        del shard, own  # before the next one is read
    return np.concatenate(found)
