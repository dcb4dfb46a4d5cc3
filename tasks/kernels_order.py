"""Orders found by counting instead of comparing, compiled: a few ns a rating, whatever the order they come in.

Covers: one counting sort of small keys, and the steps of sorting (user, item) pairs with a value each, cell by cell.
Does not cover: which steps and cells make up which order (order.py), or their slow, obvious twins (plain_order.py).

All steps are stable: rows with equal keys keep their order. Counting sorts as in Knuth, volume 3, 5.2 and 5.2.5.
"""

from __future__ import annotations

import numba
import numpy as np
from numba import boolean, int32, int64, uint32, uint64, void

_KEYS = numba.types.Array(uint64, 1, "C")
_VALUES = numba.types.Array(uint32, 1, "C")
_ROWS = numba.types.Array(int32, 1, "C")
_GIVEN_ROWS = numba.types.Array(int32, 1, "C", readonly=True)
_GIVEN_VALUES = numba.types.Array(uint32, 1, "C", readonly=True)
_PLACES = numba.types.Array(int64, 1, "C")
_CELLS = numba.types.UniTuple(int64, 5)


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


@numba.njit(numba.types.UniTuple(int64, 2)(int64, _CELLS), nogil=True, cache=True)
def _corner(cell, cells):  # type: ignore[no-untyped-def]
    """Return the first user and the first item of a cell."""
    tile_users, tile_items, tile_columns, strips, strip_bits = cells
    tile, strip = cell // strips, cell % strips
    return tile // tile_columns * tile_users + (strip << strip_bits), tile % tile_columns * tile_items


@numba.njit(boolean(_KEYS, _VALUES, _KEYS, _VALUES, uint64, uint64), nogil=True, cache=True)
def _sort_digit(keys, values, sorted_keys, sorted_values, shift, bits):  # type: ignore[no-untyped-def]
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


@numba.njit(void(_GIVEN_ROWS, _GIVEN_ROWS, _CELLS, _ROWS, _PLACES), nogil=True, cache=True)
def count_cells(users, items, cells, cell_of, starts):  # type: ignore[no-untyped-def]
    """Say in which cell each pair lies, and where the cells begin when pairs are put in the order of their cells.

    Parameters
    ----------
    users, items : int32 (n,), none negative.
    cells : int64 (5,), see order.Cells: tile_users, tile_items, tile_columns, strips, strip_bits.
    cell_of : int32 (n,), overwritten; starts : int64 (cells there are + 1,), overwritten.
    """
    tile_users, tile_items, tile_columns, strips, strip_bits = cells
    starts[:] = 0
    for n in range(len(users)):
        tile_row = uint32(users[n]) // uint32(tile_users)
        tile = tile_row * uint32(tile_columns) + uint32(items[n]) // uint32(tile_items)
        strip = (uint32(users[n]) - tile_row * uint32(tile_users)) >> uint32(strip_bits)
        cell = int32(tile * uint32(strips) + strip)
        cell_of[n] = cell
        starts[cell + 1] += 1
    for cell in range(1, len(starts)):
        starts[cell] += starts[cell - 1]


@numba.njit(
    void(_GIVEN_ROWS, _GIVEN_ROWS, _GIVEN_VALUES, _CELLS, _ROWS, _PLACES, uint64, _KEYS, _VALUES),
    nogil=True, cache=True,
)  # fmt: skip
def place_in_cells(  # type: ignore[no-untyped-def]
    users, items, values, cells, cell_of, starts, item_bits, keys, placed_values
):
    """Put pairs and their values in the order of their cells, stably.

    Parameters
    ----------
    values : uint32 (n,); cell_of, starts : as `count_cells` leaves them.
    keys : uint64 (n,), overwritten with (user within its strip) * 2^item_bits + (item within its tile).
    placed_values : uint32 (n,), overwritten.
    """
    next_places = starts[:-1].copy()
    first_users, first_items = np.empty(len(next_places), np.int32), np.empty(len(next_places), np.int32)
    for cell in range(len(next_places)):
        first_users[cell], first_items[cell] = _corner(cell, cells)
    for n in range(len(users)):
        cell = cell_of[n]
        place = next_places[cell]
        next_places[cell] = place + 1
        keys[place] = (uint64(users[n] - first_users[cell]) << item_bits) | uint64(items[n] - first_items[cell])
        placed_values[place] = values[n]


@numba.njit(
    void(_KEYS, _VALUES, _PLACES, _CELLS, uint64, uint64, uint64, _ROWS, _ROWS, _VALUES), nogil=True, cache=True
)
def sort_cells(  # type: ignore[no-untyped-def]
    keys, values, starts, cells, item_bits, key_bits, most_digit_bits, sorted_users, sorted_items, sorted_values
):
    """Sort each cell by its keys, stably, and write out its pairs and values. Changes `keys` and `values`.

    A radix sort from the least significant digit; a cell and its copy stay in the cache through all passes.

    Parameters
    ----------
    keys, values, starts : as `place_in_cells` leaves them; key_bits : bits of the greatest key there can be.
    most_digit_bits : bits that one pass sorts by, at most; fewer for a cell of few pairs.
    sorted_users, sorted_items : int32 (n,), sorted_values : uint32 (n,), all overwritten.
    """
    greatest = int64(0)
    for cell in range(len(starts) - 1):
        greatest = max(greatest, starts[cell + 1] - starts[cell])
    spare_keys, spare_values = np.empty(greatest, np.uint64), np.empty(greatest, np.uint32)
    item_mask = (uint64(1) << item_bits) - uint64(1)
    for cell in range(len(starts) - 1):
        begin, end = starts[cell], starts[cell + 1]
        if begin == end:
            continue
        digit_bits = uint64(1)
        while digit_bits < most_digit_bits and (int64(1) << int64(digit_bits)) < end - begin:
            digit_bits += uint64(1)
        these_keys, these_values = keys[begin:end], values[begin:end]
        those_keys, those_values = spare_keys[: end - begin], spare_values[: end - begin]
        shift = uint64(0)
        while shift < key_bits:
            if _sort_digit(these_keys, these_values, those_keys, those_values, shift, digit_bits):
                these_keys, those_keys = those_keys, these_keys
                these_values, those_values = those_values, these_values
            shift += digit_bits
        first_user, first_item = _corner(cell, cells)
        for n in range(end - begin):
            sorted_users[begin + n] = int32(first_user + int64(these_keys[n] >> item_bits))
            sorted_items[begin + n] = int32(first_item + int64(these_keys[n] & item_mask))
            sorted_values[begin + n] = these_values[n]
