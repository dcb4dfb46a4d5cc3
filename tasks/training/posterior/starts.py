"""Given rows as draws: where a chain starts, and where it goes on from a checkpoint.

Covers: shards of both sides, with what decides their means.
Does not cover: the rows of an optimum, and files (state.py), sweeps (draws.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from funkflow.tasks.grid.block import BlockRow
from funkflow.tasks.grid.solved_rows import Matrix, Rows
from funkflow.tasks.kernels.buffers import aligned_copy
from funkflow.tasks.training.posterior.draws import drawn_users, gram_of_items, means_beside, sums_of_items
from funkflow.tasks.training.posterior.priors import NoiseLevel
from funkflow.tasks.training.posterior.sweep_parts import Implicit, ItemDraw, Model, UserDraw


def first_items(
    counts: Sequence[Matrix], noise: NoiseLevel, *shards: Rows, implicit: Implicit | None = None
) -> ItemDraw:
    """Return given item shards as a draw; counts : float64 (rows,) of each."""
    shards = tuple(aligned_copy(shard) for shard in shards)
    return ItemDraw(shards, sums_of_items(shards, counts, implicit), gram_of_items(shards), noise, implicit)


def first_users(
    rows: Rows, counts: Matrix, means: Rows | None = None, factors: Rows | None = None, features: Any = None
) -> UserDraw:
    """Return a given user shard as a draw."""
    return drawn_users(rows, np.ones(len(rows)), counts, np.zeros(len(rows)), means, factors, features)


def resumed_items(
    counts: Sequence[Matrix], noise: NoiseLevel, squares: Sequence[float], pairs: Sequence[Rows],
    effects: Sequence[Matrix], nothing: Implicit | None, *shards: Rows,
) -> ItemDraw:  # fmt: skip
    """Return item shards as a draw with what decides their means.

    Parameters
    ----------
    pairs : (rows, 2 w), factors and means of each shard; effects : of features, in as many parts, users' and then
        items'; nothing : of `row_features.nothing_known`, None without features.
    """
    factors, means = np.split(np.concatenate(pairs), 2, axis=1)
    known = None
    if nothing is not None and nothing.known is not None:
        users, items = np.split(np.concatenate(effects), [len(nothing.known.user_effects)])
        known = replace(nothing.known, user_effects=users, item_effects=items)
    implicit = Implicit(np.ascontiguousarray(factors), np.ascontiguousarray(means), np.asarray(squares), known)
    return first_items(counts, noise, *shards, implicit=implicit)


def resumed_users(
    blocks: BlockRow, rows: Rows, counts: Matrix, items: ItemDraw, factors: Rows, features: Any, model: Model
) -> UserDraw:
    """Return a user shard as a draw, with its factors, and its means by those of the items and by its features."""
    means = means_beside(blocks, counts, features, items.implicit, model)
    return first_users(rows, counts, means, factors, features)
