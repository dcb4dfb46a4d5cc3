"""Tables of raw ids cut to pieces, so that a task reads the ids that it needs instead of the whole table.

Covers: one pass over a dataset's table that leaves its ids by part of the dataset or by shard, and reading a piece.
Does not cover: the table itself (number_ids.py), or which task needs which piece (pipeline/stages/).

A user's ratings lie in the part that the hash of the raw id says, so the users of a part are those of one bucket. Items
have no such order: every part may have a rating of any of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funkflow.tasks.dataset.sorting import counted_order
from funkflow.tasks.model.about import Place
from funkflow.tasks.parsing.ids import buckets_of, look_up
from funkflow.tasks.storage import files
from funkflow.tasks.storage.arrow_groups import read_groups, write_groups


@dataclass(frozen=True)
class Piece:
    """Some ids of a table. `dense` : int32 (n,), rising; `raw_ids` : (n,), those that go with them."""

    dense: npt.NDArray[np.int32]
    raw_ids: pa.Array

    def dense_of(self, raw_ids: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.int32]:
        """Return the dense id of each raw id, -1 for one that is not in the piece."""
        places = look_up(raw_ids, self.raw_ids)
        return np.append(self.dense, np.int32(-1))[places]

    def has(self, dense: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
        """Say of each dense id whether it is in the piece."""
        return np.asarray(np.append(self.dense, np.int32(-1))[np.searchsorted(self.dense, dense)] == dense)

    def places_of(self, dense: npt.NDArray[np.int32]) -> npt.NDArray[np.intp]:
        """Return the place in the piece of each dense id, all of which must be in it."""
        return place_among(self.dense, dense)

    def raw_of(self, dense: npt.NDArray[np.int32]) -> pa.Array:
        """Return the raw id of each dense id, all of which must be in the piece."""
        return self.raw_ids.take(pa.array(self.places_of(dense)))


def place_among(piece: npt.NDArray[np.int32], dense: npt.NDArray[np.int32]) -> npt.NDArray[np.intp]:
    """Return the place of each dense id in a piece of them, which rises.

    Raises
    ------
    ValueError
        One is not there, as the piece is one of other ids.
    """
    places = np.searchsorted(piece, dense)
    there = np.append(piece, np.int32(-1))[places] == dense
    if not there.all():
        raise ValueError(f"id {dense[int(np.argmin(there))]} is not among the {len(piece)} of its part of the dataset")
    return places


def cut_by_part(table: Place, parts: int, url: str) -> str:
    """Write the ids of a table of users to `url`, those of a part of the dataset as one piece; return `url`."""
    cut_ids(read_ids(table), parts, url)
    return url


def cut_by_shard(table: Place, shards: int, url: str) -> str:
    """Write the ids of a table to `url`, those of a shard as one piece: every `shards`-th; return `url`."""
    raw_ids = read_ids(table)
    _write(raw_ids, np.arange(len(raw_ids)) % shards, shards, url)
    return url


def cut_ids(users: pa.Array, parts: int, url: str) -> None:
    """Write raw ids of users, given in the order of dense ids, as `cut_by_part` does."""
    _write(users, buckets_of(users, parts), parts, url)


def read_piece(url: str, number: int) -> Piece:
    """Read one piece."""
    rows = read_groups(url, [number]).combine_chunks()
    return Piece(rows["dense"].to_numpy(), _one_array(rows["raw_id"]))


def read_ids(table: Place) -> pa.Array:
    """Read all raw ids of a dataset's table, in the order of dense ids."""
    url, checksum = table
    return _one_array(files.read_table(url, ["raw_id"], checksum)["raw_id"])


def _write(raw_ids: pa.Array, pieces: npt.NDArray[np.integer], count: int, url: str) -> None:
    order, starts = counted_order(pieces, count)
    table = pa.table({"dense": order.astype(np.int32), "raw_id": raw_ids.take(pa.array(order))})
    write_groups(url, table, starts.tolist())


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    joined = column.combine_chunks()
    return joined.chunk(0) if isinstance(joined, pa.ChunkedArray) else joined
