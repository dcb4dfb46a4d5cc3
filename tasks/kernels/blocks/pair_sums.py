"""Compiled sums over the pairs of a block, whatever their ratings: what users rated, and who rated items.

Covers: `add_items` and `add_users`, for any width of rows, in float32 or float64, each with an explicit signature.
Does not cover: weights of rows, and rows of blocks (tasks/training/implicit/known_pairs.py).

With N_ab = 1 where user a has rated item b, else 0, they are the products N Y and N^T X. The loops take pairs in the
block's order, so a sum has the same bits on every machine of one CPU target.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import int32, int64, types, uint16
from numba.extending import intrinsic

from funkflow.tasks.kernels.cache import built_once, compiled
from funkflow.tasks.kernels.row_terms import NUMBERS
from funkflow.tasks.kernels.tiles import ITEM_BITS, TILE_ITEMS
from funkflow.tasks.kernels.vector import FAST_MATH, Row, array_data, rank_of, rows_type

_ITEM_MASK = TILE_ITEMS - 1


@intrinsic
def _add_row(_typing, sums, a, given, b):  # type: ignore[no-untyped-def]
    """Add row b of the given rows to row a of the sums, both rows of `row_dtype`; a, b : int64. It checks nothing."""
    rank, kind = rank_of(sums), sums.dtype.typeof("factors").dtype

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        out, source = (array_data(context, builder, signature.args[n], arguments[n]) for n in (0, 2))
        number = context.get_value_type(kind)
        total, added = (Row(builder, data, arguments[n], rank, number) for data, n in ((out, 1), (source, 3)))
        total.store([old + more for old, more in zip(total.vectors, added.vectors, strict=True)])
        return context.get_dummy_value()

    return types.none(sums, a, given, b), generate


def _add_items(tiles, run_users, run_starts, cells, given, sums):  # type: ignore[no-untyped-def]
    """Add the row of its item to the sum of its user, for every pair.

    Parameters
    ----------
    tiles, run_users, run_starts, cells : a block's, as for `descend_tiles`.
    given : (items,) of `row_dtype`; sums : (users,) of the same type, added to in place.
    """
    for tile in range(len(tiles)):
        first_item = tiles[tile, 0]
        for run in range(tiles[tile, 1], tiles[tile, 2]):
            first_user = int64(run_users[run])
            for n in range(run_starts[run], run_starts[run + 1]):
                cell = int64(cells[np.uint64(n)])
                _add_row(sums, first_user + (cell >> ITEM_BITS), given, first_item + (cell & _ITEM_MASK))


def _add_users(tiles, run_users, run_starts, cells, given, sums):  # type: ignore[no-untyped-def]
    """Add the row of its user to the sum of its item, for every pair; given : of users, sums : of items."""
    for tile in range(len(tiles)):
        first_item = tiles[tile, 0]
        for run in range(tiles[tile, 1], tiles[tile, 2]):
            first_user = int64(run_users[run])
            for n in range(run_starts[run], run_starts[run + 1]):
                cell = int64(cells[np.uint64(n)])
                _add_row(sums, first_item + (cell & _ITEM_MASK), given, first_user + (cell >> ITEM_BITS))


@built_once
def add_items(width: int, number: str) -> Callable[..., None]:
    """Return `_add_items` compiled for rows of `width` numbers, f4 or f8."""
    return _compiled(_add_items, width, number)


@built_once
def add_users(width: int, number: str) -> Callable[..., None]:
    """Return `_add_users` compiled for rows of `width` numbers, f4 or f8."""
    return _compiled(_add_users, width, number)


def _compiled(kernel: Callable[..., None], width: int, number: str) -> Callable[..., None]:
    assert number in NUMBERS
    constant = functools.partial(types.Array, ndim=1, layout="C", readonly=True)
    signature = types.void(
        types.Array(int64, 2, "C", readonly=True), constant(int32), constant(int64), constant(uint16),
        rows_type(width, number, readonly=True), rows_type(width, number),
    )  # fmt: skip
    return compiled(signature, error_model="numpy", fastmath=set(FAST_MATH))(kernel)
