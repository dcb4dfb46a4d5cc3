"""The tasks of a sweep of Gibbs sampling: all users drawn, then all items, by perturbed solves.

Covers: the draw of a user shard, a row of blocks' part in the draw of the items, the draw of all items in steps.
Does not cover: the solves (tasks/grid/row_search.py), priors (priors.py), means of rows by who rated what
(implicit.py), the graph of a sweep (pipeline/training/methods/bayes_graph.py).

The posterior of a row x given all else is N(A^-1 b, A^-1), with A = tau sum of y y^T + L and b = tau sum of t y + L m
over the row's ratings, targets t, and rows y of the other side; L and m are the row's prior, m by its number of
ratings. Where the targets are t + z / sqrt(tau) and the prior mean m + L^(-1/2) z', with z and z' from N(0, 1), the
least of the row's problem is a draw from it ("perturb and solve": Papandreou & Yuille 2010; Orieux, Féron & Giovannelli
2012). Steps of conjugate gradients from the last draw come close to it. With S steps the draw is off by what these
steps leave.

All is divided by tau, and in a user's row by tau a_u. In the basis where L is the identity, the shift of each row is 1
over the same. The users' rows meet the items as (u, b_u, 1) times the root of a_u, with targets times that root.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from funkflow.tasks.grid.block import BlockRow
from funkflow.tasks.grid.factor_shard import refuse_other_shards
from funkflow.tasks.grid.row_basis import RowBasis
from funkflow.tasks.grid.row_search import RowProblems, RowSearch
from funkflow.tasks.grid.solved_rows import Matrix, Rows
from funkflow.tasks.grid.user_terms import UserTerms
from funkflow.tasks.kernels.buffers import aligned, aligned_copy
from funkflow.tasks.kernels.tiles import TILE_USERS
from funkflow.tasks.noise import Noise, Stream
from funkflow.tasks.training import als
from funkflow.tasks.training.als import ItemPart, OrderedRow
from funkflow.tasks.training.posterior.implicit import means_of_users
from funkflow.tasks.training.posterior.priors import (
    NoiseLevel,
    RowPrior,
    RowSums,
    WeightSums,
    draw_noise,
    draw_prior,
    draw_user_weights,
    first_prior,
)  # fmt: skip
from funkflow.tasks.training.posterior.row_features import with_item_effects
from funkflow.tasks.training.posterior.sweep_parts import (
    AllItemSearches,
    Implicit,
    ItemDraw,
    ItemProblem,
    Met,
    Model,
    UserDraw,
    UserProblem,
    UserSums,
    known_of,
)


def begin_sweep(items: ItemDraw, model: Model, stream: Stream, *users: UserSums) -> UserProblem:
    """Draw the users' prior, and return their problem."""
    total = _total(users)
    prior = _prior("users", total, items.sums, items.noise, model, stream)
    basis = _basis(model, "users", items.gram, prior)
    implicit = items.implicit or (None if model.implicit == "none" else Implicit.nothing(items.shards))
    return UserProblem(items.shards, prior, basis, items.noise, total.rows, implicit)


def draw_users(
    blocks: BlockRow, users: UserDraw, problem: UserProblem, counts: Matrix, model: Model, stream: Stream, shard: int
) -> UserDraw:
    """Draw the weights and then the rows of a user shard, from where the rows are.

    Users of a row of tiles are drawn together, as `als.solve_users` solves them. Rows without ratings are drawn from
    the prior.

    Parameters
    ----------
    blocks : the shard's row; counts : float64 (rows,), ratings of each user; shard : its number.

    Raises
    ------
    ShardMismatch
        A block was cut for shards of other sizes.
    """
    blocks, rows = tuple(blocks), aligned_copy(users.rows)
    for block, items in zip(blocks, problem.items, strict=True):
        refuse_other_shards(block.shape, len(rows), len(items))
    problems = _problems("users", counts, problem, model)
    means = means_beside(blocks, counts, users.features, problem.implicit, model)
    terms = UserTerms(blocks, [aligned(each) for each in problem.items], model.objective)
    weights, errors = np.empty(len(rows)), np.empty(len(rows))
    for first in range(0, len(rows), TILE_USERS):
        part = slice(first, min(first + TILE_USERS, len(rows)))
        terms.take(first, part.stop - first)
        weights[part] = draw_user_weights(
            terms.squared_errors(rows[part]), counts[part], problem.noise,
            stream.generator("weights of users", shard, first),
        )  # fmt: skip
        variances = 1.0 / (problem.noise.precision * weights[part])
        terms.add_noise(stream.generator("ratings of users", shard, first), np.sqrt(variances))
        pull = _pulls(stream, "users", rows[part], counts[part], problem, shard, first)
        if means is not None:
            pull += problem.basis.coordinates(means[part])
        mine = replace(problems.part(part), shifts=variances)
        search, _ = RowSearch.begin(rows[part], mine, *terms.sums(rows[part], noisy=True), pull)
        for step in range(model.steps):
            search.step(terms.sums(search.directions, no_targets=True)[0], last=step + 1 == model.steps)
        errors[part] = terms.squared_errors(rows[part])
    drawn = drawn_users(rows, weights, counts, errors, means, users.factors, users.features)
    return replace(drawn, times=users.times)


def drawn_users(
    rows: Rows, weights: Matrix, counts: Matrix, squared_errors: Matrix, means: Rows | None = None,
    factors: Rows | None = None, features: Any = None,
) -> UserDraw:  # fmt: skip
    """Return a user shard with its sums; weights, counts, squared_errors : float64 (rows,)."""
    seen = UserSums(
        _sums_of(rows, means, counts), als.gram_of(weighed(rows, weights)), WeightSums.of(weights, counts),
        float(np.sum(squared_errors)), float(weights @ squared_errors),
    )  # fmt: skip
    return UserDraw(rows, weights, seen, means, factors, features)


def means_beside(
    blocks: BlockRow, counts: Matrix, features: Any, implicit: Implicit | None, model: Model
) -> Rows | None:
    """Return the means of a user shard's rows beside that of their number of ratings; None for zeros."""
    if implicit is None:
        return None
    means = means_of_users(blocks, counts, implicit.factors) if model.users_have_means else None
    if features is None:
        return means
    said: Rows = known_of(implicit).of_users(features, counts).astype(implicit.factors.dtype)
    return said if means is None else means + said


def weighed(rows: Rows, weights: Matrix) -> Rows:
    """Return rows times the roots of their weights, which meet targets times the same roots."""
    return np.asarray(rows * np.sqrt(weights).astype(rows.dtype)[:, None])


def sums_of(users: UserDraw) -> UserSums:
    """Return the sums alone, so that they can travel without the rows."""
    return users.seen


def begin_items(
    problem: UserProblem, counts: Sequence[Matrix], model: Model, stream: Stream, *users: UserSums
) -> ItemProblem:
    """Draw the noise and the items' prior, and return the items' problem; users : of all user shards, in order."""
    weights: WeightSums = functools.reduce(operator.add, (each.weights for each in users))
    errors, weighed_errors = sum(each.squared_errors for each in users), sum(each.weighed_errors for each in users)
    sums = sums_of_items(problem.items, counts, problem.implicit)
    prior = _prior("items", sums, _total(users), problem.noise, model, stream)
    implicit = with_item_effects(problem.implicit, problem.items, counts, prior, model, stream)
    basis = _basis(model, "items", np.sum([each.gram for each in users], axis=0), prior)
    noise = draw_noise(weighed_errors, model.ratings, weights, stream)
    variance = weights.inverse / (noise.precision * max(1, model.ratings))
    return ItemProblem(problem.items, prior, basis, noise, errors, variance, problem.rated_users, implicit)


def met_of(problem: ItemProblem) -> Met:
    """Return what the client wants to know of a sweep."""
    squares = () if problem.implicit is None else tuple(problem.implicit.squares.tolist())
    return Met(problem.squared_errors, problem.noise, problem.noise_variance, squares)


def item_parts(
    ratings: OrderedRow, users: UserDraw, items: ItemProblem | AllItemSearches, model: Model, stream: Stream, shard: int
) -> tuple[ItemPart, ...]:
    """Return a row of blocks' part of the sums of all items: in the first pass with noise, then at their directions.

    shard : the row's number.
    """
    rows, objective = weighed(users.rows, users.weights), model.objective
    if isinstance(items, AllItemSearches):
        directions = (als.directions_of(each) for each in items.shards)
        return tuple(
            als.item_part(ratings, b, rows, each, objective, no_targets=True) for b, each in enumerate(directions)
        )
    noises = (stream.generator("ratings of items", shard, b) for b in range(len(items.shards)))
    deviation, roots = items.noise.precision**-0.5, np.sqrt(users.weights)
    return tuple(
        als.item_part(ratings, b, rows, each, objective, no_targets=False, noise=Noise(generator, deviation, roots))
        for b, (each, generator) in enumerate(zip(items.shards, noises, strict=True))
    )


def begin_search(
    problem: ItemProblem, counts: Sequence[Matrix], model: Model, stream: Stream, *rows: tuple[ItemPart, ...]
) -> AllItemSearches:
    """Return the start of the draws of all items, from the parts of all rows of blocks, in order."""
    searches, means = [], None if problem.implicit is None else problem.implicit.of_items()
    for b, (shard, part) in enumerate(zip(problem.shards, _parts(problem.shards), strict=True)):
        items, problems = aligned_copy(shard), _problems("items", counts[b], problem, model)
        pull = _pulls(stream, "items", items, counts[b], problem, b, 0)
        if means is not None:
            pull += problem.basis.coordinates(means[part])
        search, seen = RowSearch.begin(items, problems, *als.total(tuple(row[b] for row in rows)), pull)
        searches.append(als.ItemSearch(search, seen))
    return AllItemSearches(tuple(searches), problem.noise, problem.implicit)


def step_items(searches: AllItemSearches, *rows: tuple[ItemPart, ...]) -> AllItemSearches:
    """Return the searches after a step in every row."""
    after = (als.step_items(each, *(row[b] for row in rows)) for b, each in enumerate(searches.shards))
    return replace(searches, shards=tuple(after))


def end_items(searches: AllItemSearches, counts: Sequence[Matrix], *rows: tuple[ItemPart, ...]) -> ItemDraw:
    """Return all items after their last step."""
    shards = tuple(als.rows_of_search(each) for each in step_items(searches, *rows).shards)
    sums = sums_of_items(shards, counts, searches.implicit)
    return ItemDraw(shards, sums, gram_of_items(shards), searches.noise, searches.implicit)


def _prior(side: str, total: RowSums, others: RowSums, noise: NoiseLevel, model: Model, stream: Stream) -> RowPrior:
    if stream.sweep > 1:
        return draw_prior(total, stream, side)
    # A bias meets the column of ones in its place.
    return first_prior(total, others, noise.precision * model.ratings / max(1, total.rows))


def _problems(side: str, counts: Matrix, problem: UserProblem | ItemProblem, model: Model) -> RowProblems:
    """Return the problems of a side's rows, divided by tau."""
    others = model.objective.items if side == "users" else model.objective.users
    mean, shifts = problem.prior.mean, np.full(len(counts), 1.0 / problem.noise.precision)
    free = model.objective.free(len(mean), side)
    return RowProblems(problem.basis, 0.0, counts / others, shifts, mean * free, 0.0, free)


def _basis(model: Model, side: str, gram: Matrix, prior: RowPrior) -> RowBasis:
    return RowBasis.of(gram, model.objective.free(len(gram), side), prior.precision)


def _pulls(
    stream: Stream, side: str, rows: Rows, counts: Matrix, problem: UserProblem | ItemProblem, *place: int
) -> Rows:
    """Return how far from the prior mean each row is pulled, in the basis: a normal number each, and the slope."""
    number, prior = rows.dtype.type, problem.prior
    pulls: Rows = stream.generator(f"rows of {side}", *place).standard_normal(rows.shape, dtype=number)
    pulls += np.outer(prior.away(counts).astype(number), problem.basis.turned_row(prior.slope).astype(number))
    return pulls


def _total(users: Sequence[UserSums]) -> RowSums:
    return functools.reduce(operator.add, (each.sums for each in users))


def sums_of_items(shards: Sequence[Rows], counts: Sequence[Matrix], implicit: Implicit | None) -> RowSums:
    """Return the sums of all items, less their means."""
    all_means = None if implicit is None else implicit.of_items()
    means = [None if all_means is None else all_means[part] for part in _parts(shards)]
    return functools.reduce(operator.add, map(_sums_of, shards, means, counts))


def _sums_of(rows: Rows, means: Rows | None, counts: Matrix) -> RowSums:
    return RowSums.of(rows if means is None else rows - means, counts)


def _parts(shards: Sequence[Rows]) -> list[slice]:
    """Return the positions of each shard's rows among all items."""
    ends = np.cumsum([len(each) for each in shards]).tolist()
    return [slice(end - len(each), end) for end, each in zip(ends, shards, strict=True)]


def gram_of_items(shards: Sequence[Rows]) -> Matrix:
    """Return X^T X of all items, float64 (w, w)."""
    return np.asarray(np.sum([als.gram_of(each) for each in shards], axis=0))
