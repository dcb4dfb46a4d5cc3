"""Ratings less the effects of time, and the sums over a row of blocks from which effects are drawn.

Covers: blocks without effects, residuals and their sums by slot and by bin.
Does not cover: the loops (tasks/kernels/blocks/time_sums.py), the draws (effects.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from funkflow.tasks.grid.block import BlockRow, RatingBlock
from funkflow.tasks.grid.ordered_ratings import as_records
from funkflow.tasks.grid.scaling import Scaling
from funkflow.tasks.grid.solved_rows import Matrix, Rows
from funkflow.tasks.kernels.blocks.time_sums import bin_sums, slot_sums, without_times
from funkflow.tasks.kernels.buffers import Weighed, aligned
from funkflow.tasks.training.times.effects import ItemTimes, UserTimes
from funkflow.tasks.training.times.row_days import Calendar, RowDays


@dataclass(frozen=True)
class BinSums(Weighed):
    """Sums of weighed residuals and of weights, float64 (items, bins), of all items."""

    sums: Matrix
    weights: Matrix


def blocks_without(
    blocks: BlockRow, row: RowDays, users: UserTimes, items: ItemTimes, calendar: Calendar, deviation: float
) -> tuple[RatingBlock, ...]:
    """Return a row of blocks whose ratings lack the effects of time, which are in units of `deviation`."""
    effects, bins = users.of_slots(row).astype(np.float32), calendar.bins_of(row.days)
    return tuple(
        block_without(block, slots, effects, deviation, table, bins)
        for block, slots, table in zip(blocks, row.slots, _tables(blocks, items.table), strict=True)
    )


def block_without(
    block: RatingBlock, slots: npt.NDArray[np.int32], effects: Rows, deviation: float, table: Rows | None = None,
    bins: npt.NDArray[np.int32] | None = None,
) -> RatingBlock:  # fmt: skip
    """Return a block whose ratings lack the effects of time.

    Parameters
    ----------
    slots : int32 (n,), of each rating; effects : float32 (slots,), of users on days, in units of `deviation`.
    table, bins : float32 (items, bins), of items, and int32 (slots,), the bin of each slot; None: items have none.
    """
    if table is None or bins is None:
        table, bins = np.zeros((block.shape[1], 1), np.float32), np.zeros(len(effects), np.int32)
    out, levels = np.empty(len(block), np.float32), block.scaled_levels(0.0, 1.0)
    without_times(block.coding)(
        *block.places, block.codes, levels, slots, effects, bins, table, np.float32(deviation), out
    )
    return replace(block, codes=out, levels=np.empty(0, np.float32))


def residuals_of(
    blocks: Sequence[RatingBlock], row: RowDays, users: Rows, items: Sequence[Rows], scaling: Scaling
) -> tuple[list[Rows], Matrix]:
    """Return t - <x, y> of each rating of `blocks_without`, by block, float32 (n,), and their sums, float64 (slots,).

    users, items : rows as row solves have them (tasks/grid/solved_rows.py), of the shard and of all item shards.
    """
    sums = np.zeros(len(row.days))
    return [
        residuals_of_block(block, slots, users, shard, scaling, sums)
        for block, slots, shard in zip(blocks, row.slots, items, strict=True)
    ], sums


def residuals_of_block(
    block: RatingBlock, slots: npt.NDArray[np.int32], users: Rows, items: Rows, scaling: Scaling, sums: Matrix
) -> Rows:
    """Return those of one block, and add them to the sums of their slots, float64 (slots,)."""
    residuals, share = np.empty(len(block), np.float32), 1.0 / scaling.deviation
    slot_sums(users.shape[1], users.dtype.str[1:])(
        *block.places, block.ratings, np.float32(scaling.mean), np.float32(share), slots,
        as_records(aligned(users)), as_records(aligned(items)), residuals, sums,
    )  # fmt: skip
    return residuals


def sums_by_bin(
    blocks: Sequence[RatingBlock], row: RowDays, residuals: Sequence[Rows], change: Matrix, weights: Matrix,
    calendar: Calendar,
) -> BinSums:  # fmt: skip
    """Return the sums by item and bin.

    Parameters
    ----------
    residuals : of `residuals_of`; change : float64 (slots,), of the effects of slots since; weights : float64 (users,).
    """
    items, bins = sum(block.shape[1] for block in blocks), calendar.bins_of(row.days)
    found = BinSums(np.zeros((items, calendar.bins)), np.zeros((items, calendar.bins)))
    tables = zip(*(_tables(blocks, each) for each in (found.sums, found.weights)), strict=True)
    for block, slots, values, (sums, counts) in zip(blocks, row.slots, residuals, tables, strict=True):
        bin_sums()(*block.places, values, slots, change, bins, weights, sums, counts)
    return found


def _tables(blocks: Sequence[RatingBlock] | BlockRow, table: Rows) -> list[Rows]:
    """Return the rows of each block's items, as views."""
    ends = np.cumsum([block.shape[1] for block in blocks]).tolist()
    return [table[end - block.shape[1] : end] for end, block in zip(ends, blocks, strict=True)]
