"""Steps of the second factors of stochastic descent: who rated what, beside the ratings.

Covers: a step of ridge regression of a side's rows on the pairs, over shares of the grid, with the second factors and
the row means after it.
Does not cover: the first means (first_means.py), when a step is due (schedule.py), the pull to the means
(tasks/kernels/sgd.py), the graph of tasks (pipeline/training/implicit_graph.py), draws from a posterior
(tasks/training/posterior/).

With rows p of users, their numbers of ratings n, and N the matrix of pairs, a step for users goes down on

    sum n |p - m - n^(-1/2) N y|^2 + ridge |y|^2

along its gradient over y, divided by its diagonal, n_b + ridge, to the least value of each column on that line. So it
takes one pass over the pairs for the gradient, and one for its image. Rows and second factors have k + 1 columns, with
the bias at the end. A step for items is the same with users and items exchanged.

A sum over rows of blocks is taken as a tree over the prime factors of the grid, in which a share is a branch: the same
bits for any number of shares.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from funkflow.tasks.grid.block import RatingBlock
from funkflow.tasks.grid.factor_shard import FactorShard, RowMeans
from funkflow.tasks.grid.solved_rows import Matrix, Rows
from funkflow.tasks.grid.visit_order import prime_factors
from funkflow.tasks.kernels.buffers import Weighed, aligned_empty
from funkflow.tasks.kernels.threads import map_threads
from funkflow.tasks.kernels.vector import BIAS
from funkflow.tasks.training.implicit.known_pairs import roots, sums_over_items, sums_over_users

T = TypeVar("T")
Shards = tuple[FactorShard, ...]
FOLLOWED = np.float32(0.5)
"""Part of a mean's step that its row takes at once. With 0 and 1 MovieLens ends within 0.001 RMSE of it, and
MovieTweetings 0.005 above with 0."""


@dataclass(frozen=True)
class Part(Weighed):
    """Sums over rows of blocks: `rows`, float32 (items, columns), and `columns`, float64, with a number a column."""

    rows: Rows
    columns: Matrix

    def __add__(self, other: Part) -> Part:
        return Part(self.rows + other.rows, self.columns + other.columns)


@dataclass(frozen=True)
class Direction(Weighed):
    """Where second factors go, for one shard or all: `along`, float32 (rows, k + 1).

    change : of the mean m, float64 (k + 1,); slope, own : by column, the slope of the objective along it, and what the
    ridge adds to its curvature.
    """

    along: Rows
    change: Matrix
    slope: Matrix
    own: Matrix


@dataclass(frozen=True)
class Images(Weighed):
    """What second factors do to the means of user shards: `rows`, float32 (users, k + 1) each; their curvature."""

    rows: tuple[Rows, ...]
    curvature: Matrix


@dataclass(frozen=True)
class Move(Weighed):
    """The length of a step, and the change of the mean m, by column; `rows` : what moves by it, for items."""

    length: Rows
    change: Rows
    rows: Rows | None = None


def as_tree(parts: Sequence[T], add: Callable[[T, T], T] = lambda one, other: one + other) -> T:  # type: ignore[operator]
    """Return the sum of parts, as a tree over the prime factors of their number, the smallest first."""
    if len(parts) == 1:
        return parts[0]
    size = len(parts) // prime_factors(len(parts))[0]
    return functools.reduce(add, [as_tree(parts[at : at + size], add) for at in range(0, len(parts), size)])


def residuals_of_users(rows: Sequence[Sequence[RatingBlock]], users: Shards, threads: int) -> Part:
    """Return what a share of users gives to the gradient over the second factors of all items."""

    def part(blocks: Sequence[RatingBlock], shard: FactorShard) -> Part:
        given, moments = _residuals(shard)
        return Part(sums_over_users(blocks, given), moments)

    return as_tree(map_threads(part, rows, users, threads=threads))


def direct_items(parts: Sequence[Part], items: Sequence[Shards], ridge: float) -> Direction:
    """Return the direction of the second factors of all items, for users; parts, items : of all shares."""
    total = as_tree(parts)
    means = [means_of(shard) for shard in itertools.chain(*items)]
    second, counts = np.concatenate([each.second for each in means]), np.concatenate([each.counts for each in means])
    return _direction(total.rows, total.columns, second, counts, ridge)


def images_of_users(rows: Sequence[Sequence[RatingBlock]], direction: Direction, threads: int) -> Images:
    """Return what the direction of the items does to a share of users."""
    images = map_threads(lambda blocks: sums_over_items(blocks, direction.along), rows, threads=threads)
    return Images(tuple(images), as_tree([_squares(each) for each in images]))


def settle_users(direction: Direction, curvatures: Sequence[Matrix]) -> Move:
    """Return the step for users; curvatures : of all shares."""
    return _move(direction.slope, direction.own + as_tree(curvatures), direction.change)


def move_users(users: Shards, images: Images, move: Move, follow: bool) -> Shards:
    """Return a share of users after their step; follow : whether rows follow their means."""
    return tuple(_moved(shard, rows, move, follow) for shard, rows in zip(users, images.rows, strict=True))


def move_second_of_items(items: Shards, direction: Direction, move: Move, first: int) -> Shards:
    """Return item shards with their second factors after the step for users; first : of their rows among all items."""
    return tuple(
        _with_second(shard, direction.along[part], move)
        for shard, part in zip(items, _parts(items, first), strict=True)
    )


def residuals_of_items(items: Sequence[Shards]) -> Part:
    """Return what all items give to the gradient over the second factors of users; items : of all shares."""
    given = [_residuals(shard) for shard in itertools.chain(*items)]
    return Part(np.concatenate([rows for rows, _ in given]), as_tree([moments for _, moments in given]))


def direct_users(
    rows: Sequence[Sequence[RatingBlock]], users: Shards, given: Part, ridge: float, threads: int
) -> tuple[tuple[Direction, ...], Part]:
    """Return the directions of the second factors of a share of users, for items, and what they do to all items.

    The columns of the part are slope and own curvature of the directions, one behind the other.
    """

    def direct(blocks: Sequence[RatingBlock], shard: FactorShard) -> tuple[Direction, Part]:
        means = means_of(shard)
        found = _direction(sums_over_items(blocks, given.rows), given.columns, means.second, means.counts, ridge)
        return found, Part(sums_over_users(blocks, found.along), np.concatenate([found.slope, found.own]))

    both = map_threads(direct, rows, users, threads=threads)
    return tuple(found for found, _ in both), as_tree([part for _, part in both])


def part_of(found: tuple[tuple[Direction, ...], Part]) -> Part:
    """Return the part alone, so that it can travel."""
    return found[1]


def settle_items(given: Part, parts: Sequence[Part]) -> Move:
    """Return the step for items; parts : of all shares."""
    total = as_tree(parts)
    slope, own = np.split(total.columns, 2)
    return replace(_move(slope, own + _squares(total.rows), _change(given.columns)), rows=total.rows)


def move_items(items: Shards, move: Move, first: int, follow: bool) -> Shards:
    """Return item shards after their step; first : of their rows among all items; follow : see `move_users`."""
    assert move.rows is not None
    return tuple(
        _moved(shard, move.rows[part], move, follow) for shard, part in zip(items, _parts(items, first), strict=True)
    )


def move_second_of_users(users: Shards, found: tuple[tuple[Direction, ...], Part], move: Move) -> Shards:
    """Return a share of users with their second factors after the step for items; found : by `direct_users`."""
    return tuple(_with_second(shard, each.along, move) for shard, each in zip(users, found[0], strict=True))


def step_all(
    rows: Sequence[Sequence[RatingBlock]],
    users: Shards,
    items: Shards,
    side: str,
    ridge: float,
    follow: bool,
    threads: int,
) -> tuple[Shards, Shards]:
    """Return all shards after a step for the rows of a side, "users" or "items", where one share is the whole grid."""
    if side == "users":
        direction = direct_items([residuals_of_users(rows, users, threads)], [items], ridge)
        images = images_of_users(rows, direction, threads)
        move = settle_users(direction, [images.curvature])
        return move_users(users, images, move, follow), move_second_of_items(items, direction, move, 0)
    given = residuals_of_items([items])
    found = direct_users(rows, users, given, ridge, threads)
    move = settle_items(given, [part_of(found)])
    return move_second_of_users(users, found, move), move_items(items, move, 0, follow)


def means_of(shard: FactorShard) -> RowMeans:
    """Return the means of a shard that has some."""
    assert shard.means is not None
    return shard.means


def _residuals(shard: FactorShard) -> tuple[Rows, Matrix]:
    """Return n^(1/2) (p - mean row, 1), float32 (rows, k + 2), and the sum of n (p - mean row, 1)."""
    means, rank = means_of(shard), shard.factors.shape[1]
    rows = np.empty((len(shard.factors), rank + 2), np.float32)
    np.subtract(shard.factors, means.factors, out=rows[:, :rank])
    rows[:, rank] = shard.states[:, BIAS] - means.biases
    rows[:, rank + 1] = 1.0
    root = np.sqrt(means.counts)[:, None]
    rows *= root
    return rows, np.einsum("r,rf->f", root[:, 0], rows, dtype=np.float64)


def _change(moments: Matrix) -> Matrix:
    """Return the change of m: the mean of all residuals."""
    return moments[:-1] / max(1.0, float(moments[-1]))


def _direction(sums: Rows, moments: Matrix, second: Rows, counts: Rows, ridge: float) -> Direction:
    """Return the direction, from the gradient with residuals to the m before and its part a unit of m."""
    change = _change(moments)
    shrunk = np.float32(ridge)
    slopes = sums[:, :-1] - sums[:, -1:] * change.astype(np.float32) - shrunk * second
    along = slopes / (counts + shrunk)[:, None]
    return Direction(along, change, np.einsum("rf,rf->f", slopes, along, dtype=np.float64), ridge * _squares(along))


def _move(slope: Matrix, curvature: Matrix, change: Matrix) -> Move:
    length = np.divide(slope, curvature, out=np.zeros_like(slope), where=(slope > 0) & (curvature > 0))
    return Move(length.astype(np.float32), change.astype(np.float32))


def _moved(shard: FactorShard, image: Rows, move: Move, follow: bool) -> FactorShard:
    """Return a shard whose means have moved; where rows with ratings follow, they go a part of the way."""
    means, rank = means_of(shard), shard.factors.shape[1]
    by = image * roots(means.counts.astype(np.float64)).astype(np.float32)[:, None] * move.length + move.change
    by[means.counts == 0] = 0.0
    factors = aligned_empty(means.factors.shape, np.float32)
    np.add(means.factors, by[:, :rank], out=factors)
    after = replace(shard, means=replace(means, factors=factors, biases=means.biases + by[:, rank]))
    if not follow:
        return after
    after = after.copy()
    after.factors[:] += FOLLOWED * by[:, :rank]
    after.states[:, BIAS] += FOLLOWED * by[:, rank]
    return after


def _with_second(shard: FactorShard, along: Rows, move: Move) -> FactorShard:
    means = means_of(shard)
    return replace(shard, means=replace(means, second=means.second + move.length * along))


def _parts(shards: Shards, first: int) -> list[slice]:
    """Return where the rows of each shard are among those of all."""
    ends = first + np.cumsum([len(shard.factors) for shard in shards])
    return [slice(int(end) - len(shard.factors), int(end)) for shard, end in zip(shards, ends, strict=True)]


def _squares(rows: Rows) -> Matrix:
    squares: Matrix = np.einsum("rf,rf->f", rows, rows, dtype=np.float64)
    return squares
