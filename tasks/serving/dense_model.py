"""A saved model with rows in the order of dense ids, to which the ratings of a dataset point.

Covers: reading an exported model, and the best items of users.
Does not cover: the model by raw ids (tasks/model/model.py), the choice of items (top_items.py).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from funkflow.tasks.kernels.buffers import Weighed
from funkflow.tasks.model.about import About, SideName, read_about
from funkflow.tasks.serving.top_items import Catalogue, RatedItems, TopItems, top_items
from funkflow.tasks.storage import files
from funkflow.tasks.storage.arrow_arrays import as_column, numbers_of
from funkflow.tasks.transform import Transform, as_ratings


@dataclass(frozen=True)
class DenseModel(Weighed):
    """Users by dense id, and a catalogue of items: its places are dense ids, its rows are rows of the saved model.

    `user_factors` : float32 (users, k); `user_scores` : float32 (users,), mean plus user bias; `user_ids` : raw ids by
    dense id; `item_ids` : raw ids in the order of the saved model.
    """

    user_factors: npt.NDArray[np.float32]
    user_scores: npt.NDArray[np.float32]
    user_ids: pa.Array
    catalogue: Catalogue
    item_ids: pa.Array
    transform: Transform = "none"

    def top(self, users: npt.NDArray[np.int32], rated: RatedItems, count: int) -> TopItems:
        """Return the best items that these dense users did not rate, with unclipped scores in rating units."""
        top = top_items(self.user_factors[users], self.catalogue, rated, count)
        np.add(top.scores, self.user_scores[users, None], out=top.scores)
        return top if self.transform == "none" else replace(top, scores=as_ratings(top.scores, self.transform))


def read_dense_model(
    folder: str, _checksums: tuple[str, ...], users: npt.NDArray[np.int32] | None = None
) -> DenseModel:
    """Read an exported model: dense id d is row d div P of part d mod P. `_checksums` distinguish models in one folder.

    Parameters
    ----------
    users : int32 (n,), dense ids of the users to keep, ascending; None: all.

    Raises
    ------
    DamagedFile
        A file is missing or does not match its checksum.
    """
    about = read_about(folder)
    user_factors, user_biases, user_ids, _ = _read_dense_side(folder, "user", about, users)
    item_factors, item_biases, item_ids, rows = _read_dense_side(folder, "item", about)
    by_row = np.empty(len(rows), np.int64)
    by_row[rows] = np.arange(len(rows))
    user_biases += np.float32(about["mean"])
    return DenseModel(
        user_factors=user_factors,
        user_scores=user_biases,
        user_ids=user_ids,
        catalogue=Catalogue(np.concatenate([item_factors, item_biases[:, None]], axis=1), rows),
        item_ids=item_ids.take(as_column(by_row)),
        transform=about.get("transform", "none"),
    )


def _read_dense_side(
    folder: str, side: SideName, about: About, wanted: npt.NDArray[np.int32] | None = None
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], pa.Array, npt.NDArray[np.int32]]:
    """Return factors, biases, raw ids and rows of the saved model, by dense id; read only parts with `wanted` ids."""
    parts, rank = about["parts"][side], about["rank"]
    sizes = [part["rows"] for part in parts]
    dense = np.arange(sum(sizes), dtype=np.int32) if wanted is None else wanted
    factors, biases = np.empty((len(dense), rank), np.float32), np.empty(len(dense), np.float32)
    rows, ids, places = np.empty(len(dense), np.int32), [], []
    for shard, part in enumerate(parts):
        own = np.flatnonzero(dense % len(parts) == shard)
        if not len(own):
            continue
        url = files.join(folder, f"{side}_factors.parquet", part["path"])
        table = files.read_table(url, expected_checksum=part["checksum"]).combine_chunks()
        inside = dense[own] // len(parts)
        factors[own] = numbers_of(pc.list_flatten(table["factors"])).reshape(-1, rank)[inside]
        biases[own] = numbers_of(table["bias"])[inside]
        rows[own] = sum(sizes[:shard]) + inside
        ids.append(table["raw_id"].combine_chunks().take(as_column(inside)))
        places.append(own)
    raw_ids = pa.concat_arrays([each.chunk(0) if isinstance(each, pa.ChunkedArray) else each for each in ids])
    order = np.empty(len(dense), np.int64)
    order[np.concatenate(places)] = np.arange(len(dense))
    return factors, biases, raw_ids.take(as_column(order)), rows
