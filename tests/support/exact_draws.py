"""Draws from the posterior of a small matrix: by the tasks of a sweep, and rating by rating with Cholesky factors.

Covers: a small matrix as a grid of blocks, a sweep of the tasks of tasks/training/posterior/draws.py without a cluster,
and its twin, which takes the same normal numbers and solves A x = b in NumPy, float64.
Does not cover: priors (the twin takes those that the tasks draw), the graph of a sweep.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from funkflow.tasks.grid import ordered_ratings
from funkflow.tasks.grid.block import RatingBlock
from funkflow.tasks.grid.row_objective import Objective
from funkflow.tasks.grid.scaling import Scaling
from funkflow.tasks.grid.solved_rows import rows_of
from funkflow.tasks.kernels.tiles import GROUP_USERS, TILE_ITEMS, TILE_USERS
from funkflow.tasks.noise import Stream
from funkflow.tasks.training import als
from funkflow.tasks.training.posterior import draws, starts
from funkflow.tasks.training.posterior.priors import NoiseLevel, RowPrior
from funkflow.tasks.training.posterior.sweep_parts import ItemDraw, ItemProblem, Model, UserDraw, UserProblem

Matrix = npt.NDArray[np.float64]
_PLACES = TILE_ITEMS // GROUP_USERS


@dataclass(frozen=True)
class State:
    """Where a chain stands: rows of all users and items, tau, nu, and weights of users and priors of the last sweep."""

    users: Matrix
    items: Matrix
    precision: float
    shape: float = 8.0
    weights: Matrix | None = None
    user_prior: RowPrior | None = None
    item_prior: RowPrior | None = None


@dataclass(frozen=True)
class SmallGrid:
    """Ratings of a small matrix: pairs (u, i), targets t as float32, cut into so many shards of neighbouring rows.

    steps : of conjugate gradients in a row; number : of the rows, "f4" or "f8"; implicit : of train.implicit; further :
    so many of the other pairs are known without their rating.
    """

    shape: tuple[int, int]
    u: npt.NDArray[np.int64]
    i: npt.NDArray[np.int64]
    targets: npt.NDArray[np.float32]
    rank: int
    shards: int = 1
    biases: bool = True
    steps: int = 60
    number: Any = "f8"
    implicit: str = "none"
    further: int = 0

    @classmethod
    def random(
        cls, rng: np.random.Generator, shape: tuple[int, int], count: int, rank: int, **others: Any
    ) -> SmallGrid:
        cells = np.sort(rng.choice(shape[0] * shape[1], min(count, shape[0] * shape[1]), replace=False))
        targets = rng.normal(size=len(cells)).astype(np.float32)
        return cls(shape, cells // shape[1], cells % shape[1], targets, rank, **others)

    def rated(self, targets: Matrix) -> SmallGrid:
        """Return the same pairs with other targets."""
        return replace(self, targets=targets.astype(np.float32))

    @cached_property
    def cuts(self) -> list[list[slice]]:
        """The rows of each shard, by side."""
        return [
            [slice(*ends) for ends in pairwise(np.linspace(0, count, self.shards + 1).astype(int).tolist())]
            for count in self.shape
        ]

    @cached_property
    def inside(self) -> dict[tuple[int, int], npt.NDArray[np.int64]]:
        """The places of each block's ratings."""
        of_users, of_items = (
            np.searchsorted([part.stop for part in side], ids, side="right")
            for side, ids in zip(self.cuts, (self.u, self.i), strict=True)
        )
        shards = range(self.shards)
        return {(a, b): np.flatnonzero((of_users == a) & (of_items == b)) for a in shards for b in shards}

    @cached_property
    def blocks(self) -> list[tuple[RatingBlock, ...]]:
        if not self.further:
            return self._blocks
        others = replace(self, u=self.further_pairs[0], i=self.further_pairs[1], further=0)
        others = others.rated(np.ones(len(others.u)))
        return [
            tuple(replace(block, further=more) for block, more in zip(row, known, strict=True))
            for row, known in zip(self._blocks, others.blocks, strict=True)
        ]

    @cached_property
    def further_pairs(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Users and items of the further pairs."""
        free = np.setdiff1d(np.arange(self.shape[0] * self.shape[1]), self.u * self.shape[1] + self.i)
        chosen = np.random.default_rng(self.further).permutation(free)[: self.further]
        return chosen // self.shape[1], chosen % self.shape[1]

    @cached_property
    def known(self) -> Matrix:
        """The matrix of known pairs, 1 or 0."""
        pairs = np.zeros(self.shape)
        pairs[self.u, self.i] = 1.0
        pairs[self.further_pairs] = 1.0
        return pairs

    @cached_property
    def _blocks(self) -> list[tuple[RatingBlock, ...]]:
        users, items = self.cuts
        return [
            tuple(
                RatingBlock.of(
                    self.u[mine] - users[a].start, self.i[mine] - items[b].start, self.targets[mine],
                    (users[a].stop - users[a].start, items[b].stop - items[b].start),
                )
                for b in range(self.shards)
                for mine in [self.inside[a, b]]
            )
            for a in range(self.shards)
        ]  # fmt: skip

    @cached_property
    def counts(self) -> tuple[list[Matrix], list[Matrix]]:
        """Ratings of each row, by side and shard."""
        users, items = (
            np.bincount(ids, minlength=n).astype(np.float64)
            for ids, n in zip((self.u, self.i), self.shape, strict=True)
        )
        return [users[part] for part in self.cuts[0]], [items[part] for part in self.cuts[1]]

    @property
    def model(self) -> Model:
        objective = Objective(0.0, 0.0, *self.shape, Scaling(0.0, 1.0), biases=self.biases)
        return Model(
            objective, len(self.targets), self.steps, self.implicit, pair_steps=self.steps, further=self.further > 0
        )

    def rows(self, rng: np.random.Generator, side: str) -> Matrix:
        """Return random rows of "user" or "item"."""
        count = self.shape[side == "item"]
        return rows_of(rng.normal(size=(count, self.rank)), rng.normal(size=count), side, self.biases)

    def predicted(self, state: State) -> Matrix:
        return np.asarray(np.einsum("nf,nf->n", state.users[self.u], state.items[self.i], dtype=np.float64))

    def sweep(self, state: State, stream: Stream, exact: bool = False) -> State:
        """Return the state after a sweep of the tasks; `exact` : with the twin's rows in place of theirs."""
        problem, users = self.drawn_users(state, stream)
        drawn, weights = (np.concatenate([getattr(each, name) for each in users]) for name in ("rows", "weights"))
        if exact:
            drawn = self.exact_users(state.users, weights, problem, stream)
            away = self.targets - np.einsum("nf,nf->n", drawn[self.u], state.items[self.i])
            errors = np.bincount(self.u, away**2, self.shape[0]).astype(np.float64)
            users = [
                draws.drawn_users(drawn[part], weights[part], self.counts[0][a], errors[part])
                for a, part in enumerate(self.cuts[0])
            ]
        begun = draws.begin_items(problem, self.counts[1], self.model, stream, *map(draws.sums_of, users))
        if exact:
            found = self.exact_items(drawn, weights, state.items, begun, stream)
        else:
            found = np.concatenate(self.drawn_items(users, begun, stream).shards)
        noise = begun.noise
        return State(drawn, found, noise.precision, noise.shape, weights, problem.prior, begun.prior)

    def drawn_users(self, state: State, stream: Stream) -> tuple[UserProblem, list[UserDraw]]:
        """Return the tasks' draw of the users, and their problem."""
        of_users, of_items = self.counts
        left, right = (
            [np.ascontiguousarray(rows[part], self.number) for part in side]
            for rows, side in zip((state.users, state.items), self.cuts, strict=True)
        )
        users = [starts.first_users(rows, counts) for rows, counts in zip(left, of_users, strict=True)]
        items = starts.first_items(of_items, NoiseLevel(state.precision, state.shape), *right)
        problem = draws.begin_sweep(items, self.model, stream, *map(draws.sums_of, users))
        return problem, [
            draws.draw_users(self.blocks[a], users[a], problem, of_users[a], self.model, stream, a)
            for a in range(self.shards)
        ]

    def drawn_items(self, users: Sequence[UserDraw], begun: ItemProblem, stream: Stream) -> ItemDraw:
        """Return the tasks' draw of the items."""
        model, counts = self.model, self.counts[1]
        width = self.rank + 2 * self.biases
        ordered = [als.order_items(row, width, self.number) for row in self.blocks]
        items: Any = begun
        for step in range(model.steps + 1):
            parts = [draws.item_parts(ordered[a], users[a], items, model, stream, a) for a in range(self.shards)]
            if step == model.steps:
                return draws.end_items(items, counts, *parts)
            if step:
                items = draws.step_items(items, *parts)
            else:
                items = draws.begin_search(items, counts, model, stream, *parts)
        raise AssertionError

    def exact_users(
        self, users: Matrix, weights: Matrix, problem: UserProblem, stream: Stream, means: Matrix | float = 0.0
    ) -> Matrix:
        """Return the twin's draw of all users; means : of their rows, beside the prior's."""
        noise, pulls = np.zeros(len(self.u)), np.zeros(users.shape)
        per_slab = ordered_ratings.rows_in_cache(users.shape[1], self.number, TILE_ITEMS)
        for a, part in enumerate(self.cuts[0]):
            for first in range(0, part.stop - part.start, TILE_USERS):
                generator, places = stream.generator("ratings of users", a, first), []
                for b in range(self.shards):
                    mine = self.inside[a, b]
                    user, item = self.u[mine] - part.start, self.i[mine] - self.cuts[1][b].start
                    mine, user, item = (
                        each[(user >= first) & (user < first + TILE_USERS)] for each in (mine, user, item)
                    )
                    place = (item - user * _PLACES) % TILE_ITEMS
                    places.append(mine[np.lexsort((place, item // TILE_ITEMS, user, item // per_slab))])
                order = np.concatenate(places)
                noise[order] = generator.standard_normal(len(order), dtype=self.number)
                rows = slice(part.start + first, min(part.stop, part.start + first + TILE_USERS))
                drawn = stream.generator("rows of users", a, first).standard_normal(
                    users[rows].shape, dtype=self.number
                )
                pulls[rows] = drawn @ problem.basis.vectors.T
        others = np.concatenate(problem.items)
        return self._solved("users", self.u, self.i, users, others, noise, pulls + means, weights, problem)

    def exact_items(
        self, users: Matrix, weights: Matrix, items: Matrix, problem: ItemProblem, stream: Stream,
        means: Matrix | float = 0.0,
    ) -> Matrix:  # fmt: skip
        """Return the twin's draw of all items; means : of their rows, beside the prior's."""
        noise, pulls = np.zeros(len(self.u)), np.zeros(items.shape)
        per_slab = ordered_ratings.rows_in_cache(items.shape[1], self.number, GROUP_USERS)
        for (a, b), mine in self.inside.items():
            user, item = self.u[mine] - self.cuts[0][a].start, self.i[mine] - self.cuts[1][b].start
            place = (item - user * _PLACES) % TILE_ITEMS
            order = mine[np.lexsort((place, user // GROUP_USERS, item, user // per_slab, user // TILE_USERS))]
            generator = stream.generator("ratings of items", a, b)
            noise[order] = generator.standard_normal(len(order), dtype=self.number)
        for b, part in enumerate(self.cuts[1]):
            drawn = stream.generator("rows of items", b, 0).standard_normal(items[part].shape, dtype=self.number)
            pulls[part] = drawn @ problem.basis.vectors.T
        return self._solved("items", self.i, self.u, items, users, noise, pulls + means, weights, problem)

    def _solved(
        self, side: str, mine: npt.NDArray[np.int64], partners: npt.NDArray[np.int64], rows: Matrix, others: Matrix,
        noise: Matrix, pulls: Matrix, weights: Matrix, problem: UserProblem | ItemProblem,
    ) -> Matrix:  # fmt: skip
        """Return A^-1 b of each row: A = sum of q y y^T + L, b = sum of q (t + z / sqrt(q) - fixed) y + L (m + z').

        Here q is tau times the weight of the rating's user.
        """
        width, prior, precisions = rows.shape[1], problem.prior, problem.noise.precision * weights[self.u]
        fixed = [] if not self.biases else [width - 1 if side == "users" else width - 2]
        free = [f for f in range(width) if f not in fixed]
        found = rows.astype(np.float64)
        means = prior.mean + np.outer(prior.away(np.bincount(mine, minlength=len(rows)).astype(float)), prior.slope)
        for row in range(len(rows)):
            a = np.diag(prior.precision[free])
            b = prior.precision[free] * (means[row, free] + pulls[row, free])
            for n in np.flatnonzero(mine == row):
                y = others[partners[n]].astype(np.float64)
                t = float(self.targets[n]) + noise[n] / np.sqrt(precisions[n]) - float(np.sum(y[fixed]))
                a += precisions[n] * np.outer(y[free], y[free])
                b += precisions[n] * t * y[free]
            lower = np.linalg.cholesky(a)
            found[row, free] = np.linalg.solve(lower.T, np.linalg.solve(lower, b))
        return found
