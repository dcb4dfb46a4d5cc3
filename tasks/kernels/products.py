"""Compiled products of a block with dense columns, for the standard methods of the SVD.

Covers: `add_product` and `fill_residuals`, for any coding of ratings, each with an explicit signature.
Does not cover: their plain references (reference.py), computing the biases (tasks/grid/block_products.py), or the
order of the products (tasks/training/svd_methods.py).

The block stands for a sparse matrix A: A_ab = r - mean - b_a - b_b if user a has rated item b, else 0. The loops take
ratings in the block's order, so a sum has the same bits on every machine.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from numba import float32, float64, int32, int64, types, uint16

from funkflow.tasks.kernels.cache import built_once, compiled
from funkflow.tasks.kernels.sgd import CODES, rating_at
from funkflow.tasks.kernels.tiles import ITEM_BITS, TILE_ITEMS

_ITEM_MASK = TILE_ITEMS - 1


def _add_product(  # type: ignore[no-untyped-def]
    tiles, run_users, run_starts, cells, codes, levels, mean, user_biases, item_biases, given, out, transposed
):
    """Add A X to `out`: out_a += A_ab X_b for each rating; transposed, add A^T Y: out_b += A_ab Y_a.

    Parameters
    ----------
    tiles, run_users, run_starts, cells, codes, levels : a block's, as for `descend_tiles`, ratings in their own units.
    mean : float64; user_biases : float64 (users,); item_biases : float64 (items,): subtracted, in rating units.
    given : X, float64 (items, columns), or Y, (users, columns); out : of the other side, added to in place.
    """
    for tile in range(len(tiles)):
        first_item = tiles[tile, 0]
        for run in range(tiles[tile, 1], tiles[tile, 2]):
            first_user = int64(run_users[run])
            for n in range(run_starts[run], run_starts[run + 1]):
                place = np.uint64(n)
                cell = int64(cells[place])
                user, item = first_user + (cell >> ITEM_BITS), first_item + (cell & _ITEM_MASK)
                value = float64(rating_at(codes, levels, place)) - mean - user_biases[user] - item_biases[item]
                target, source = (item, user) if transposed else (user, item)
                for column in range(given.shape[1]):
                    out[target, column] += value * given[source, column]


def _fill_residuals(  # type: ignore[no-untyped-def]
    tiles, run_users, run_starts, cells, codes, levels, mean, user_biases, item_biases, out
):
    """Write A_ab of each rating to `out`, float64 (n,), in the order of the block. The rest as for `_add_product`."""
    for tile in range(len(tiles)):
        first_item = tiles[tile, 0]
        for run in range(tiles[tile, 1], tiles[tile, 2]):
            first_user = int64(run_users[run])
            for n in range(run_starts[run], run_starts[run + 1]):
                place = np.uint64(n)
                cell = int64(cells[place])
                user, item = first_user + (cell >> ITEM_BITS), first_item + (cell & _ITEM_MASK)
                out[place] = float64(rating_at(codes, levels, place)) - mean - user_biases[user] - item_biases[item]


def _compile(kernel: Callable[..., None], coding: str, *rest: types.Type) -> Callable[..., None]:
    constant = functools.partial(types.Array, ndim=1, layout="C", readonly=True)
    signature = types.void(
        types.Array(int64, 2, "C", readonly=True), constant(int32), constant(int64), constant(uint16),
        constant(CODES[coding]), constant(float32), float64, constant(float64), constant(float64), *rest,
    )  # fmt: skip
    return compiled(signature)(kernel)


@built_once
def add_product(coding: str) -> Callable[..., None]:
    """Return `_add_product` compiled for codes of NumPy type `coding`, u1, u2 or f4."""
    given, out = types.Array(float64, 2, "C", readonly=True), types.Array(float64, 2, "C")
    return _compile(_add_product, coding, given, out, types.boolean)


@built_once
def fill_residuals(coding: str) -> Callable[..., None]:
    """Return `_fill_residuals` compiled for codes of NumPy type `coding`, u1, u2 or f4."""
    return _compile(_fill_residuals, coding, types.Array(float64, 1, "C"))
