"""The task graph of second factors in stochastic descent: a step at the end of an epoch, and their beginning.

Covers: means of zeros before the first epoch, the tasks of a step over shares, and what means explain.
Does not cover: the work of a task (tasks/training/implicit/second_factors.py), the epoch before
(pipeline/training/methods/sgd_graph.py), which epochs take steps (tasks/training/implicit/schedule.py).

With S shares, a step has 4 S + 2 tasks that do something. Users stay where their blocks are; one array of rows of all
items travels from each share to one task, and from there back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dask.delayed import delayed

from funkflow.pipeline.training.on_worker import on_threads
from funkflow.pipeline.training.placed_grid import PlacedGrid
from funkflow.tasks.grid.factor_shard import shard_rows
from funkflow.tasks.training import sgd_epochs, sgd_share
from funkflow.tasks.training.implicit import first_means, second_factors

Shares = list[Any]


@dataclass(frozen=True)
class MeansGraph:
    """Adds tasks to an epoch's graph; `name` : part of their keys."""

    data: PlacedGrid
    name: str

    def begun(self, users: Shares, items: Shares) -> tuple[Shares, Shares]:
        """Return the shares of both sides with means of zeros."""
        counted = self._by_share(first_means.count_items, "count-items")
        begun = self._by_share(sgd_share.begin_user_means, "begin-user-means", users)
        return begun, [
            self._task(sgd_share.begin_item_means, "begin-item-means", share, counted, each, mine.start)
            for share, (each, mine) in enumerate(zip(items, self.data.of_shares, strict=True))
        ]

    def stepped(
        self, users: Shares, items: Shares, side: str | None, ridge: float, follow: bool
    ) -> tuple[Shares, Shares]:
        """Return the shares after a step for the rows of a side, or as they are; follow : whether rows do."""
        if side is None:
            return users, items
        if self.data.shares == 1:
            whole = self._by_share(sgd_epochs.step_whole, "step-means", users, side, ridge, follow, threads=True)
            return whole, whole
        shards = [self._task(sgd_share.users_of, "users-of", share, each) for share, each in enumerate(users)]
        step = self._user_step if side == "users" else self._item_step
        shards, items = step(shards, items, ridge, follow)
        return [
            self._task(sgd_share.with_users, "with-users", share, *both)
            for share, both in enumerate(zip(users, shards, strict=True))
        ], items

    def explained(self, users: Shares, items: Shares) -> Any:
        """Return the task of what means explain."""
        squares = [
            [self._task(function, function.__name__.replace("_", "-"), share, each) for share, each in enumerate(side)]
            for function, side in ((sgd_epochs.user_squares, users), (sgd_epochs.item_squares, items))
        ]
        return self._task(sgd_epochs.explained, "explained", 0, *squares)

    def _user_step(self, users: Shares, items: Shares, ridge: float, follow: bool) -> tuple[Shares, Shares]:
        parts = self._by_share(second_factors.residuals_of_users, "user-residuals", users, threads=True)
        direction = self._task(second_factors.direct_items, "direct-items", 0, parts, items, ridge)
        images = self._by_share(second_factors.images_of_users, "user-images", [direction] * len(users), threads=True)
        curvatures = [self._task(getattr, "curvature", share, each, "curvature") for share, each in enumerate(images)]
        move = self._task(second_factors.settle_users, "settle-users", 0, direction, curvatures)
        return (
            [
                self._task(second_factors.move_users, "move-users", share, *both, move, follow)
                for share, both in enumerate(zip(users, images, strict=True))
            ],
            [
                self._task(
                    second_factors.move_second_of_items, "move-item-factors", share, each, direction, move, first
                )
                for share, (each, first) in enumerate(zip(items, self._first_items, strict=True))
            ],
        )

    def _item_step(self, users: Shares, items: Shares, ridge: float, follow: bool) -> tuple[Shares, Shares]:
        given = self._task(second_factors.residuals_of_items, "item-residuals", 0, items)
        found = self._by_share(second_factors.direct_users, "direct-users", users, given, ridge, threads=True)
        parts = [self._task(second_factors.part_of, "item-images", share, each) for share, each in enumerate(found)]
        move = self._task(second_factors.settle_items, "settle-items", 0, given, parts)
        return (
            [
                self._task(second_factors.move_second_of_users, "move-user-factors", share, *both, move)
                for share, both in enumerate(zip(users, found, strict=True))
            ],
            [
                self._task(second_factors.move_items, "move-items", share, each, move, first, follow)
                for share, (each, first) in enumerate(zip(items, self._first_items, strict=True))
            ],
        )

    @property
    def _first_items(self) -> list[int]:
        """The place of each share's first item among all items, shard after shard."""
        grid = self.data.source.grid
        return [
            sum(shard_rows(grid.items, grid.shards, shard) for shard in range(mine.start))
            for mine in self.data.of_shares
        ]

    def _by_share(
        self, function: Callable[..., Any], doing: str, given: Shares | None = None, *others: Any, threads: bool = False
    ) -> Shares:
        """Return a task for each share that takes its rows of blocks, what is given of it, and others."""
        tasks = []
        for share, mine in enumerate(self.data.of_shares):
            arguments = (self.data.rows[mine], *([] if given is None else [given[share]]), *others)
            if threads:
                tasks.append(self._task(on_threads, doing, share, function, self.data.shares_a_worker, *arguments))
            else:
                tasks.append(self._task(function, doing, share, *arguments))
        return tasks

    def _task(self, function: Callable[..., Any], doing: str, share: int, *arguments: Any) -> Any:
        with self.data.placed(share):
            return delayed(function, pure=False)(*arguments, dask_key_name=f"{doing}-{self.name}-{share:03d}")
