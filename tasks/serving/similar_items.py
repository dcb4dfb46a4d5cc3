"""The most similar items of some items of a catalogue, as Parquet.

Covers: one piece of the items, by the cosine of their factors.
Does not cover: the choice of items (top_items.py), one item in this process (tasks/model/neighbours.py), the stage
(pipeline/stages/recommend.py).
"""

from __future__ import annotations

from typing import TypedDict

import numpy as np
import pyarrow as pa

from funkflow.tasks.serving.dense_model import DenseModel
from funkflow.tasks.serving.top_items import Catalogue, RatedItems, top_items
from funkflow.tasks.storage import files

_LAST = -4.0
"""Added to the cosine with an item without training ratings, which comes after all others and is left out."""


class SimilarFile(TypedDict):
    """A Parquet file of similar items, with its numbers of rows and of items that have any."""

    path: str
    rows: int
    items: int
    checksum: str


def similar_part(model: DenseModel, piece: tuple[int, int], count: int, url: str) -> SimilarFile:
    """Write the `count` other items with the greatest cosine to each item of a piece: item, rank, similar, cosine.

    Items without training ratings have none and are none.

    Parameters
    ----------
    piece : (number, pieces): this one of equal pieces of the items.
    """
    factors = model.catalogue.factors[:, :-1]
    lengths = np.sqrt(np.einsum("ik,ik->i", factors, factors, dtype=np.float64)).astype(np.float32)
    is_trained = lengths > 0
    directions = np.asarray(factors / np.where(is_trained, lengths, 1)[:, None], np.float32)
    last = np.where(is_trained, np.float32(0), np.float32(_LAST))
    catalogue = Catalogue(np.concatenate([directions, last[:, None]], axis=1), model.catalogue.rows)
    wanted = np.array_split(np.flatnonzero(is_trained).astype(np.int32), piece[1])[piece[0]]
    themselves = np.arange(len(wanted), dtype=np.int64)
    top = top_items(directions[wanted], catalogue, RatedItems(wanted, themselves, themselves + 1), count)
    is_similar = (np.arange(top.rows.shape[1]) < top.found[:, None]) & (top.scores > _LAST / 2)
    ranks = np.broadcast_to(np.arange(1, top.rows.shape[1] + 1, dtype=np.int32), top.rows.shape)
    of_each = is_similar.sum(axis=1)
    table = pa.table(
        {
            "item": model.item_ids.take(pa.array(np.repeat(catalogue.rows[wanted], of_each))),
            "rank": pa.array(ranks[is_similar]),
            "similar": model.item_ids.take(pa.array(top.rows[is_similar])),
            "cosine": pa.array(top.scores[is_similar]),
        }
    )
    checksum = files.write_table(url, table, compression="lz4", dictionaries=["item", "rank", "similar"])
    path = "/".join(url.rsplit("/", 2)[1:])
    return {"path": path, "rows": table.num_rows, "items": int(np.sum(of_each > 0)), "checksum": checksum}
