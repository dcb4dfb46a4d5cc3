"""The tasks of a sweep of Gibbs sampling: all users drawn, then all items, by perturbed solves.

Covers: the draw of a user shard, a row of blocks' part in the draw of the items, the draw of all items in steps.
Does not cover: the solves (tasks/grid/row_search.py), priors (priors.py), what the problems of rows have beside their
ratings (row_posterior.py), the graph of a sweep (pipeline/training/methods/bayes_graph.py).

The posterior of a row x given all else is N(A^-1 b, A^-1), with A = tau sum of y y^T + L and b = tau sum of t y + L m
over the row's ratings, targets t, and rows y of the other side; L and m are the row's prior, m by its number of
ratings. Where the targets are t + z / sqrt(tau) and the prior mean m + L^(-1/2) z', with z and z' from N(0, 1), the
least of the row's problem is a draw from it ("perturb and solve": Papandreou & Yuille 2010; Orieux, Féron & Giovannelli
2012). Steps of conjugate gradients from the last draw come close to it. With S steps the draw is off by what these
steps leave.

The users' rows meet the items as (u, b_u, 1) times the root of a_u, with targets times that root.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from funkflow.tasks.grid.block import BlockRow
from funkflow.tasks.grid.factor_shard import refuse_other_shards
from funkflow.tasks.grid.row_basis import RowBasis
from funkflow.tasks.grid.row_objective import Objective
from funkflow.tasks.grid.row_search import RowSearch
from funkflow.tasks.grid.solved_rows import Matrix, Rows
from funkflow.tasks.grid.user_terms import UserTerms
from funkflow.tasks.kernels.buffers import Weighed, aligned, aligned_copy
from funkflow.tasks.kernels.tiles import TILE_USERS
from funkflow.tasks.noise import Noise, Stream
from funkflow.tasks.training import als
from funkflow.tasks.training.als import ItemPart, OrderedRow
from funkflow.tasks.training.posterior.priors import (
    NoiseLevel,
    RowPrior,
    RowSums,
    WeightSums,
    draw_noise,
    draw_prior,
    draw_user_weights,
    first_prior,
)
from funkflow.tasks.training.posterior.row_posterior import RowPosterior


@dataclass(frozen=True)
class Model:
    """What draws have in common.

    objective : with alpha = 0, so of completion; ratings : number of training ratings; steps : of conjugate gradients
    in each row.
    """

    objective: Objective
    ratings: int
    steps: int


@dataclass(frozen=True)
class ItemDraw(Weighed):
    """All item shards at the end of a sweep, their sums and X^T X, and the noise."""

    shards: tuple[Rows, ...]
    sums: RowSums
    gram: Matrix
    noise: NoiseLevel


@dataclass(frozen=True)
class UserProblem(RowPosterior):
    """What draws of user shards need beside their ratings."""

    items: tuple[Rows, ...]


@dataclass(frozen=True)
class UserSums(Weighed):
    """What the rest of a sweep needs of a user shard.

    sums : of its rows; gram : X^T X of its rows times the roots of their weights; weights : sums of these;
    squared_errors, weighed_errors : of its predictions, and each times the user's weight.
    """

    sums: RowSums
    gram: Matrix
    weights: WeightSums
    squared_errors: float
    weighed_errors: float


@dataclass(frozen=True)
class UserDraw(Weighed):
    """A drawn user shard; `weights` : a_u, float64 (rows,)."""

    rows: Rows
    weights: Matrix
    seen: UserSums


@dataclass(frozen=True)
class ItemProblem(RowPosterior):
    """All item shards before the first pass of their draw.

    squared_errors : of the drawn users with the old items; noise_variance : mean of 1 / (tau a_u) over all ratings.
    """

    shards: tuple[Rows, ...]
    squared_errors: float
    noise_variance: float


@dataclass(frozen=True)
class AllItemSearches(Weighed):
    """All item shards between the steps of their draw."""

    shards: tuple[als.ItemSearch, ...]
    noise: NoiseLevel


def first_items(counts: Sequence[Matrix], noise: NoiseLevel, *shards: Rows) -> ItemDraw:
    """Return given item shards as a draw; counts : float64 (rows,) of each."""
    shards = tuple(aligned_copy(shard) for shard in shards)
    return ItemDraw(shards, _sums(shards, counts), _gram(shards), noise)


def first_users(rows: Rows, counts: Matrix) -> UserDraw:
    """Return a given user shard as a draw."""
    return drawn_users(rows, np.ones(len(rows)), counts, np.zeros(len(rows)))


def begin_sweep(items: ItemDraw, model: Model, stream: Stream, *users: UserSums) -> UserProblem:
    """Draw the users' prior, and return their problem."""
    prior = _prior("users", _total(users), items.sums, items.noise, model, stream)
    return UserProblem("users", prior, _basis(model, "users", items.gram, prior), items.noise, items.shards)


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
    problems = problem.problems(counts, model.objective)
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
        pull = problem.pulls(rows[part], counts[part], stream, shard, first)
        mine = replace(problems.part(part), shifts=variances)
        search, _ = RowSearch.begin(rows[part], mine, *terms.sums(rows[part], noisy=True), pull)
        for step in range(model.steps):
            search.step(terms.sums(search.directions, no_targets=True)[0], last=step + 1 == model.steps)
        errors[part] = terms.squared_errors(rows[part])
    return drawn_users(rows, weights, counts, errors)


def drawn_users(rows: Rows, weights: Matrix, counts: Matrix, squared_errors: Matrix) -> UserDraw:
    """Return a user shard with its sums; all but `rows` : float64 (rows,)."""
    seen = UserSums(
        RowSums.of(rows, counts), als.gram_of(weighed(rows, weights)), WeightSums.of(weights, counts),
        float(np.sum(squared_errors)), float(weights @ squared_errors),
    )  # fmt: skip
    return UserDraw(rows, weights, seen)


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
    prior = _prior("items", _sums(problem.items, counts), _total(users), problem.noise, model, stream)
    basis = _basis(model, "items", np.sum([each.gram for each in users], axis=0), prior)
    noise = draw_noise(weighed_errors, model.ratings, weights, stream)
    variance = weights.inverse / (noise.precision * max(1, model.ratings))
    return ItemProblem("items", prior, basis, noise, problem.items, errors, variance)


def met_of(problem: ItemProblem) -> tuple[float, NoiseLevel, float]:
    """Return the sum of squared errors of the drawn users with the items before, in units of training, and the noise.

    The last number is its variance, on average over all ratings.
    """
    return problem.squared_errors, problem.noise, problem.noise_variance


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
    searches = []
    for b, shard in enumerate(problem.shards):
        items, problems = aligned_copy(shard), problem.problems(counts[b], model.objective)
        pull = problem.pulls(items, counts[b], stream, b, 0)
        search, seen = RowSearch.begin(items, problems, *als.total(tuple(row[b] for row in rows)), pull)
        searches.append(als.ItemSearch(search, seen))
    return AllItemSearches(tuple(searches), problem.noise)


def step_items(searches: AllItemSearches, *rows: tuple[ItemPart, ...]) -> AllItemSearches:
    """Return the searches after a step in every row."""
    after = (als.step_items(each, *(row[b] for row in rows)) for b, each in enumerate(searches.shards))
    return replace(searches, shards=tuple(after))


def end_items(searches: AllItemSearches, counts: Sequence[Matrix], *rows: tuple[ItemPart, ...]) -> ItemDraw:
    """Return all items after their last step."""
    shards = tuple(als.rows_of_search(each) for each in step_items(searches, *rows).shards)
    return ItemDraw(shards, _sums(shards, counts), _gram(shards), searches.noise)


def _prior(side: str, total: RowSums, others: RowSums, noise: NoiseLevel, model: Model, stream: Stream) -> RowPrior:
    if stream.sweep > 1:
        return draw_prior(total, stream, side)
    # A bias meets the column of ones in its place.
    return first_prior(total, others, noise.precision * model.ratings / max(1, total.rows))


def _basis(model: Model, side: str, gram: Matrix, prior: RowPrior) -> RowBasis:
    return RowBasis.of(gram, model.objective.free(len(gram), side), prior.precision)


def _total(users: Sequence[UserSums]) -> RowSums:
    return functools.reduce(operator.add, (each.sums for each in users))


def _sums(shards: Sequence[Rows], counts: Sequence[Matrix]) -> RowSums:
    return functools.reduce(operator.add, map(RowSums.of, shards, counts))


def _gram(shards: Sequence[Rows]) -> Matrix:
    return np.asarray(np.sum([als.gram_of(each) for each in shards], axis=0))
