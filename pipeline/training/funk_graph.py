"""Passes for one feature as a task graph, and what the blocks are left with once it is finished.

Covers: which task needs what of which other task, and their keys.
Does not cover: which feature comes when, stopping and checkpoints (funk.py), or what a task does
(tasks/training/funk.py).

Shares of the grid and their turns are those of sgd_graph.py, for the same reasons. With one share many passes are one
task, as nothing is exchanged on the way: a pass over a small set takes less time than handing it out.

What a feature leaves is made of what the one before it left. That chain is not cut: it has one short task a user shard
and feature, and is run anew only where a worker is lost.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from dask.delayed import delayed
from distributed import Future

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.root import manifests
from funkflow.pipeline.training.bias_graph import fit_biases
from funkflow.pipeline.training.placed_grid import Grid
from funkflow.pipeline.training.sgd_graph import threads_of_task, to_be_handed_on
from funkflow.tasks.grid.block import BlockRow
from funkflow.tasks.grid.factor_shard import shard_rows
from funkflow.tasks.grid.row_sums import rows_seen
from funkflow.tasks.grid.visit_order import items_of, turns_of_epoch
from funkflow.tasks.kernels.threads import all_of
from funkflow.tasks.training.bias_baseline import mean_shard
from funkflow.tasks.training.funk import (
    Feature,
    Standing,
    Vector,
    Vectors,
    descend_feature,
    first_standing,
    first_vector,
    score_feature,
    score_standing,
    without_feature,
)
from funkflow.tasks.training.funk_files import read_vectors
from funkflow.tasks.training.score import HeldOut
from funkflow.tasks.training.sgd import StepSizes

Squares = tuple[float, float]
"""Sums of squared errors: those met in training, in scaled units, and those on the stopping ratings, in rating units"""

Visits = npt.NDArray[np.int64]
"""Blocks in their order, (n, 2). In an array, as Dask looks into every list and tuple that it is given."""


@dataclass(frozen=True)
class FeatureState:
    """One feature after some pass, as futures of shares: a Feature each of users, a tuple of vectors of items."""

    users: list[Future[Any]]
    items: list[Future[Any]]


class FeatureRounds:
    """The blocks of a grid, what the finished features leave of their ratings, and passes for the next.

    `biases` : futures of FactorShard, in rating units, of all user shards and of all item shards.
    `sizes` : rows of all user shards and of all item shards. `start` : any feature before its first pass.
    """

    def __init__(
        self, context: Context, grid: manifests.Grid, data: Grid, steps: StepSizes, scale: tuple[float, float],
        biases: bool, seed: int,
    ) -> None:  # fmt: skip
        self.client, self.name, self.data = context.client, context.attempt, data
        self.steps, self.scale, self.seed, self.finished = steps, scale, seed, 0
        count = len(data.rows)
        self.sizes = [[shard_rows(grid.rows_of(side), count, n) for n in range(count)] for side in ("users", "items")]
        self.biases = fit_biases(context, data, steps.mean, self.name) if biases else self._no_biases()
        self._standings = [
            self._submit(first_standing, row, held, steps, self.biases[0][a], *self.biases[1], key=f"standing-0-{a}")
            for a, (row, held) in enumerate(zip(data.rows, data.held_out, strict=True))
        ]
        self._seen = [self._submit(rows_seen, row, key=f"rows-seen-{a}") for a, row in enumerate(data.rows)]
        self.take(data)

    def take(self, data: Grid) -> None:
        """Go on with the grid as it is handed out now, from the next feature on."""
        self.data, seen = data, self._seen
        shares = list(enumerate(data.of_shares))
        key = f"{self.finished}-{data.shares}"
        self.start = FeatureState(
            [self._submit(start_users, seen[mine], key=f"start-users-{key}-{share}") for share, mine in shares],
            [self._submit(start_items, seen, mine, key=f"start-items-{key}-{share}") for share, mine in shares],
        )

    def passes(self, before: FeatureState, first: int, count: int) -> tuple[FeatureState, Squares]:
        """Take `count` passes, the first of them pass number `first` of the feature; return what it then is.

        The errors are those met in the last of these passes, and those that are left after it.
        """
        data, size = self.data, len(self.data.rows) // self.data.shares
        looks = f"{self.name}-{self.finished:03d}"
        users: list[Any] = list(before.users)
        items: list[Any] = list(before.items)
        for number, (partners, passes, begins) in enumerate(self._turns(first, count)):
            for share, (partner, mine) in enumerate(zip(partners, data.of_shares, strict=True)):
                key = f"{looks}.{first + number // data.shares:05d}-{number:04d}-{share:03d}"
                with data.placed(share):
                    users[share] = delayed(descend_share, pure=False)(
                        data.rows[mine], self._standings[mine], passes[share], mine.start, partner * size, users[share],
                        items[partner], self.steps, begins, data.shares_a_worker,
                        dask_key_name=f"passes-{key}-{partner:03d}of{data.shares}",
                    )  # fmt: skip
                    items[partner] = to_be_handed_on(data, users[share], key)
        errors = []
        for share, mine in enumerate(data.of_shares):
            key = f"{looks}-{first:05d}-{share:03d}"
            with data.placed(share):
                errors.append(
                    delayed(score_share, pure=False)(
                        data.held_out[mine], self._standings[mine], users[share], items if data.scored else [],
                        self.steps, self.scale, data.shares_a_worker, dask_key_name=f"score-{key}",
                    )
                )  # fmt: skip
        futures = self.client.compute([*users, *items, *errors], optimize_graph=False)
        of_shards = itertools.chain(*self.client.gather(futures[2 * data.shares :]))
        training, stopping = zip(*of_shards, strict=True)
        after = FeatureState(futures[: data.shares], futures[data.shares : 2 * data.shares])
        return after, (float(sum(training)), float(sum(stopping)))

    def stopping_squares(self) -> float:
        """Return the sum of squared errors that the finished features leave on the stopping ratings."""
        errors = [
            self._submit(score_standing, held, standing, self.steps, self.scale, key=f"score-{self.finished:03d}-{a}")
            for a, (held, standing) in enumerate(zip(self.data.held_out, self._standings, strict=True))
        ]
        return float(sum(self.client.gather(errors)))

    def finish(self, users: tuple[str, str], items: tuple[str, str]) -> None:
        """Take a finished feature, given by url and checksum of its files, away from what is left of the ratings."""
        self.finished += 1
        loaded = [
            self._submit(read_vectors, *where, sizes, key=f"load-{side}-{self.finished}")
            for side, where, sizes in zip(("users", "items"), (users, items), self.sizes, strict=True)
        ]
        rows, held_out = self.data.rows, self.data.held_out
        self._standings = [
            self._submit(take_away, row, before, held, *loaded, a, key=f"standing-{self.finished}-{a}")
            for a, (row, before, held) in enumerate(zip(rows, self._standings, held_out, strict=True))
        ]

    def _turns(self, first: int, count: int) -> Iterator[tuple[Sequence[int], list[list[Visits]], bool]]:
        """Yield what happens between two exchanges: each share's partner, its blocks by pass, and if a pass begins."""
        shards, shares = len(self.data.rows), self.data.shares
        numbers = range(first, first + count)
        passes = [turns_of_epoch(self.seed, number, shards, shares) for number in numbers]
        if shares == 1:
            yield (0,), [[np.array(turn.visits[0]) for (turn,) in passes]], True
            return
        for turns in passes:
            for number, turn in enumerate(turns):
                yield turn.partners, [[np.array(visits)] for visits in turn.visits], number == 0

    def _no_biases(self) -> tuple[list[Future[Any]], list[Future[Any]]]:
        users, items = (
            [self._submit(mean_shard, rows, key=f"no-bias-{side}-{n}") for n, rows in enumerate(sizes)]
            for side, sizes in zip(("users", "items"), self.sizes, strict=True)
        )
        return users, items

    def _submit(self, function: Any, *arguments: Any, key: str) -> Future[Any]:
        return self.client.submit(function, *arguments, key=f"{key}-{self.name}", pure=False)


def start_users(seen: Sequence[tuple[npt.NDArray[np.bool_], Any]]) -> Feature:
    """Return a share of user shards before the first pass of any feature."""
    return Feature(tuple(first_vector(users) for users, _ in seen), None, (0.0,) * len(seen))


def start_items(seen: Sequence[tuple[Any, tuple[npt.NDArray[np.bool_], ...]]], mine: slice) -> Vectors:
    """Return a share of item shards before the first pass; an item is seen if any row of blocks has it."""
    return tuple(
        first_vector(np.logical_or.reduce([items[b] for _, items in seen])) for b in range(mine.start, mine.stop)
    )


def descend_share(
    rows: Sequence[BlockRow], standings: Sequence[Standing], passes: Sequence[Visits], first_row: int,
    first_column: int, before: Feature, items: Feature | Vectors, steps: StepSizes, begins: bool, crowd: int,
) -> Feature:  # fmt: skip
    """Take passes over the blocks of a share that `passes` names by their place in the grid, with all of the worker."""
    met = items_of(items)
    columns = range(first_column, first_column + len(met))
    mine = [row[columns.start : columns.stop] for row in rows]
    residuals = [[standing.of(b) for b in columns] for standing in standings]
    within = [[(a - first_row, b - first_column) for a, b in visits.tolist()] for visits in passes]
    return descend_feature(mine, residuals, within, before, met, steps, begins, threads_of_task(crowd))


def score_share(
    held_out: Sequence[HeldOut], standings: Sequence[Standing], feature: Feature, items: Sequence[Feature | Vectors],
    steps: StepSizes, scale: tuple[float, float], crowd: int,
) -> list[Squares]:  # fmt: skip
    """Score each user shard of a share with the feature in hand against all item shards."""
    vectors = [vector for share in items for vector in items_of(share)]

    def score(held: HeldOut, standing: Standing, users: Vector) -> float:
        return score_feature(held, standing, users, vectors, steps, scale)

    stopping = all_of(score, held_out, standings, feature.users, threads=threads_of_task(crowd))
    return list(zip(feature.squared_errors, stopping, strict=True))


def take_away(
    row: BlockRow, before: Standing, held_out: HeldOut, users: Vectors, items: Vectors, shard: int
) -> Standing:
    """Return what user shard `shard` is left with, given the finished feature of all shards."""
    return without_feature(row, before, held_out, users[shard], items)
