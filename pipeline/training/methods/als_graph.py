"""An epoch of alternating row solves as a graph: all users, then all items, by a few steps of conjugate gradients.

Covers: the tasks of an epoch, first and stored rows, and the errors or rankings of validation ratings.
Does not cover: the work of a task (tasks/training/als.py), the loop over epochs (als.py).

Users stay where their blocks are: all item shards and their basis, a k x k matrix, come to them, and one task solves a
user shard. Items need a pass over all rows of blocks for every step. A block's part of the sums is one task, and the
parts of an item shard are added up in the order of the rows. The grid alone decides that order, so the bits are the
same for any number of workers.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from dask.delayed import delayed
from distributed import Future

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.training.placed_grid import PlacedGrid, near
from funkflow.pipeline.training.sharded_rows import ShardedRows, count_rows
from funkflow.tasks.grid import solved_rows
from funkflow.tasks.grid.factor_shard import ShardStart
from funkflow.tasks.grid.row_objective import Objective, Seen
from funkflow.tasks.model.about import Place
from funkflow.tasks.serving.rank_sample import RankSample, SampleRule, choose_sample, rank_sample, sample_size
from funkflow.tasks.serving.ranking_measures import Ranking
from funkflow.tasks.training import als
from funkflow.tasks.training.saved_shards import weigh_saved
from funkflow.tasks.training.score import Errors

NUMBER = "f4"
"""The type of rows in production; sums are float64."""

Sum = TypeVar("Sum", Seen, Errors, Ranking)


@dataclass(frozen=True)
class EpochTasks:
    """An epoch that was submitted: the rows at its end, and what its halves saw at their beginnings.

    `seen` : futures of what users and items saw, by shard, or a future of both.
    """

    rows: ShardedRows
    seen: tuple[list[Future[Any]], list[Future[Any]]] | Future[Any]


class RowSolves:
    """Epochs over the blocks of a grid.

    `steps` : of conjugate gradients in each half; `width` : of rows;
    `in_flight` : epochs that are submitted before the first is judged.
    """

    in_flight = 1

    def __init__(self, context: Context, data: PlacedGrid, objective: Objective, steps: int, width: int) -> None:
        self.client, self.attempt = context.client, context.attempt
        self.objective, self.steps = objective, steps
        self.width = width
        self.context, self._placements = context, itertools.count()
        self.place(data)

    def place(self, data: PlacedGrid) -> None:
        """Use the grid as it lies on the workers now."""
        self.data = data
        name = f"{self.attempt}-{next(self._placements):03d}"
        self.counts = count_rows(self.context, data, f"count-als-{name}", als.count_confidences, self.objective)
        self.ordered = self.order_items(name)

    def order_items(self, name: str) -> list[Future[Any]]:
        """Submit the ratings of each row of blocks in the order of its items; `name` : for the keys."""
        return [
            self.client.submit(
                als.order_items,
                blocks,
                self.width,
                NUMBER,
                key=f"order-items-{name}-{a:03d}",
                **near(self.data.home(a)),
            )
            for a, blocks in enumerate(self.data.rows)
        ]

    @functools.cached_property
    def total_confidence(self) -> float:
        """The sum of confidences of all ratings."""
        sums: list[float] = self.client.gather(
            [self.client.submit(np.sum, shard, pure=False) for shard in self.counts.items]
        )
        return float(sum(sums))

    def epoch(self, rows: ShardedRows, number: int) -> EpochTasks:
        """Submit epoch `number`."""
        at = f"{self.attempt}-{number:04d}"
        basis, common = self._basis("users", rows.items, at), self.common(rows, at)
        solved: list[Any] = []
        for a, blocks in enumerate(self.data.rows):
            with self.data.placed(a * self.data.shares // len(self.data.rows)):
                solved.append(
                    delayed(als.solve_users, pure=False)(
                        blocks, rows.users[a], list(rows.items), basis, self.counts.users[a], self.objective,
                        self.steps, common, dask_key_name=f"solve-users-{at}-{a:03d}",
                    )
                )  # fmt: skip
        users = [
            delayed(als.rows_of_solved, pure=False)(each, dask_key_name=f"users-{at}-{a:03d}")
            for a, each in enumerate(solved)
        ]
        basis = self._basis("items", users, at)
        searches: list[Any] = [None] * len(rows.items)
        first: list[Any] = []
        for step in range(self.steps + 1):
            for b, shard in enumerate(rows.items):
                key = f"{at}-{step:02d}-{b:03d}"
                given = shard if step == 0 else delayed(als.directions_of, pure=False)(
                    searches[b], dask_key_name=f"directions-{key}"
                )  # fmt: skip
                parts = [
                    delayed(als.item_part, pure=False)(
                        ratings, b, users[a], given, self.objective, no_targets=step > 0,
                        dask_key_name=f"item-part-{at}-{step:02d}-{a:03d}-{b:03d}",
                    )
                    for a, ratings in enumerate(self.ordered)
                ]  # fmt: skip
                advance, start = (
                    (als.step_items, (searches[b],)) if step
                    else (als.begin_items, (shard, basis, self.counts.items[b], self.objective))
                )  # fmt: skip
                searches[b] = delayed(advance, pure=False)(*start, *parts, dask_key_name=f"solve-items-{key}")
            first = first or list(searches)
        items = [
            delayed(als.rows_of_search, pure=False)(each, dask_key_name=f"items-{at}-{b:03d}")
            for b, each in enumerate(searches)
        ]
        seen = [
            delayed(als.seen_of, pure=False)(each, dask_key_name=f"seen-{at}-{number:03d}")
            for number, each in enumerate([*solved, *first])
        ]
        count = len(users)
        futures = self.client.compute([*users, *items, *seen], optimize_graph=False)
        return EpochTasks(
            ShardedRows(futures[:count], futures[count : 2 * count]),
            (futures[2 * count : 3 * count], futures[3 * count :]),
        )

    def errors(self, rows: ShardedRows, number: int, scale: tuple[float, float]) -> list[Future[Any]]:
        """Submit the scores of an epoch; return futures of the errors on the validation ratings, by user shard."""
        return [
            self.client.submit(als.score_rows, held_out, self.objective, scale, users, *rows.items,
                               key=f"score-{self.attempt}-{number:04d}-{a:03d}", pure=False)
            for a, (held_out, users) in enumerate(zip(self.data.held_out, rows.users, strict=True))
        ]  # fmt: skip

    def choose_users(self, rule: SampleRule) -> None:
        """Choose the users whose rankings `rankings` measures, where their blocks are."""
        self.rule = rule
        key = f"choose-users-{self.attempt}-{next(self._placements):03d}"
        self.samples: list[Future[RankSample]] = [
            self.client.submit(choose_sample, blocks, held_out, rule, a, key=f"{key}-{a:03d}", pure=False)
            for a, (blocks, held_out) in enumerate(zip(self.data.rows, self.data.held_out, strict=True))
        ]

    def chosen_users(self) -> int:
        """Return how many users are chosen, all shards together."""
        counts: list[int] = self.client.gather(
            [self.client.submit(sample_size, each, pure=False) for each in self.samples]
        )
        return sum(counts)

    def rankings(self, rows: ShardedRows, number: int) -> list[Future[Ranking]]:
        """Submit the rankings of an epoch; return futures of the sums over the chosen users, by user shard."""
        return [
            self.client.submit(rank_sample, sample, self.rule.length, users, *rows.items,
                               key=f"rank-{self.attempt}-{number:04d}-{a:03d}", pure=False)
            for a, (sample, users) in enumerate(zip(self.samples, rows.users, strict=True))
        ]  # fmt: skip

    def first_rows(self, start: ShardStart) -> ShardedRows:
        """Return the initial rows; those without training ratings are zero."""
        return ShardedRows(
            *(
                [
                    self.client.submit(
                        solved_rows.start_rows, counts, start, side, shard, NUMBER, self.objective.biases,
                        key=f"start-{side}s-{self.attempt}-{shard:03d}", pure=False,
                    )
                    for shard, counts in enumerate(of_side)
                ]
                for side, of_side in (("user", self.counts.users), ("item", self.counts.items))
            )
        )  # fmt: skip

    def stored(self, users: Sequence[Place], items: Sequence[Place], number: int) -> ShardedRows:
        """Return rows of a checkpoint as fresh load tasks, with no edge to the tasks that wrote it."""
        return ShardedRows(
            *(
                [
                    self.client.submit(
                        solved_rows.load_rows, counts, *place, self.width,
                        key=f"load-{side}-{self.attempt}-{number:04d}-{shard:03d}", pure=False,
                    )
                    for shard, (counts, place) in enumerate(zip(of_side, places, strict=True))
                ]
                for side, of_side, places in (
                    ("users", self.counts.users, users), ("items", self.counts.items, items)
                )
            )
        )  # fmt: skip

    def shards(self, rows: ShardedRows) -> ShardedRows:
        """Return the rows by shard, to be written."""
        return rows

    def common(self, rows: ShardedRows, name: str) -> Future[Any] | None:
        """Submit the row that users have in common, from all user shards; None without one."""
        if not self.objective.toward_mean:
            return None
        weighed = [
            self.client.submit(als.weighed_users, shard, counts, self.objective, key=f"weigh-users-{name}-{a:03d}",
                               pure=False)
            for a, (shard, counts) in enumerate(zip(rows.users, self.counts.users, strict=True))
        ]  # fmt: skip
        return self.client.submit(als.common_of, self.objective, *weighed, key=f"common-{name}", pure=False)

    def common_of_saved(self, users: Sequence[Place]) -> Any:
        """Return the row that users have in common, from the files of all user shards; None without one."""
        if not self.objective.toward_mean:
            return None
        weighed = [
            self.client.submit(weigh_saved, place, counts, self.width, self.objective, pure=False)
            for place, counts in zip(users, self.counts.users, strict=True)
        ]
        return self.client.submit(als.common_of, self.objective, *weighed, pure=False).result()

    def _basis(self, side: str, others: Sequence[Any], name: str) -> Any:
        """Return the basis in which a side is solved, from all shards of the other one."""
        grams = [
            delayed(als.gram_of, pure=False)(shard, dask_key_name=f"gram-for-{side}-{name}-{number:03d}")
            for number, shard in enumerate(others)
        ]
        return delayed(als.basis_of, pure=False)(self.objective, side, *grams, dask_key_name=f"basis-{side}-{name}")


def total(parts: Sequence[Sum]) -> Sum:
    """Return the sum over all shards, in order."""
    return functools.reduce(operator.add, parts)
