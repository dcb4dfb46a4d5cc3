"""Move ratings from dataset files to blocks in two steps, each a pure task over files.

Covers: one dataset part, or known pairs, to a scratch file with a group a block, and one block from the groups of all
scratch files.
Does not cover: the order inside a block and its file (block.py), pieces (pieces.py), the graph of tasks
(pipeline/stages/grid.py).

A rating is decoded once and written twice: on the Netflix shape 3.2 bytes of scratch and 2.4 of a block. Of 45 ns of a
processor for both tasks, decoding and checksums take 14, coding and cutting 7, the order 10, and writing the block 7.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from funkflow.tasks.grid.block import MOST_LEVELS, RatingBlock, WrittenBlock, code_type, write_block
from funkflow.tasks.grid.pieces import Piece, cut_part, read_pieces, write_pieces
from funkflow.tasks.kernels.blocks.runs import count_runs, fill_runs, order_runs
from funkflow.tasks.kernels.tiles import TILE_RUNS, runs_in_order, tile_grid, whole_tiles
from funkflow.tasks.model.about import Place
from funkflow.tasks.storage import files
from funkflow.tasks.storage.stored_table import StoredTable

FEW_ROWS, FEW_RATINGS = 1 << 21, 1 << 18
"""Parts with fewer rows are cut by NumPy, and blocks with fewer ratings put in order: compiling the loops takes longer
than all the work on such a dataset."""
_LEAST_A_RUN = 4
_DATASET_COLUMNS = ("user", "item", "rating")
_ZERO = np.float32(0.0)
"""Added to ratings: it makes -0 the rating 0."""


@dataclass(frozen=True)
class Group:
    """Ratings of one dataset part in one block: the block's number, their count, and the sum of their fingerprints.

    The sum over all groups is that of the block, however the dataset was cut: equal ratings, equal sum.
    """

    block: int
    rows: int
    fingerprint: int


def scatter_part(
    part_url: str, checksum: str, removed: Sequence[tuple[str, str]], shards: int, scratch_url: str,
    counts: bool = False, days: bool = False,
) -> list[Group]:  # fmt: skip
    """Write the training ratings of one dataset part to `scratch_url`, in groups of one block's.

    The part is cut stretch by stretch, as its file has them, so that memory is used again while it is in the cache.

    Parameters
    ----------
    removed : (url, checksum) of the held-out files whose `row` column names positions in this part to leave out.
    counts : keep three digits of each rating, which is a count, so that a block has few different ones.
    days : in place of each rating write its day, counted from 1970, for a block of days.

    Returns
    -------
    The groups, in the order of the file.
    """
    part, groups, cuts = StoredTable(part_url, checksum), [], []
    is_left_out, end = np.zeros(part.num_rows, bool), 0
    for url, held_out_checksum in removed:
        rows = files.read_table(url, ["row"], expected_checksum=held_out_checksum)["row"].to_numpy()
        is_left_out[rows[rows >= 0]] = True
    columns = (*_DATASET_COLUMNS[:2], "timestamp" if days else "rating")
    for stretch in part.stretches(columns):
        users, items, ratings = (stretch[column].to_numpy() for column in columns)
        begin, end = end, end + len(users)
        if days:
            ratings = days_of(ratings).astype(np.float32)
        else:
            ratings = with_three_digits(ratings) if counts else ratings + _ZERO
        is_long = part.num_rows >= FEW_ROWS
        cut, fingerprints = cut_part(users, items, ratings, is_left_out[begin:end], shards, is_long)
        cuts.append(cut)
        groups += [Group(*of_piece) for of_piece in zip(cut.blocks, cut.sizes, fingerprints, strict=True)]
    write_pieces(scratch_url, cuts)
    return groups


def scatter_pairs(place: Place, shards: int, scratch_url: str) -> list[Group]:
    """Write known pairs, users and items of a file in their order, in groups of one block's, each with the rating 1."""
    table = files.read_table(place[0], list(_DATASET_COLUMNS[:2]), expected_checksum=place[1])
    users, items = (column.to_numpy() for column in table.columns)
    ones, nothing = np.ones(len(users), np.float32), np.zeros(len(users), bool)
    cut, fingerprints = cut_part(users, items, ones, nothing, shards, len(users) >= FEW_ROWS)
    write_pieces(scratch_url, [cut])
    return [Group(*of_piece) for of_piece in zip(cut.blocks, cut.sizes, fingerprints, strict=True)]


def days_of(times: npt.NDArray[np.datetime64]) -> npt.NDArray[np.int64]:
    """Return the day of each time, counted from 1970, int64 (n,)."""
    return times.astype("datetime64[D]").astype(np.int64)


def with_three_digits(counts: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return positive numbers rounded to three digits: training looks at their logarithms, which change by 0.005."""
    unit = 10.0 ** (np.floor(np.log10(counts.astype(np.float64))) - 2.0)
    return (np.round(counts / unit) * unit).astype(np.float32)


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
    places: Sequence[tuple[str, Sequence[int]]], shape: tuple[int, int], laid: tuple[int, int], folder: str
) -> BuiltBlock:
    """Read one block's groups, put its ratings in order and write it.

    Parameters
    ----------
    places : (scratch url, groups in that file) in the order of the dataset parts.
    laid : rows that tiles are numbered for (layout.py).

    Returns
    -------
    The block's manifest entry.
    """
    pieces = [piece for place in places for piece in read_pieces(*place)]
    block, counts = put_in_order(pieces, shape, laid)
    del pieces
    return {**write_block(folder, block), **_sums(block, counts)}


def put_in_order(
    pieces: Sequence[Piece], shape: tuple[int, int], laid: tuple[int, int]
) -> tuple[RatingBlock, npt.NDArray[np.int64]]:
    """Return the block of some pieces, and the number of ratings of each of its levels.

    Compiled loops do it where there are many ratings, for the number of runs, too, and they have levels.
    """
    rows, columns = tile_grid(laid)
    ratings = sum(len(piece.codes) for piece in pieces)
    if ratings >= max(FEW_RATINGS, rows * columns * TILE_RUNS * _LEAST_A_RUN) and all(each.is_coded for each in pieces):
        levels = np.unique(np.concatenate([piece.levels for piece in pieces]))
        if len(levels) <= MOST_LEVELS:
            return order_compiled(pieces, shape, laid)
    return order_plainly(pieces, shape, laid)


def order_plainly(
    pieces: Sequence[Piece], shape: tuple[int, int], laid: tuple[int, int]
) -> tuple[RatingBlock, npt.NDArray[np.int64]]:
    """Do the same by NumPy."""
    users, items, ratings = (
        np.concatenate([np.empty(0, dtype), *(getattr(piece, name) for piece in pieces)])
        for name, dtype in (("rows_of_ratings", np.int32), ("item_rows", np.uint16), ("ratings", np.float32))
    )
    block = RatingBlock.of(users, items, ratings, shape, laid)
    return block, np.bincount(block.codes if len(block.levels) else [], minlength=len(block.levels))


def order_compiled(
    pieces: Sequence[Piece], shape: tuple[int, int], laid: tuple[int, int]
) -> tuple[RatingBlock, npt.NDArray[np.int64]]:
    """Do the same by compiled loops, for pieces that have levels, at most 65,536 together.

    Raises
    ------
    ValueError
        Two ratings have the same user and item.
    """
    firsts, tiles = runs_in_order(laid)
    counts = np.zeros(len(tiles) * TILE_RUNS, np.int64)
    of_pieces = [np.zeros(len(piece.levels), np.int64) for piece in pieces]
    for piece, own in zip(pieces, of_pieces, strict=True):
        count_runs(*piece.widths)(*piece.places, firsts, counts, own)
    levels = np.unique(np.concatenate([piece.levels[own > 0] for piece, own in zip(pieces, of_pieces, strict=True)]))
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    places, cells, codes = starts[:-1].copy(), np.empty(starts[-1], np.uint16), np.empty(starts[-1], code_type(levels))
    level_counts = np.zeros(len(levels), np.int64)
    for piece, own in zip(pieces, of_pieces, strict=True):
        there = np.flatnonzero(own)
        code_of = np.searchsorted(levels, piece.levels).astype(codes.dtype)
        level_counts[code_of[there]] += own[there]
        is_same = codes.dtype == piece.codes.dtype and np.array_equal(code_of[there], there)
        like_block = piece if is_same else replace(piece, codes=code_of[piece.codes])
        fill_runs(*like_block.widths)(*like_block.places, firsts, places, cells, codes)
    if order_runs(codes.dtype.str[1:])(starts, cells, codes) != starts[-1]:
        raise ValueError("two ratings of a block have the same user and item")
    filled = np.flatnonzero(counts)
    block = RatingBlock.assembled(
        tiles[filled // TILE_RUNS] * TILE_RUNS + filled % TILE_RUNS, starts[1:][filled],
        cells=cells, codes=codes, levels=levels, shape=shape, laid=whole_tiles(laid),
    )  # fmt: skip
    return block, level_counts


def _sums(block: RatingBlock, counts: npt.NDArray[np.int64]) -> RatingSums:
    """Return the sums; `counts` : of the ratings of each level."""
    is_coded = block.coding != "f4"
    values = (block.levels if is_coded else block.codes).astype(np.float64)
    weights = counts if is_coded else np.ones(len(values))
    total = float(np.sum(weights * values))
    about_mean = float(np.sum(weights * (values - total / max(1, len(block))) ** 2))
    extremes = [float(values.min()), float(values.max())] if len(values) else []
    return {"sum": total, "squares": float(np.sum(weights * values**2)), "about_mean": about_mean, "extremes": extremes}
