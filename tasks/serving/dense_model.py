"""A saved model as recommending reads it: rows in the order of dense ids, so that a dataset's ratings point into it.

Covers: reading a model that was exported shard by shard, and a user's score from it.
Does not cover: the model by raw ids (tasks/model/model.py), the choice of items (top_items.py).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from funkflow.tasks.kernels.buffers import Weighed
from funkflow.tasks.model.about import read_about
from funkflow.tasks.serving.top_items import Catalogue, Seen, TopItems, top_items
from funkflow.tasks.storage import files
from funkflow.tasks.transform import Transform, as_ratings


@dataclass(frozen=True)
class Served(Weighed):
    """Users by dense id, items as a catalogue whose places are dense ids and whose rows are the model's own.

    `user_factors` : float32 (users, k); `user_scores` : float32 (users,), the mean and the user's bias; `user_ids` :
    raw ids by dense id; `item_ids` : raw ids in the model's order.
    """

    user_factors: npt.NDArray[np.float32]
    user_scores: npt.NDArray[np.float32]
    user_ids: pa.Array
    catalogue: Catalogue
    item_ids: pa.Array
    transform: Transform = "none"

    def top(self, users: npt.NDArray[np.int32], seen: Seen, count: int) -> TopItems:
        """Return the best unseen items of these dense users, scores in rating units, not clipped."""
        top = top_items(self.user_factors[users], self.catalogue, seen, count)
        np.add(top.scores, self.user_scores[users, None], out=top.scores)
        return top if self.transform == "none" else replace(top, scores=as_ratings(top.scores, self.transform))


def read_served(folder: str, _checksums: tuple[str, ...], users: npt.NDArray[np.int32] | None = None) -> Served:
    """Read an exported model: dense id d is row d div P of part d mod P. `_checksums` tell models in one folder apart.

    Parameters
    ----------
    users : dense ids, ascending, of the only users to keep, in this order; None: all.

    Raises
    ------
    DamagedFile
        A file is missing or does not match its checksum.
    """
    about = read_about(folder)
    user_factors, user_biases, user_ids, _ = _side(folder, "user", about["parts"]["user"], about["rank"], users)
    item_factors, item_biases, item_ids, rows = _side(folder, "item", about["parts"]["item"], about["rank"])
    by_row = np.empty(len(rows), np.int64)
    by_row[rows] = np.arange(len(rows))
    user_biases += np.float32(about["mean"])
    return Served(
        user_factors,
        user_biases,
        user_ids,
        Catalogue(np.concatenate([item_factors, item_biases[:, None]], axis=1), rows),
        item_ids.take(pa.array(by_row)),
        about.get("transform", "none"),
    )


def _side(
    folder: str, side: str, parts: list[dict[str, str | int]], rank: int, wanted: npt.NDArray[np.int32] | None = None
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], pa.Array, npt.NDArray[np.int32]]:
    """Return factors, biases, raw ids and the model's row of each dense id, or of those wanted; reads no other part."""
    sizes = [int(part["rows"]) for part in parts]
    dense = np.arange(sum(sizes), dtype=np.int32) if wanted is None else wanted
    factors, biases = np.empty((len(dense), rank), np.float32), np.empty(len(dense), np.float32)
    rows, ids, places = np.empty(len(dense), np.int32), [], []
    for shard, part in enumerate(parts):
        own = np.flatnonzero(dense % len(parts) == shard)
        if not len(own):
            continue
        url = files.join(folder, f"{side}_factors.parquet", str(part["path"]))
        table = files.read_table(url, expected_checksum=str(part["checksum"])).combine_chunks()
        inside = dense[own] // len(parts)
        factors[own] = pc.list_flatten(table["factors"]).to_numpy().reshape(-1, rank)[inside]
        biases[own] = table["bias"].to_numpy()[inside]
        rows[own] = sum(sizes[:shard]) + inside
        ids.append(table["raw_id"].combine_chunks().take(pa.array(inside)))
        places.append(own)
    raw_ids = pa.concat_arrays([each.chunk(0) if isinstance(each, pa.ChunkedArray) else each for each in ids])
    order = np.empty(len(dense), np.int64)
    order[np.concatenate(places)] = np.arange(len(dense))
    return factors, biases, raw_ids.take(pa.array(order)), rows
