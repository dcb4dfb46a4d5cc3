"""An epoch of alternating row solves where the items are few: a task for each row of blocks and pass, not each block.

Covers: the tasks of such an epoch.
Does not cover: the work of a task (tasks/training/als_all_items.py), the graph for many items (als_graph.py), the limit
between them (tasks/grid/layout.py), the loop over epochs (als.py).

Then a task of one block takes less time than Dask takes to run it. So all item shards travel as one, a row of blocks
makes its parts for all of them in one task, and one task adds the parts of all rows up and takes the step of all
shards: (s + 2) P + s + 2 tasks for s steps and P rows, where the other graph has (s + 1) P^2 and more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dask.base import annotate
from dask.delayed import delayed
from distributed import Future

from funkflow.pipeline.training.methods.als_graph import EpochTasks, RowSolves
from funkflow.pipeline.training.sharded_rows import ShardedRows
from funkflow.tasks.grid.factor_shard import ShardStart
from funkflow.tasks.model.about import Place
from funkflow.tasks.serving.rank_sample import rank_sample_of_all_items
from funkflow.tasks.serving.ranking_measures import Ranking
from funkflow.tasks.training import als_all_items as tasks


class AllItemSolves(RowSolves):
    """Epochs with all item shards in one future: `rows.items` has one entry."""

    in_flight = 2

    def epoch(self, rows: ShardedRows, number: int) -> EpochTasks:
        at, count = f"{self.attempt}-{number:04d}", len(self.data.rows)
        (items,) = rows.items
        users: list[Any] = []
        for a, blocks in enumerate(self.data.rows):
            # The longest tasks first: Dask would go on to the parts of items, and leave a row of users for last.
            with self.data.placed(a * self.data.shares // count), annotate(priority=1):
                users.append(
                    delayed(tasks.solve_users, pure=False)(
                        blocks, rows.users[a], items, self.counts.users[a], self.objective, self.steps,
                        dask_key_name=f"solve-users-{at}-{a:03d}",
                    )
                )  # fmt: skip
        seen: Any = None
        for step in range(self.steps + 1):
            parts = [
                delayed(tasks.row_parts, pure=False)(
                    ratings, users[a], items, self.objective, dask_key_name=f"item-parts-{at}-{step:02d}-{a:03d}"
                )
                for a, ratings in enumerate(self.ordered)
            ]
            advance, given = (
                (tasks.end_items, (self.objective,)) if step == self.steps
                else (tasks.step_items, ()) if step
                else (tasks.begin_items, (self.counts.items, self.objective))
            )  # fmt: skip
            items = delayed(advance, pure=False)(items, *given, *parts, dask_key_name=f"solve-items-{at}-{step:02d}")
            if step == 0:
                seen = delayed(tasks.seen_of, pure=False)(items, dask_key_name=f"seen-{at}")
        futures = self.client.compute([*users, items, seen], optimize_graph=False)
        return EpochTasks(ShardedRows(futures[:count], [futures[count]]), futures[-1])

    def errors(self, rows: ShardedRows, number: int, scale: tuple[float, float]) -> list[Future[Any]]:
        return [
            self.client.submit(tasks.score_rows, held_out, self.objective, scale, users, *rows.items,
                               key=f"score-{self.attempt}-{number:04d}-{a:03d}", pure=False)
            for a, (held_out, users) in enumerate(zip(self.data.held_out, rows.users, strict=True))
        ]  # fmt: skip

    def rankings(self, rows: ShardedRows, number: int) -> list[Future[Ranking]]:
        return [
            self.client.submit(rank_sample_of_all_items, sample, self.rule.length, users, *rows.items,
                               key=f"rank-{self.attempt}-{number:04d}-{a:03d}", pure=False)
            for a, (sample, users) in enumerate(zip(self.samples, rows.users, strict=True))
        ]  # fmt: skip

    def first_rows(self, start: ShardStart) -> ShardedRows:
        return self._joined(super().first_rows(start), 0)

    def stored(self, users: Sequence[Place], items: Sequence[Place], number: int) -> ShardedRows:
        return self._joined(super().stored(users, items, number), number)

    def shards(self, rows: ShardedRows) -> ShardedRows:
        submit = self.client.submit
        return ShardedRows(
            [submit(tasks.users_of, each, pure=False) for each in rows.users],
            [submit(tasks.shard_of, *rows.items, b, pure=False) for b in range(len(rows.users))],
        )

    def _joined(self, rows: ShardedRows, number: int) -> ShardedRows:
        key = f"all-items-{self.attempt}-{number:04d}"
        common = self.common(rows, f"{self.attempt}-{number:04d}")
        items = self.client.submit(tasks.items_of, self.objective, common, *rows.items, key=key, pure=False)
        return ShardedRows(rows.users, [items])
