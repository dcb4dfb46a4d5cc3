"""The order of ratings inside a block: tiles, groups of users, and an order that keeps equal rows apart.

Covers: the sizes of a tile and a group, the order of a block's ratings, and a rating's cell within its tile and group.
Does not cover: the block and its file (tasks/grid/block.py), or the loops over tiles (sgd.py, tasks/training/sgd.py).

A block has tiles of TILE_USERS x TILE_ITEMS rows, whose items stay in the L2 cache while the users stream by. A tile
has groups of GROUP_USERS users, who stay in the L1 cache. Tiles come by diagonals, as blocks do in strata: tiles of one
diagonal share neither users nor items and may run in parallel. Within a group, user j starts at item 32 j of the tile,
and all users advance in step: neighbouring ratings mostly share neither row, so the processor overlaps their steps.
Measured at rank 64: 76 M ratings/s a thread, against 51 M user by user and 64 M item by item.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

TILE_USERS, TILE_ITEMS = 8_192, 1_024
"""At rank 64 the items of a tile take 290 KB. Tiles of 512 or 2,048 items and of 32,768 users were within 5 %."""

GROUP_USERS = 32
TILE_RUNS = TILE_USERS // GROUP_USERS
ITEM_BITS = 10
_USER_BITS = 5
_GROUP_BITS = 8
_ITEM_MASK, _USER_MASK, _GROUP_MASK = (np.uint64((1 << bits) - 1) for bits in (ITEM_BITS, _USER_BITS, _GROUP_BITS))
_STRIDE = np.uint64(TILE_ITEMS // GROUP_USERS)
_CELL_BITS = np.uint64(ITEM_BITS + _USER_BITS)


def tile_grid(shape: tuple[int, int]) -> tuple[int, int]:
    """Return the numbers of rows and columns of tiles for a block of `shape` (users, items).

    `shape` numbers the tiles; a block may have fewer rows (tasks/grid/layout.py).
    """
    return -(-shape[0] // TILE_USERS), -(-shape[1] // TILE_ITEMS)


def whole_tiles(shape: tuple[int, int]) -> tuple[int, int]:
    """Return users and items up to the end of the last tile; the numbers of tiles depend on nothing else."""
    rows, columns = tile_grid(shape)
    return rows * TILE_USERS, columns * TILE_ITEMS


def key_bits(shape: tuple[int, int]) -> int:
    """Return the most bits of a block's order keys."""
    rows, columns = tile_grid(shape)
    return (max(rows, columns) * rows - 1).bit_length() + _GROUP_BITS + int(_CELL_BITS)


def order_keys(
    user_rows: npt.NDArray[Any], item_rows: npt.NDArray[Any], shape: tuple[int, int]
) -> npt.NDArray[np.uint64]:
    """Return the sort key of each rating, uint64 (n,); the keys of a block are distinct.

    From the top bits: the run (the tile, by diagonals, and the group of users), the step, the user within the group.

    Parameters
    ----------
    user_rows, item_rows : integers (n,), rows local to the shards.
    """
    users, items = user_rows.astype(np.uint64), item_rows.astype(np.uint64)
    rows, columns = tile_grid(shape)
    row, column = users >> np.uint64(_GROUP_BITS + _USER_BITS), items >> np.uint64(ITEM_BITS)
    # A table of remainders: dividing each rating's numbers would take ten times as long as all the rest.
    diagonals = np.arange(max(rows, columns) * 2, dtype=np.uint64) % np.uint64(max(rows, columns)) * np.uint64(rows)
    tile = diagonals[column + np.uint64(max(rows, columns)) - row] + row
    user = users & _USER_MASK
    place = (items - user * _STRIDE) & _ITEM_MASK
    run = tile << np.uint64(_GROUP_BITS) | (users >> np.uint64(_USER_BITS)) & _GROUP_MASK
    keys: npt.NDArray[np.uint64] = run << _CELL_BITS | place << np.uint64(_USER_BITS) | user
    return keys


def runs_of(keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Return for each rating, int64, the number of its run: the ratings of one group of users in one tile."""
    return (keys >> _CELL_BITS).view(np.int64)


def runs_in_order(shape: tuple[int, int]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the place of the first run of each tile among all runs, int64 (rows, columns), and the tiles' numbers.

    The numbers, int64 (rows * columns,), are in the order of the tiles; each has TILE_RUNS runs.
    """
    rows, columns = tile_grid(shape)
    row, column = np.indices((rows, columns))
    numbers = (column - row) % max(rows, columns) * rows + row
    order = np.argsort(numbers, axis=None)
    firsts = np.empty(len(order), np.int64)
    firsts[order] = np.arange(len(order)) * TILE_RUNS
    return firsts.reshape(rows, columns), numbers.reshape(-1)[order]


def cells_of(keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint16]:
    """Return for each rating, uint16, 1,024 times the user's place in the group plus the item's place in the tile."""
    user = keys & _USER_MASK
    item = ((keys >> np.uint64(_USER_BITS)) + user * _STRIDE) & _ITEM_MASK
    return (user << np.uint64(ITEM_BITS) | item).astype(np.uint16)


def tiles_of(runs: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return for each run the number of its tile; tiles come in the order of their numbers."""
    return runs >> _GROUP_BITS


def first_rows_of(
    runs: npt.NDArray[np.int64], shape: tuple[int, int]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return for each run the first user row of its group and the first item row of its tile, int64."""
    rows, columns = tile_grid(shape)
    diagonal, row = np.divmod(tiles_of(runs), rows)
    group = runs & int(_GROUP_MASK)
    return row * TILE_USERS + group * GROUP_USERS, (diagonal + row) % max(rows, columns) * TILE_ITEMS
