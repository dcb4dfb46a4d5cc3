"""One cell of the P x P grid: its ratings with local rows, in cache-sized tiles, and its form on disk.

Covers: how many shards a dataset gets, where a rating lies, the order inside a block, reading and writing blocks.
Does not cover: moving ratings from dataset files to blocks (scatter.py), or which blocks exist
(pipeline/stages/grid.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet

from tasks import files
from tasks.errors import DamagedFile

TILE_USERS, TILE_ITEMS = 32_768, 1_024
"""Rows of a tile. At rank 64 the items of a tile take 280 KB and stay in the L2 cache while its users stream by in
order; measured for the Netflix shape, halving or quadrupling the number of tiles costs up to half of the speed."""

LEAST_SHARDS = 4
BLOCK_RATINGS = 10_000_000


def shards_for(ratings: int, users: int, items: int) -> int:
    """Return P, the number of row and of column shards, from the data alone.

    At least 4, so that four tasks can always run at once; more when a block would pass 10 M ratings, about half a
    second of work; never more than users or items. An epoch copies every user shard P times, which is why P does not
    grow sooner.
    """
    wanted = max(LEAST_SHARDS, math.ceil(math.sqrt(ratings / BLOCK_RATINGS)))
    return max(1, min(wanted, users, items))


@dataclass(frozen=True)
class RatingBlock:
    """The ratings of one user shard for one item shard.

    Attributes
    ----------
    user_rows, item_rows : int32 (n,), rows local to the shards (dense id div P).
    ratings : float32 (n,), in rating units.
    shape : (int, int), rows of the user shard and of the item shard.
    """

    user_rows: npt.NDArray[np.int32]
    item_rows: npt.NDArray[np.int32]
    ratings: npt.NDArray[np.float32]
    shape: tuple[int, int]


def tiled(user_rows: npt.NDArray[np.int32], item_rows: npt.NDArray[np.int32]) -> npt.NDArray[np.intp]:
    """Return the order of a block's ratings: by tile, within a tile by user, within a user by item.

    (user, item) pairs are distinct, so the order does not depend on the order they come in.
    """
    tile = (user_rows // TILE_USERS).astype(np.int64) * (1 << 20) + item_rows // TILE_ITEMS
    return np.lexsort((item_rows, user_rows, tile))


def write_block(folder: str, block: RatingBlock) -> dict[str, object]:
    """Write one block under its own checksum, so that equal blocks are one file; return its manifest entry."""
    table = pa.table({"user_row": block.user_rows, "item_row": block.item_rows, "rating": block.ratings})
    sink = pa.BufferOutputStream()
    pa.parquet.write_table(table, sink, compression="zstd", compression_level=1, use_dictionary=["rating", "item_row"])
    data = memoryview(sink.getvalue())
    name = files.checksum(data)
    files.write_bytes(files.join(folder, f"{name}.parquet"), data)
    return {"checksum": name, "rows": table.num_rows, "bytes": len(data)}


def read_block(folder: str, name: str, shape: tuple[int, int]) -> RatingBlock:
    """Read the block of that checksum.

    Raises
    ------
    DamagedFile
        Missing, changed since it was written, or with rows outside `shape`.
    """
    table = files.read_table(files.join(folder, f"{name}.parquet"), expected_checksum=name).combine_chunks()
    user_rows, item_rows, ratings = (table[column].to_numpy() for column in ("user_row", "item_row", "rating"))
    for rows, size in ((user_rows, shape[0]), (item_rows, shape[1])):
        if len(rows) and not (rows.min() >= 0 and rows.max() < size):
            raise DamagedFile(
                f"{folder}/{name}.parquet: row {rows.max()} lies outside its shard of {size} rows; "
                "delete it and run again"
            )
    return RatingBlock(user_rows, item_rows, ratings, shape)


def rows_seen(block_row: tuple[RatingBlock, ...]) -> tuple[npt.NDArray[np.bool_], tuple[npt.NDArray[np.bool_], ...]]:
    """Return which users, and for each block which items, of one row of blocks have any rating."""
    users = np.zeros(block_row[0].shape[0], dtype=np.bool_)
    items = []
    for block in block_row:
        users[block.user_rows] = True
        seen = np.zeros(block.shape[1], dtype=np.bool_)
        seen[block.item_rows] = True
        items.append(seen)
    return users, tuple(items)
