"""Prior means of rows by who rated what, drawn with a sweep.

Covers: second factors of items and users, the means of rows that they make, their precisions, and the order of their
tasks.
Does not cover: draws of rows (draws.py), products with the pairs and regression (tasks/training/implicit/).

The rows of a side have the prior N(m + F Y, 1 / L), column by column, with m and L of priors.py. F is n^(-1/2) where a
row with n known pairs has one, and Y has a row, N(0, 1 / l), for each row of the other side with known pairs. For users
this is the model of SVD++ (Koren 2008): u + n^(-1/2) sum of y. Given the rows X, a column of Y has the precision
L F^T F + l and is drawn by perturb and solve (for features in general: Simm et al. 2017), in steps of conjugate
gradients from the last draw. For the users' rows Y travels with the items; for the items' rows it stays with the users,
and only F Y travels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

import numpy as np

from funkflow.tasks.grid.block import BlockRow
from funkflow.tasks.grid.solved_rows import Matrix, Rows
from funkflow.tasks.kernels.buffers import Weighed
from funkflow.tasks.noise import Stream
from funkflow.tasks.training.implicit.known_pairs import (
    further_pairs,
    further_pairs_of_items,
    roots,
    sums_over_items,
    sums_over_users,
    weighted,
)
from funkflow.tasks.training.implicit.pair_search import PairSearch, added
from funkflow.tasks.training.posterior.priors import RowPrior, draw_precision
from funkflow.tasks.training.posterior.sweep_parts import ItemProblem, Model, UserDraw, UserProblem, known_of


@dataclass(frozen=True)
class UserSide(Weighed):
    """The regression of the users' rows between its steps."""

    search: PairSearch


@dataclass(frozen=True)
class ItemSide(Weighed):
    """The regression of the items' rows between its steps, as far as it lies with the items.

    means : F Y so far, float64 (items, w); target : what is summed over each user's items next, (items, w); shifts : l
    / L, deviation : of its noise, float64 (w,); scales : n^(-1/2), float64 (items,); diagonal : about that of F^T F, of
    a user with one rating; length : of the last step.
    """

    means: Matrix
    target: Matrix
    shifts: Matrix
    deviation: Matrix
    scales: Matrix
    diagonal: float
    length: Matrix = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True)
class FactorSearch(Weighed):
    """A user shard's rows of Y between the steps of the regression of the items' rows.

    factors, residuals, turned, directions : Y, r, P^-1 r and p, (users, w); products : r^T P^-1 r, float64 (w,).
    """

    factors: Rows
    residuals: Rows
    turned: Rows
    directions: Rows
    products: Matrix

    @classmethod
    def at(cls, factors: Rows, residuals: Rows, directions: Rows, counts: Matrix, side: ItemSide) -> FactorSearch:
        """Return the search with these residuals; counts : known pairs of the users."""
        turned = (residuals / (side.diagonal * counts[:, None] + side.shifts)).astype(residuals.dtype)
        return cls(factors, residuals, turned, directions, np.einsum("uf,uf->f", residuals, turned, dtype=np.float64))


class KnownCounts(NamedTuple):
    """Numbers of known pairs of items, float64 (items,) by shard, 0.0 for none, and of users with any."""

    items: list[Any]
    users: int


class Tasks(Protocol):
    """How the tasks of a sweep are called: at once, or as a graph."""

    def one(self, name: str, function: Any, *arguments: Any) -> Any:
        """Return the value of a function, or its task."""

    def by_row(self, name: str, function: Any, lists: Sequence[Sequence[Any]], *common: Any) -> list[Any]:
        """Do so for each row, with its blocks, counts of its users, number, an element of each list, and the rest."""


def with_user_means(tasks: Tasks, problem: Any, users: Sequence[Any], counts: Any, model: Model, stream: Stream) -> Any:
    """Return the problem of the users with new factors Y for their means."""
    known = _known_counts(tasks, problem, counts, model, "users")
    parts = tasks.by_row("pairs-of-users", user_part, [users], problem, model, stream)
    search = tasks.one("begin-pairs-of-users", begin_user_side, problem, known, model, stream, *parts)
    for step in range(model.pair_steps):
        parts = tasks.by_row(f"pairs-of-users-{step:02d}", user_step_part, [], search)
        search = tasks.one(f"step-pairs-of-users-{step:02d}", step_user_side, search, *parts)
    return tasks.one("means-of-users", end_user_side, problem, search)


def with_item_means(
    tasks: Tasks, problem: Any, users: Sequence[Any], counts: Any, model: Model, stream: Stream
) -> tuple[Any, list[Any]]:
    """Return the problem of the items with new means, and the user shards with the factors behind these."""
    known = _known_counts(tasks, problem, counts, model, "items")
    side = tasks.one("begin-pairs-of-items", begin_item_side, problem, counts, known, model, stream)
    searches = tasks.by_row("pairs-of-items", begin_factors, [users], side, stream)
    products = tasks.one("products-of-pairs", total_products, *searches)
    again = np.zeros(1)
    for step in range(model.pair_steps):
        at = f"{step:02d}"
        parts = tasks.by_row(f"pairs-of-items-{at}", item_step_part, [searches], again)
        side = tasks.one(f"step-pairs-of-items-{at}", step_item_side, side, products, *parts)
        searches = tasks.by_row(f"move-pairs-of-items-{at}", move_factors, [parts], side)
        before, products = products, tasks.one(f"products-of-pairs-{at}", total_products, *searches)
        again = tasks.one(f"ratio-of-pairs-{at}", ratio, products, before)
    drawn = tasks.by_row("factors-of-users", end_factors, [users, searches])
    return tasks.one("means-of-items", end_item_side, problem, side, *drawn), drawn


def means_of_users(blocks: BlockRow, counts: Matrix, factors: Rows) -> Rows:
    """Return F Y of a user shard; counts : float64 (users,)."""
    return weighted(sums_over_items(blocks, factors), roots(counts + further_pairs(blocks)))


def further_part(blocks: BlockRow, counts: Matrix, _shard: int) -> KnownCounts:
    """Return a user shard's further pairs of items, and the number of its users with known pairs."""
    return KnownCounts(further_pairs_of_items(blocks), int(np.count_nonzero(counts + further_pairs(blocks))))


def known_counts(problem: UserProblem | ItemProblem, counts: Sequence[Matrix], *further: KnownCounts) -> KnownCounts:
    """Return the numbers of known pairs of all items; counts : their ratings; further : of `further_part`, if any."""
    if not further:
        return KnownCounts(list(counts), problem.rated_users)
    items = [rated + sum(parts) for rated, *parts in zip(counts, *(each.items for each in further), strict=True)]
    return KnownCounts(items, sum(each.users for each in further))


def user_part(
    blocks: BlockRow, counts: Matrix, shard: int, users: UserDraw, problem: UserProblem, model: Model, stream: Stream
) -> Rows:
    """Return a user shard's part of F^T (X - m + z L^(-1/2) - F Y), with Y before the regression."""
    away = users.away - problem.prior.of(counts)
    if users.features is not None:  # their effects were drawn just before
        away -= users.features @ known_of(problem.implicit).user_change
    away += _normals(stream, "pairs of users", away.shape, shard) / np.sqrt(problem.prior.precision)
    away *= model.objective.free(away.shape[1], "users")
    scales = roots(counts + further_pairs(blocks))
    return sums_over_users(blocks, weighted(away.astype(users.rows.dtype), scales))


def begin_user_side(problem: UserProblem, known: KnownCounts, model: Model, stream: Stream, *parts: Rows) -> UserSide:
    """Return the start of the regression of the users' rows."""
    implicit, prior, pairs = problem.implicit, problem.prior, np.concatenate(known.items)
    assert implicit is not None
    factors = implicit.factors.astype(np.float64)
    free = model.objective.free(factors.shape[1], "users")
    precision = _precision(np.sum(factors**2, axis=0), int(np.count_nonzero(pairs)), prior, stream, "users")
    drawn = _normals(stream, "factors of pairs", factors.shape) * (np.sqrt(precision) / prior.precision)
    shifts = np.where(free > 0, precision / prior.precision, 1.0)
    residuals = (added(list(parts)) + drawn - shifts * factors) * free * (pairs > 0)[:, None]
    diagonal = pairs * (known.users / max(1.0, float(pairs.sum())))
    search = PairSearch.begin(factors, residuals, np.ones(len(pairs)), diagonal, shifts, implicit.factors.dtype)
    return UserSide(search)


def user_step_part(blocks: BlockRow, counts: Matrix, _shard: int, side: UserSide) -> Rows:
    """Return a user shard's part of F^T F p at the directions p."""
    return side.search.part(blocks, roots(counts + further_pairs(blocks)) ** 2)


def step_user_side(side: UserSide, *parts: Rows) -> UserSide:
    """Return the regression after a step."""
    return UserSide(side.search.step(list(parts)))


def end_user_side(problem: UserProblem, side: UserSide) -> UserProblem:
    """Return the problem of the users with the factors found."""
    assert problem.implicit is not None
    found = side.search.solution.astype(problem.implicit.factors.dtype)
    return replace(problem, implicit=replace(problem.implicit, factors=found))


def begin_item_side(
    problem: ItemProblem, counts: Sequence[Matrix], known: KnownCounts, model: Model, stream: Stream
) -> ItemSide:
    """Return the regression of the items' rows before its first step; counts : ratings of items, by shard."""
    implicit, prior, pairs = problem.implicit, problem.prior, np.concatenate(known.items)
    assert implicit is not None
    items = np.concatenate(problem.shards).astype(np.float64)
    free, scales = model.objective.free(items.shape[1], "items"), roots(pairs)
    precision = _precision(implicit.squares, known.users, prior, stream, "items")
    target = items - prior.of(np.concatenate(counts)) - implicit.of_items()
    target += _normals(stream, "pairs of items", items.shape) / np.sqrt(prior.precision)
    target *= free * scales[:, None]
    shifts = np.where(free > 0, precision / prior.precision, 1.0)
    deviation = free * np.sqrt(precision) / prior.precision
    diagonal = np.count_nonzero(pairs) / max(1.0, float(pairs.sum()))
    return ItemSide(implicit.means.astype(np.float64), target, shifts, deviation, scales, diagonal)


def begin_factors(
    blocks: BlockRow, counts: Matrix, shard: int, users: UserDraw, side: ItemSide, stream: Stream
) -> FactorSearch:
    """Return the search of a user shard's rows of Y, from where they are; zeros for users without ratings."""
    number, shape = users.rows.dtype, users.rows.shape
    factors = np.zeros(shape, number) if users.factors is None else users.factors
    residuals = sums_over_items(blocks, side.target.astype(number)).astype(np.float64)
    residuals += side.deviation * _normals(stream, "factors of users", shape, shard) - side.shifts * factors
    known = counts + further_pairs(blocks)
    residuals *= (known > 0)[:, None]
    return FactorSearch.at(factors, residuals.astype(number), np.zeros(shape, number), known, side)


def item_step_part(
    blocks: BlockRow, _counts: Matrix, _shard: int, search: FactorSearch, again: Matrix
) -> tuple[FactorSearch, Rows, Matrix]:
    """Return the search at its next directions p, with a user shard's part of N^T p, and p^T p of each column."""
    directions = search.turned + again.astype(search.turned.dtype) * search.directions
    lengths = np.einsum("uf,uf->f", directions, directions, dtype=np.float64)
    return replace(search, directions=directions), sums_over_users(blocks, directions), lengths


def step_item_side(side: ItemSide, products: Matrix, *parts: tuple[FactorSearch, Rows, Matrix]) -> ItemSide:
    """Return the regression with the length of its step and the means after it; products : r^T P^-1 r."""
    along = added([part for _, part, _ in parts]) * side.scales[:, None]
    curvature = np.sum(along**2, axis=0) + side.shifts * np.sum([each for _, _, each in parts], axis=0)
    length = np.divide(products, curvature, out=np.zeros_like(curvature), where=curvature > 0)
    return replace(side, means=side.means + length * along, target=side.scales[:, None] * along, length=length)


def move_factors(
    blocks: BlockRow, counts: Matrix, _shard: int, part: tuple[FactorSearch, Rows, Matrix], side: ItemSide
) -> FactorSearch:
    """Return the search of a user shard's rows of Y after a step."""
    search, number = part[0], part[0].factors.dtype
    length, shifts = side.length.astype(number), side.shifts.astype(number)
    image = sums_over_items(blocks, side.target.astype(number)) + shifts * search.directions
    factors, residuals = search.factors + length * search.directions, search.residuals - length * image
    return FactorSearch.at(factors, residuals, search.directions, counts + further_pairs(blocks), side)


def total_products(*searches: FactorSearch) -> Matrix:
    """Return r^T P^-1 r of each column over all user shards."""
    return np.asarray(np.sum([each.products for each in searches], axis=0))


def ratio(after: Matrix, before: Matrix) -> Matrix:
    """Return how much of the last directions the next ones have."""
    return np.divide(after, before, out=np.zeros_like(after), where=before > 0)


def end_factors(_blocks: BlockRow, _counts: Matrix, _shard: int, users: UserDraw, search: FactorSearch) -> UserDraw:
    """Return the user shard with its rows of Y."""
    return replace(users, factors=search.factors)


def end_item_side(problem: ItemProblem, side: ItemSide, *users: UserDraw) -> ItemProblem:
    """Return the problem of the items with their new means."""
    assert problem.implicit is not None
    squares = np.zeros(len(side.shifts))
    for each in users:
        assert each.factors is not None
        squares += np.einsum("uf,uf->f", each.factors, each.factors, dtype=np.float64)
    means = side.means.astype(problem.implicit.means.dtype)
    return replace(problem, implicit=replace(problem.implicit, means=means, squares=squares))


def _known_counts(tasks: Tasks, problem: Any, counts: Any, model: Model, side: str) -> Any:
    """Return the numbers of known pairs, or their task; side : whose regression needs them."""
    further = tasks.by_row(f"further-pairs-of-{side}", further_part, []) if model.further else []
    return tasks.one(f"known-pairs-of-{side}", known_counts, problem, counts, *further)


def _precision(squares: Matrix, count: int, prior: RowPrior, stream: Stream, side: str) -> Matrix:
    """Return l of each column; at first that of the rows: drawn from zeros, it would keep Y near 0 for long."""
    if stream.sweep == 1:
        return prior.precision
    return draw_precision(count, squares, stream, f"precision of pairs of {side}")


def _normals(stream: Stream, name: str, shape: tuple[int, ...], *place: int) -> Matrix:
    """Draw float32 numbers, as float64."""
    return stream.generator(name, *place).standard_normal(shape, dtype=np.float32).astype(np.float64)
