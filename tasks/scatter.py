"""Move ratings from dataset files to blocks in two steps, each a pure task over files.

Covers: one dataset part to a scratch file with a row group a block, and one block from the row groups of all scratch
files.
Does not cover: the order inside a block and its file (blocks.py), or which tasks run (pipeline/stages/grid.py).
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tasks import files
from tasks.blocks import RatingBlock, write_block

_COLUMNS = ("user_row", "item_row", "rating")


def scatter_part(
    part_url: str, checksum: str, removed: Sequence[tuple[str, str]], shards: int, scratch_url: str
) -> list[int]:
    """Write the training ratings of one dataset part to `scratch_url`, one row group for each block that has any.

    Parameters
    ----------
    removed : (url, checksum) of the held-out files whose `row` column names positions in this part to leave out.

    Returns
    -------
    The block numbers a * P + b of the row groups, in order.
    """
    table = files.read_table(part_url, ["user", "item", "rating"], expected_checksum=checksum)
    users, items, ratings = (table[column].to_numpy() for column in ("user", "item", "rating"))
    kept = np.ones(len(users), dtype=np.bool_)
    for url, held_out_checksum in removed:
        rows = files.read_table(url, ["row"], expected_checksum=held_out_checksum)["row"].to_numpy()
        kept[rows[rows >= 0]] = False
    users, items, ratings = users[kept], items[kept], ratings[kept]
    block_numbers = (users % shards) * shards + items % shards
    order = np.argsort(block_numbers.astype(np.uint16 if shards <= 256 else np.int32), kind="stable")
    present, starts = np.unique(block_numbers[order], return_index=True)
    stops = np.append(starts, len(users))[1:]
    arranged = pa.table(
        dict(zip(_COLUMNS, (users[order] // shards, items[order] // shards, ratings[order]), strict=True))
    )
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, arranged.schema, compression="lz4", use_dictionary=["rating"]) as writer:
        for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
            writer.write_table(arranged.slice(start, stop - start), row_group_size=stop - start)
    files.write_bytes(scratch_url, sink.getbuffer())
    return [int(number) for number in present]


def build_block(pieces: Sequence[tuple[str, int]], shape: tuple[int, int], folder: str) -> dict[str, Any]:
    """Read one block's row groups, put its ratings in order and write it.

    Parameters
    ----------
    pieces : (scratch url, row group) in the order of the dataset parts.

    Returns
    -------
    The block's manifest entry, with `sum` and `squares` of its ratings in float64 (in block order, so that they do not
    depend on how the dataset was partitioned).
    """
    user_rows, item_rows, ratings = _gathered(pieces)
    block = RatingBlock.of(user_rows, item_rows, ratings, shape)
    exact = block.ratings.astype(np.float64)
    return {**write_block(folder, block), "sum": float(np.sum(exact)), "squares": float(np.sum(exact * exact))}


def _gathered(
    pieces: Sequence[tuple[str, int]],
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    empty = pa.table(
        {
            "user_row": pa.array([], pa.int32()),
            "item_row": pa.array([], pa.int32()),
            "rating": pa.array([], pa.float32()),
        }
    )
    tables = [empty]
    for url, group in pieces:
        system, path = files.filesystem(url)
        with system.open(path, "rb") as file:
            tables.append(pq.ParquetFile(file).read_row_group(group))
    table = pa.concat_tables(tables).combine_chunks()
    return table["user_row"].to_numpy(), table["item_row"].to_numpy(), table["rating"].to_numpy()
