"""The orders that ratings are put in: by bucket, by (user, item), and by tile within a block.

Covers: the steps that make up each order, and how pairs are parted to cells that fit the cache.
Does not cover: the steps themselves (kernels_order.py), or what the orders are for (partition.py,
scatter.py, blocks.py).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tasks.kernels_order import count_cells, count_order, place_in_cells, sort_cells

Rows = npt.NDArray[np.int32]
_Values = npt.NDArray[np.uint32]

_MOST_DIGIT_BITS = 11
"""Bits of a key that one pass sorts by: so many places to write to stay within the first cache."""
_CELL_PAIRS, _MOST_CELLS = 16_384, 2_048
"""Pairs aimed at in a cell, which with their copy stay in the second cache, and cells made beyond the tiles for it."""


class Cells(NamedTuple):
    """How pairs are parted before they are sorted: tiles row by row, and in each tile strips of 2^strip_bits users."""

    tile_users: int
    tile_items: int
    tile_columns: int
    strips: int
    strip_bits: int


def counted_order(keys: npt.NDArray[np.integer], size: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the stable order of keys from 0 to size - 1, and int64 (size + 1,): where in it each key begins.

    Raises
    ------
    ValueError
        A key is negative, or `size` or more.
    """
    if len(keys) and not (keys.min() >= 0 and keys.max() < size):
        raise ValueError(f"keys from {keys.min()} to {keys.max()} are not all from 0 to {size - 1}")
    order, starts = np.empty(len(keys), np.int64), np.empty(size + 1, np.int64)
    count_order(np.ascontiguousarray(keys, np.int32), starts, order)
    return order, starts


def sorted_pairs(users: Rows, items: Rows) -> tuple[Rows, Rows, _Values]:
    """Return pairs sorted by (user, item), equal ones in the order they came in, and uint32: where each was before.

    Raises
    ------
    ValueError
        A negative row.
    """
    whole = int(users.max(initial=0)) + 1, int(items.max(initial=0)) + 1
    return _sorted(users, items, np.arange(len(users), dtype=np.uint32), *whole)


def tile_sorted(
    user_rows: Rows, item_rows: Rows, ratings: npt.NDArray[np.float32], tile_users: int, tile_items: int
) -> tuple[Rows, Rows, npt.NDArray[np.float32]]:
    """Return a block's ratings by tile of `tile_users` x `tile_items` rows, within a tile by user, then item.

    Raises
    ------
    ValueError
        A negative row.
    """
    users, items, values = _sorted(user_rows, item_rows, ratings.view(np.uint32), tile_users, tile_items)
    return users, items, values.view(np.float32)


def tile_order(user_rows: Rows, item_rows: Rows, tile_users: int, tile_items: int) -> _Values:
    """Return the order, uint32, that `tile_sorted` puts ratings in."""
    return _sorted(user_rows, item_rows, np.arange(len(user_rows), dtype=np.uint32), tile_users, tile_items)[2]


def _sorted(users: Rows, items: Rows, values: _Values, tile_users: int, tile_items: int) -> tuple[Rows, Rows, _Values]:
    users, items = np.ascontiguousarray(users, np.int32), np.ascontiguousarray(items, np.int32)
    if len(users) and min(users.min(), items.min()) < 0:
        raise ValueError(f"row {min(users.min(), items.min())} is negative")
    sizes = int(users.max(initial=0)) + 1, int(items.max(initial=0)) + 1
    cells, count = _cells(len(users), sizes, tile_users, tile_items)
    plain = tuple(cells)
    item_bits = (min(tile_items, sizes[1]) - 1).bit_length()
    sorted_users, sorted_items = np.empty_like(users), np.empty_like(items)
    starts, keys = np.empty(count + 1, np.int64), np.empty(len(users), np.uint64)
    placed, sorted_values = np.empty_like(values), np.empty_like(values)
    cell_of = sorted_users  # memory that is free until the last step
    count_cells(users, items, plain, cell_of, starts)
    place_in_cells(users, items, values, plain, cell_of, starts, item_bits, keys, placed)
    sort_cells(
        keys, placed, starts, plain, item_bits, item_bits + cells.strip_bits, _MOST_DIGIT_BITS,
        sorted_users, sorted_items, sorted_values,
    )  # fmt: skip
    return sorted_users, sorted_items, sorted_values


def _cells(pairs: int, sizes: tuple[int, int], tile_users: int, tile_items: int) -> tuple[Cells, int]:
    """Return the cells for so many pairs of rows below `sizes`, and how many cells there are."""
    tile_rows, tile_columns = -(-sizes[0] // tile_users), -(-sizes[1] // tile_items)
    tiles = tile_rows * tile_columns
    user_bits = (min(tile_users, sizes[0]) - 1).bit_length()
    wanted = min(pairs // _CELL_PAIRS, _MOST_CELLS) // tiles
    strip_bits = user_bits - min(user_bits, wanted.bit_length())
    strips = (min(tile_users, sizes[0]) - 1 >> strip_bits) + 1
    return Cells(tile_users, tile_items, tile_columns, strips, strip_bits), tiles * strips
