"""The objective J over the whole grid; points and gradients stay on the workers, in shards.

Covers: the graph of an evaluation of J and its gradient, moving a point, inner products; first and stored points.
Does not cover: the step rule (tasks/training/gradient_descent.py), the work of a task (tasks/training/batch.py),
stopping (batch.py).

A block's part of the gradient is one task. Along a row of blocks, which lies on one worker, each task adds its users'
part to the one before; the items' parts, one a row of blocks, are added as a tree. Only J, inner products and errors
return to the client. The grid alone decides the order of all sums, so the bits are the same for any number of workers.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from dask.delayed import delayed
from distributed import Future

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.training.placed_grid import PlacedGrid
from funkflow.pipeline.training.sharded_rows import ShardedRows, count_rows
from funkflow.tasks.grid.factor_shard import ShardStart
from funkflow.tasks.grid.scaling import StepSizes
from funkflow.tasks.model.about import Place
from funkflow.tasks.training import batch
from funkflow.tasks.training.score import Errors

_FAN_IN = 4
"""Parts of the items' gradient that one task adds up."""


class GridObjective:
    """J over the blocks of a grid, and the operations on points that `follow` needs.

    `steps` : the scaling of ratings, and the L2 term; `biases` : False: they stay 0. `squared_error` : of the last
    evaluation, in scaled units, without the penalty. `evaluations` : their number.
    """

    def __init__(self, context: Context, data: PlacedGrid, steps: StepSizes, biases: bool) -> None:
        self.context, self.client = context, context.client
        self.data, self.steps, self.biases = data, steps, biases
        self.attempt, self.name = context.attempt, f"batch-{context.attempt}"
        self.squared_error, self.evaluations = 0.0, 0
        self._numbers = itertools.count()
        self.counts = count_rows(context, data, self._key("count"))

    def place(self, data: PlacedGrid) -> None:
        """Use the same grid as it lies on the workers now."""
        self.data, self.counts = data, count_rows(self.context, data, self._key("count"))

    def evaluate(self, point: ShardedRows) -> tuple[float, ShardedRows]:
        """Return J and its gradient at a point."""
        number, shards, steps = next(self._numbers), len(self.data.rows), self.steps
        self.evaluations += 1
        users: list[Any] = []
        errors: list[Any] = []
        parts: list[list[Any]] = [[] for _ in range(shards)]
        for a, row in enumerate(self.data.rows):
            part: Any = None
            for b in range(shards):
                key = f"{self.attempt}-{number:05d}-{b:04d}-{a:03d}-{b:03d}of{shards}"
                part = delayed(batch.slopes_in_row, pure=False)(
                    row, b, point.users[a], point.items[b], scaling=steps, before=part,
                    dask_key_name=f"slopes-{key}",
                )  # fmt: skip
                parts[b].append(delayed(batch.items_of_part, pure=False)(part, dask_key_name=f"item-slopes-{key}"))
            key = f"{self.name}-{number:05d}-{a:03d}"
            users.append(
                delayed(batch.user_gradient, pure=False)(
                    part, point.users[a], self.counts.users[a], steps.l2, self.biases,
                    dask_key_name=f"user-gradient-{key}",
                )
            )  # fmt: skip
            errors.append(delayed(batch.error_of_part, pure=False)(part, dask_key_name=f"squared-error-{key}"))
        items = [self._item_gradient(point.items[b], b, parts[b], number) for b in range(shards)]
        penalties = self._penalties(point, number) if steps.l2 else []
        futures = self.client.compute([*users, *items, *errors, *penalties], optimize_graph=False)
        numbers = self.client.gather(futures[2 * shards :])
        self.squared_error = float(sum(numbers[:shards]))
        value = self.squared_error + steps.l2 * float(sum(numbers[shards:]))
        return value, ShardedRows(futures[:shards], futures[shards : 2 * shards])

    def moved(self, point: ShardedRows, by: float, along: ShardedRows) -> ShardedRows:
        """Return point + by * along, shard by shard, where the shards are."""
        name = self._key("moved")
        return _split(
            [
                self.client.submit(batch.moved, rows, by, direction, key=f"{name}-{number:03d}", pure=False)
                for number, (rows, direction) in enumerate(zip(point.all, along.all, strict=True))
            ]
        )

    def inner_products(self, pairs: Sequence[tuple[ShardedRows, ShardedRows]]) -> list[float]:
        """Return the inner product of each pair; a task a shard, for all pairs."""
        name = self._key("inner-products")
        columns = zip(*(side.all for pair in pairs for side in pair), strict=True)
        of_shards = self.client.gather(
            [
                self.client.submit(batch.inner_products, *shards, key=f"{name}-{number:03d}", pure=False)
                for number, shards in enumerate(columns)
            ]
        )
        return [float(sum(products)) for products in zip(*of_shards, strict=True)]

    def errors(self, point: ShardedRows, scale: tuple[float, float]) -> Errors:
        """Return the errors on the validation ratings, of the point in float32, as it would be written."""
        name = self._key("score")
        submit = self.client.submit
        parts: list[Errors] = self.client.gather(
            [
                submit(batch.score_rows, held_out, self.steps, scale, *(users, *point.items),
                       key=f"{name}-{a:03d}", pure=False)
                for a, (held_out, users) in enumerate(zip(self.data.held_out, point.users, strict=True))
            ]
        )  # fmt: skip
        return sum(parts[1:], parts[0])

    def first_point(self, rank: int, seed: int) -> ShardedRows:
        """Return the initial rows; those without training ratings are zero."""
        start, name = ShardStart(rank, seed, len(self.data.rows)), self._key("start")
        jobs = [
            (counts, start, side, shard)
            for side, all_counts in (("user", self.counts.users), ("item", self.counts.items))
            for shard, counts in enumerate(all_counts)
        ]
        return _split(
            [
                self.client.submit(batch.start_rows, *job, key=f"{name}-{number:03d}", pure=False)
                for number, job in enumerate(jobs)
            ]
        )

    def stored(self, places: Sequence[Place], number: int) -> ShardedRows:
        """Return rows of a checkpoint as fresh load tasks, with no edge to the tasks that wrote it.

        places : files of all user shards, then of all item shards; number : 0 for the point, 1 for the direction of the
        last step.
        """
        name = self._key("load-rows")
        return _split(
            [
                self.client.submit(batch.load_rows, counts, *place, number, key=f"{name}-{n:03d}", pure=False)
                for n, (counts, place) in enumerate(zip(self.counts.all, places, strict=True))
            ]
        )

    def _item_gradient(self, rows: Future[Any], b: int, parts: list[Any], number: int) -> Any:
        """Add the parts in groups of four, then the sums in groups of four, and so on; the penalty is last."""
        key = f"{self.name}-{number:05d}-{b:03d}"
        for level in itertools.count():
            if len(parts) <= _FAN_IN:
                break
            groups = [parts[start : start + _FAN_IN] for start in range(0, len(parts), _FAN_IN)]
            parts = [
                delayed(batch.total, pure=False)(*group, dask_key_name=f"add-slopes-{key}-{level}-{n:03d}")
                for n, group in enumerate(groups)
            ]
        return delayed(batch.with_penalty, pure=False)(
            rows, self.counts.items[b], self.steps.l2, self.biases, *parts, dask_key_name=f"item-gradient-{key}"
        )

    def _penalties(self, point: ShardedRows, number: int) -> list[Any]:
        return [
            delayed(batch.penalty, pure=False)(rows, counts, dask_key_name=f"penalty-{self.name}-{number:05d}-{n:03d}")
            for n, (rows, counts) in enumerate(zip(point.all, self.counts.all, strict=True))
        ]

    def _key(self, doing: str) -> str:
        return f"{doing}-{self.name}-{next(self._numbers):05d}"


def _split(shards: list[Future[Any]]) -> ShardedRows:
    return ShardedRows(shards[: len(shards) // 2], shards[len(shards) // 2 :])
