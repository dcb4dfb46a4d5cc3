"""Move ratings from dataset files to blocks in two steps, each a pure task over files.

Covers: one dataset part to a scratch file with a group a block, and one block from the groups of all scratch files.
Does not cover: the order inside a block and its file (block.py), the graph of tasks (pipeline/stages/grid.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funkflow.tasks.dataset.sorting import stable_order
from funkflow.tasks.grid.block import RatingBlock, WrittenBlock, write_block
from funkflow.tasks.parsing.ids import mix
from funkflow.tasks.storage import files
from funkflow.tasks.storage.arrow_groups import narrowest_type, read_groups, write_groups

_DATASET_COLUMNS = ("user", "item", "rating")
_SLICE = 1 << 16
_USER, _ITEM, _RATING = (np.uint64(odd) for odd in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9))


@dataclass(frozen=True)
class Group:
    """The ratings of one dataset part in one block: the block's number, their count, and the sum of their fingerprints.

    The sum over all parts is that of the block, however the dataset was cut: equal ratings, equal sum.
    """

    block: int
    rows: int
    fingerprint: int


def scatter_part(
    part_url: str, checksum: str, removed: Sequence[tuple[str, str]], shards: int, scratch_url: str,
    counts: bool = False,
) -> list[Group]:  # fmt: skip
    """Write the training ratings of one dataset part to `scratch_url`, one group for each block that has any.

    Parameters
    ----------
    removed : (url, checksum) of the held-out files whose `row` column names positions in this part to leave out.
    counts : keep three digits of each rating, which is a count, so that a block has few different ones.

    Returns
    -------
    The groups, in the order of the block numbers a * P + b.
    """
    table = files.read_table(part_url, ["user", "item", "rating"], expected_checksum=checksum)
    users, items, ratings = (table[column].to_numpy() for column in _DATASET_COLUMNS)
    del table
    block_numbers = (users % shards) * shards + items % shards
    for url, held_out_checksum in removed:
        rows = files.read_table(url, ["row"], expected_checksum=held_out_checksum)["row"].to_numpy()
        block_numbers[rows[rows >= 0]] = shards * shards  # after all blocks: not written
    order, starts = stable_order(block_numbers, shards * shards + 1)
    order = order[: starts[-2]]
    local_users, local_items = users // shards, items // shards
    narrow = {
        name: rows.astype(narrowest_type(0, int(rows.max(initial=0))))[order]
        for name, rows in (("user_row", local_users), ("item_row", local_items))
    }
    present = np.flatnonzero(np.diff(starts[:-1]))
    edges = [*starts[present].tolist(), len(order)]
    ratings = with_three_digits(ratings[order]) if counts else ratings[order]
    write_groups(scratch_url, pa.table({**narrow, "rating": ratings}), edges)
    sums = _fingerprints(narrow["user_row"], narrow["item_row"], ratings, edges)
    rows = [end - start for start, end in pairwise(edges)]
    return [Group(int(number), *of_group) for number, *of_group in zip(present, rows, sums, strict=True)]


def with_three_digits(counts: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return positive numbers rounded to three digits: training looks at their logarithms, which change by 0.005."""
    unit = 10.0 ** (np.floor(np.log10(counts.astype(np.float64))) - 2.0)
    return (np.round(counts / unit) * unit).astype(np.float32)


def _fingerprints(
    user_rows: npt.NDArray[Any], item_rows: npt.NDArray[Any], ratings: npt.NDArray[np.float32], edges: Sequence[int]
) -> list[int]:
    """Return for each group the sum, modulo 2⁶⁴, of a hash of every rating's rows and bits."""
    hashes = np.empty(len(ratings), np.uint64)
    bits = ratings.view(np.uint32)
    for start in range(0, len(ratings), _SLICE):
        part = slice(start, start + _SLICE)
        hashes[part] = mix(
            user_rows[part].astype(np.uint64) * _USER
            ^ item_rows[part].astype(np.uint64) * _ITEM
            ^ bits[part].astype(np.uint64) * _RATING
        )
    return [int(total) for total in np.add.reduceat(hashes, edges[:-1])] if len(hashes) else []


class RatingSums(TypedDict):
    """Sums over the ratings of a block in float64, in block order, so that they do not depend on the dataset's parts.

    `sum`, `squares` : of ratings and of their squares; `about_mean` : of squares about their own mean; `extremes` :
    the least and the greatest rating, if there are any.
    """

    sum: float
    squares: float
    about_mean: float
    extremes: list[float]


class BuiltBlock(WrittenBlock, RatingSums):
    """The manifest entry of a block."""


def build_block(
    pieces: Sequence[tuple[str, int]], shape: tuple[int, int], laid: tuple[int, int], folder: str
) -> BuiltBlock:
    """Read one block's groups, put its ratings in order and write it.

    Parameters
    ----------
    pieces : (scratch url, group) in the order of the dataset parts.
    laid : rows that tiles are numbered for (layout.py).

    Returns
    -------
    The block's manifest entry.
    """
    user_rows, item_rows, ratings = _read_ratings(pieces)
    block = RatingBlock.of(user_rows, item_rows, ratings, shape, laid)
    del user_rows, item_rows, ratings
    return {**write_block(folder, block), **_sums(block)}


def _sums(block: RatingBlock) -> RatingSums:
    values = (block.codes if block.coding == "f4" else block.levels).astype(np.float64)
    counts = np.ones(len(values)) if block.coding == "f4" else np.bincount(block.codes, minlength=len(values))
    total = float(np.sum(counts * values))
    about_mean = float(np.sum(counts * (values - total / max(1, len(block))) ** 2))
    extremes = [float(values.min()), float(values.max())] if len(values) else []
    return {"sum": total, "squares": float(np.sum(counts * values**2)), "about_mean": about_mean, "extremes": extremes}


def _read_ratings(
    pieces: Sequence[tuple[str, int]],
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    empty = pa.schema([("user_row", pa.int32()), ("item_row", pa.int32()), ("rating", pa.float32())])
    tables = [read_groups(url, [group]) for url, group in pieces]
    table = pa.concat_tables([empty.empty_table(), *tables], promote_options="permissive")
    user_rows, item_rows, ratings = (table[name].to_numpy() for name in empty.names)
    return user_rows, item_rows, ratings
