"""Tables of raw ids in pieces, so that a task reads only the ids it needs.

Covers: cutting a dataset's table by part of the dataset or by shard in one pass, and reading a piece.
Does not cover: the table itself (number_ids.py), or which task needs which piece (pipeline/stages/).

The hash of a raw user gives the part of their ratings, so each part has the users of one bucket. Items have no such
order: any part may rate any item.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funkflow.tasks.dataset.sorting import stable_order
from funkflow.tasks.model.about import Place
from funkflow.tasks.parsing.ids import buckets_of, look_up
from funkflow.tasks.storage import files
from funkflow.tasks.storage.arrow_groups import read_groups, write_groups


@dataclass(frozen=True)
class IdPiece:
    """Some ids of a table. `dense` : int32 (n,), ascending; `raw_ids` : (n,), the raw ids in the same order."""

    dense: npt.NDArray[np.int32]
    raw_ids: pa.Array

    def dense_of(self, raw_ids: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.int32]:
        """Return the dense id of each raw id, int32 (n,); -1 for ids outside the piece."""
        places = look_up(raw_ids, self.raw_ids)
        return np.append(self.dense, np.int32(-1))[places]

    def has(self, dense: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
        """Return, bool (n,), which dense ids are in the piece."""
        return np.asarray(np.append(self.dense, np.int32(-1))[np.searchsorted(self.dense, dense)] == dense)

    def places_of(self, dense: npt.NDArray[np.int32]) -> npt.NDArray[np.intp]:
        """Return the place of each dense id in the piece, which must hold them all."""
        return place_among(self.dense, dense)

    def raw_of(self, dense: npt.NDArray[np.int32]) -> pa.Array:
        """Return the raw id of each dense id; the piece must hold them all."""
        return self.raw_ids.take(pa.array(self.places_of(dense)))


def place_among(piece: npt.NDArray[np.int32], dense: npt.NDArray[np.int32]) -> npt.NDArray[np.intp]:
    """Return the place of each dense id in an ascending piece.

    Raises
    ------
    ValueError
        The piece lacks an id.
    """
    places = np.searchsorted(piece, dense)
    there = np.append(piece, np.int32(-1))[places] == dense
    if not there.all():
        raise ValueError(f"id {dense[int(np.argmin(there))]} is not among the {len(piece)} of its part of the dataset")
    return places


def cut_by_part(table: Place, parts: int, url: str) -> str:
    """Write the ids of a user table to `url`, one piece per part of the dataset; return `url`."""
    cut_ids(read_ids(table), parts, url)
    return url


def cut_by_shard(table: Place, shards: int, url: str) -> str:
    """Write the ids of a table to `url`, one piece per shard: every `shards`-th id; return `url`."""
    raw_ids = read_ids(table)
    _write_pieces(raw_ids, np.arange(len(raw_ids)) % shards, shards, url)
    return url


def cut_ids(users: pa.Array, parts: int, url: str) -> None:
    """Write raw users, in the order of their dense ids, as `cut_by_part` does."""
    _write_pieces(users, buckets_of(users, parts), parts, url)


def read_piece(url: str, number: int) -> IdPiece:
    """Read one piece."""
    rows = read_groups(url, [number]).combine_chunks()
    return IdPiece(rows["dense"].to_numpy(), _one_array(rows["raw_id"]))


def read_ids(table: Place) -> pa.Array:
    """Read all raw ids of a dataset's table, in the order of dense ids."""
    url, checksum = table
    return _one_array(files.read_table(url, ["raw_id"], checksum)["raw_id"])


def _write_pieces(raw_ids: pa.Array, pieces: npt.NDArray[np.integer], count: int, url: str) -> None:
    order, starts = stable_order(pieces, count)
    table = pa.table({"dense": order.astype(np.int32), "raw_id": raw_ids.take(pa.array(order))})
    write_groups(url, table, starts.tolist())


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    joined = column.combine_chunks()
    return joined.chunk(0) if isinstance(joined, pa.ChunkedArray) else joined
