"""The tasks of second factors of stochastic descent, on the states of its shares.

Covers: user shards out of a Descent and back, means of zeros, a step where one share is the whole grid, and what means
explain.
Does not cover: the steps (implicit/second_factors.py), when they are due (implicit/schedule.py), the graph of tasks
(pipeline/training/methods/implicit_graph.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from funkflow.tasks.grid.block import RatingBlock
from funkflow.tasks.grid.visit_order import items_of
from funkflow.tasks.training.implicit import second_factors as factors
from funkflow.tasks.training.implicit.second_factors import Shards
from funkflow.tasks.training.sgd import Descent

Squares = npt.NDArray[np.float64]


def users_of(share: Descent) -> Shards:
    """Return the user shards of a share."""
    return share.users


def with_users(share: Descent, users: Shards) -> Descent:
    """Return a share with other user shards, without the items that it met."""
    return replace(share, users=users, items=None)


def begin_user_means(rows: Sequence[Sequence[RatingBlock]], share: Descent) -> Descent:
    """Return a share of users with means of zeros."""
    return replace(share, users=factors.begin_users(rows, share.users))


def begin_item_means(
    counted: Sequence[list[factors.Counts]], items: Descent | Shards, first: int
) -> Shards:  # fmt: skip
    """Return a share of items with means of zeros; see `begin_items`."""
    return factors.begin_items(counted, items_of(items), first)


def step_whole(
    rows: Sequence[Sequence[RatingBlock]], share: Descent, side: str, ridge: float, follow: bool, threads: int
) -> Descent:
    """Return the one share of a grid after a step for the rows of a side; follow : whether they do."""
    users, items = factors.step_all(rows, share.users, items_of(share), side, ridge, follow, threads)
    return replace(share, users=users, items=items)


def user_squares(share: Descent) -> Squares:
    """Return `explained_squares` of a share of users."""
    return factors.explained_squares(share.users)


def item_squares(items: Descent | Shards) -> Squares:
    """Return `explained_squares` of a share of items."""
    return factors.explained_squares(items_of(items))


def explained(users: Sequence[Squares], items: Sequence[Squares]) -> float:
    """Return which part of their squares the means of both sides explain, as a geometric mean; by share."""
    sides = (factors.as_tree(users), factors.as_tree(items))
    return math.sqrt(math.prod(float(means / rows) if rows else 0.0 for means, rows in sides))
