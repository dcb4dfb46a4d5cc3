"""The orders that ratings are put in: by bucket, by (user, item), and by tile within a block.

Covers: the passes that make up each order, and the memory they take turns in.
Does not cover: the passes themselves (kernels_order.py), or what the orders are for (partition.py,
scatter.py, blocks.py).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tasks.kernels_order import count_order, pack_pairs, place_in_tiles, sort_digit, unpack_pairs

Rows = npt.NDArray[np.int32]
_Keys = npt.NDArray[np.uint64]
_Values = npt.NDArray[np.uint32]

_MOST_DIGIT_BITS = 11
"""Bits of a key that one pass sorts by: so many places to write to stay within the first cache."""


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
    keys, item_bits = _packed(users, items)
    keys, places = _radix_sorted(keys, np.arange(len(keys), dtype=np.uint32), _bits(users) + item_bits)
    sorted_users, sorted_items = np.empty(len(keys), np.int32), np.empty(len(keys), np.int32)
    unpack_pairs(keys, item_bits, sorted_users, sorted_items)
    return sorted_users, sorted_items, places


def tile_sorted(
    user_rows: Rows, item_rows: Rows, ratings: npt.NDArray[np.float32], tile_users: int, tile_items: int
) -> tuple[Rows, Rows, npt.NDArray[np.float32]]:
    """Return a block's ratings by tile of `tile_users` x `tile_items` rows, within a tile by user, then item.

    Raises
    ------
    ValueError
        A negative row.
    """
    users, items, values = _tiled(user_rows, item_rows, ratings.view(np.uint32), tile_users, tile_items)
    return users, items, values.view(np.float32)


def tile_order(user_rows: Rows, item_rows: Rows, tile_users: int, tile_items: int) -> _Values:
    """Return the order, uint32, that `tile_sorted` puts ratings in."""
    return _tiled(user_rows, item_rows, np.arange(len(user_rows), dtype=np.uint32), tile_users, tile_items)[2]


def _tiled(
    user_rows: Rows, item_rows: Rows, values: _Values, tile_users: int, tile_items: int
) -> tuple[Rows, Rows, _Values]:
    keys, item_bits = _packed(user_rows, item_rows)
    keys, values = _radix_sorted(keys, values, _bits(user_rows) + item_bits)
    users, items = np.empty(len(keys), np.int32), np.empty(len(keys), np.int32)
    placed = np.empty(len(keys), np.uint32)
    columns = int(item_rows.max(initial=0)) // tile_items + 1
    place_in_tiles(keys, values, item_bits, tile_users, tile_items, columns, users, items, placed)
    return users, items, placed


def _packed(high: Rows, low: Rows) -> tuple[_Keys, int]:
    if len(high) and min(high.min(), low.min()) < 0:
        raise ValueError(f"row {min(high.min(), low.min())} is negative")
    keys, low_bits = np.empty(len(high), np.uint64), _bits(low)
    pack_pairs(np.ascontiguousarray(high, np.int32), np.ascontiguousarray(low, np.int32), low_bits, keys)
    return keys, low_bits


def _bits(rows: Rows) -> int:
    return int(rows.max(initial=0)).bit_length()


def _radix_sorted(keys: _Keys, values: _Values, bits: int) -> tuple[_Keys, _Values]:
    """Sort by the lowest `bits` of the keys, least significant digit first. Only the keys may be overwritten."""
    passes = -(-bits // _MOST_DIGIT_BITS)
    given, spare_keys, spare = values, np.empty_like(keys), np.empty_like(values)
    for number in range(passes):
        begin, end = bits * number // passes, bits * (number + 1) // passes
        if sort_digit(keys, values, spare_keys, spare, begin, end - begin):
            keys, spare_keys = spare_keys, keys
            values, spare = spare, np.empty_like(values) if values is given else values
    return keys, values
