"""Orders found by counting instead of comparing, compiled: a few ns a rating, whatever the order they come in.

Covers: one counting sort of small keys, and the passes of a radix sort of (row, row) pairs with a value each.
Does not cover: which passes make up which order (order.py), or their slow, obvious twins (plain_order.py).

All passes are stable: rows with equal keys keep their order. Counting sorts as in Knuth, volume 3, 5.2 and 5.2.5.
"""

from __future__ import annotations

import numba
import numpy as np
from numba import boolean, int32, int64, uint32, uint64, void

_KEYS = numba.types.Array(uint64, 1, "C")
_VALUES = numba.types.Array(uint32, 1, "C")
_ROWS = numba.types.Array(int32, 1, "C")
_GIVEN_ROWS = numba.types.Array(int32, 1, "C", readonly=True)
_PLACES = numba.types.Array(int64, 1, "C")


@numba.njit(void(_GIVEN_ROWS, _PLACES, _PLACES), nogil=True, cache=True)
def count_order(keys, starts, order):  # type: ignore[no-untyped-def]  # typed by the signature above
    """Fill in the stable order of `keys`, and where in it each key begins.

    Parameters
    ----------
    keys : int32 (n,), each from 0 to len(starts) - 2; the caller has checked that.
    starts : int64 (keys there are + 1,), overwritten; order : int64 (n,), overwritten.
    """
    starts[:] = 0
    for n in range(len(keys)):
        starts[keys[n] + 1] += 1
    for key in range(1, len(starts)):
        starts[key] += starts[key - 1]
    next_places = starts[:-1].copy()
    for n in range(len(keys)):
        key = keys[n]
        order[next_places[key]] = n
        next_places[key] += 1


@numba.njit(void(_GIVEN_ROWS, _GIVEN_ROWS, uint64, _KEYS), nogil=True, cache=True)
def pack_pairs(high, low, low_bits, keys):  # type: ignore[no-untyped-def]
    """Set keys[n] to high[n] * 2^low_bits + low[n]; all int32 (n,) and none negative."""
    for n in range(len(keys)):
        keys[n] = (uint64(high[n]) << low_bits) | uint64(low[n])


@numba.njit(void(_KEYS, uint64, _ROWS, _ROWS), nogil=True, cache=True)
def unpack_pairs(keys, low_bits, high, low):  # type: ignore[no-untyped-def]
    """Undo `pack_pairs`."""
    mask = (uint64(1) << low_bits) - uint64(1)
    for n in range(len(keys)):
        high[n] = int32(keys[n] >> low_bits)
        low[n] = int32(keys[n] & mask)


@numba.njit(boolean(_KEYS, _VALUES, _KEYS, _VALUES, uint64, uint64), nogil=True, cache=True)
def sort_digit(keys, values, sorted_keys, sorted_values, shift, bits):  # type: ignore[no-untyped-def]
    """Write keys and their values in the stable order of the key's bits [shift, shift + bits).

    Return False, and write nothing, where all keys agree in those bits.
    """
    mask = (uint64(1) << bits) - uint64(1)
    places = np.zeros((uint64(1) << bits) + uint64(1), np.int64)
    for n in range(len(keys)):
        places[((keys[n] >> shift) & mask) + uint64(1)] += 1
    for digit in range(1, len(places)):
        if places[digit] == len(keys):
            return False
        places[digit] += places[digit - 1]
    for n in range(len(keys)):
        key = keys[n]
        digit = (key >> shift) & mask
        place = places[digit]
        places[digit] = place + 1
        sorted_keys[place] = key
        sorted_values[place] = values[n]
    return True


@numba.njit(void(_KEYS, _VALUES, uint64, int64, int64, int64, _ROWS, _ROWS, _VALUES), nogil=True, cache=True)
def place_in_tiles(  # type: ignore[no-untyped-def]
    keys, values, item_bits, tile_users, tile_items, tile_columns, user_rows, item_rows, placed_values
):
    """Unpack (user, item) keys and their values in the stable order of their tiles.

    Parameters
    ----------
    keys : uint64 (n,), packed with `item_bits` for the item; values : uint32 (n,).
    tile_users, tile_items : rows of a tile; tile_columns : tiles side by side, so that tile (a, b) is number
        a * tile_columns + b.
    user_rows, item_rows : int32 (n,), placed_values : uint32 (n,), all overwritten.
    """
    mask = (uint64(1) << item_bits) - uint64(1)
    last = int64(0)
    for n in range(len(keys)):
        last = max(last, int64(keys[n] >> item_bits))
    places = np.zeros((last // tile_users + 1) * tile_columns + 1, np.int64)
    for n in range(len(keys)):
        tile = uint32(keys[n] >> item_bits) // uint32(tile_users) * uint32(tile_columns)
        tile += uint32(keys[n] & mask) // uint32(tile_items)
        places[tile + 1] += 1
    for tile in range(1, len(places)):
        places[tile] += places[tile - 1]
    for n in range(len(keys)):
        user, item = uint32(keys[n] >> item_bits), uint32(keys[n] & mask)
        tile = user // uint32(tile_users) * uint32(tile_columns) + item // uint32(tile_items)
        place = places[tile]
        places[tile] = place + 1
        user_rows[place] = user
        item_rows[place] = item
        placed_values[place] = values[n]
