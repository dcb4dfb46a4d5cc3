"""A sweep of a chain in one task, where a sweep takes less time than its tasks would.

Covers: the steps of a sweep, one after another. Does not cover: the steps (draws.py), when this is used
(pipeline/training/sweeps.py).

It calls the functions that a graph of tasks calls, in the same order, so the bits are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from funkflow.tasks.grid.block import BlockRow
from funkflow.tasks.grid.solved_rows import Matrix
from funkflow.tasks.kernels.buffers import Weighed
from funkflow.tasks.noise import Stream
from funkflow.tasks.training.als import ItemPart, OrderedRow, order_items
from funkflow.tasks.training.posterior import draws
from funkflow.tasks.training.posterior.implicit import with_item_means, with_user_means
from funkflow.tasks.training.posterior.row_features import with_user_effects
from funkflow.tasks.training.posterior.sweep_parts import AllItemSearches, ItemDraw, ItemProblem, Met, Model, UserDraw
from funkflow.tasks.training.posterior.times import with_times, without_times
from funkflow.tasks.training.times.row_days import RowDays


@dataclass(frozen=True)
class AtOnce:
    """Tasks of implicit.py, called at once."""

    rows: Sequence[BlockRow]
    counts: Sequence[Matrix]

    def one(self, _name: str, function: Any, *arguments: Any) -> Any:
        """Return the function's value."""
        return function(*arguments)

    def by_row(self, _name: str, function: Any, lists: Sequence[Sequence[Any]], *common: Any) -> list[Any]:
        """Return the function's value for each row of blocks."""
        return [
            function(blocks, self.counts[a], a, *(each[a] for each in lists), *common)
            for a, blocks in enumerate(self.rows)
        ]


@dataclass(frozen=True)
class WholeDraw(Weighed):
    """All shards after a sweep; `met` : of `draws.met_of`."""

    users: tuple[UserDraw, ...]
    items: ItemDraw
    met: Met


def whole_sweep(
    rows: Sequence[BlockRow], ordered: Sequence[OrderedRow], counts: tuple[Sequence[Matrix], Sequence[Matrix]],
    users: Sequence[UserDraw], items: ItemDraw, model: Model, stream: Stream, days: Sequence[RowDays] = (),
) -> WholeDraw:  # fmt: skip
    """Draw all users, then all items.

    Parameters
    ----------
    rows, ordered : of all blocks, by user shard; counts : float64 (rows,) of each shard of users, and of items.
    users, items : where the chain is. They do not change.
    days : of each user shard, where time has effects; `ordered` is not used then.
    """
    of_users, of_items = counts
    tasks, before = AtOnce(rows, of_users), items
    if days:
        rows = without_times(tasks, days, users, items, model)
        width, number = users[0].rows.shape[1], users[0].rows.dtype.str[1:]
        ordered = [order_items(blocks, width, number) for blocks in rows]
        tasks = AtOnce(rows, of_users)
    problem = draws.begin_sweep(items, model, stream, *(each.seen for each in users))
    if model.user_features:
        problem = with_user_effects(tasks, problem, users, model, stream)
    if model.users_have_means:
        problem = with_user_means(tasks, problem, users, of_items, model, stream)
    drawn = tuple(
        draws.draw_users(blocks, users[a], problem, of_users[a], model, stream, a) for a, blocks in enumerate(rows)
    )
    begun = draws.begin_items(problem, of_items, model, stream, *(each.seen for each in drawn))
    if model.items_have_means:
        begun, with_factors = with_item_means(tasks, begun, drawn, of_items, model, stream)
        drawn = tuple(with_factors)

    def parts(given: ItemProblem | AllItemSearches) -> list[tuple[ItemPart, ...]]:
        return [draws.item_parts(ratings, drawn[a], given, model, stream, a) for a, ratings in enumerate(ordered)]

    searches = draws.begin_search(begun, of_items, model, stream, *parts(begun))
    for _ in range(model.steps - 1):
        searches = draws.step_items(searches, *parts(searches))
    items = draws.end_items(searches, of_items, *parts(searches))
    if days:
        timed, items = with_times(tasks, rows, days, drawn, before, items, model, stream)
        drawn = tuple(timed)
    return WholeDraw(drawn, items, draws.met_of(begun))


def user_shard_of(draw: WholeDraw, number: int) -> UserDraw:
    """Return one user shard."""
    return draw.users[number]


def items_of(draw: WholeDraw) -> ItemDraw:
    """Return all items."""
    return draw.items


def met_of(draw: WholeDraw) -> Met:
    """Return what `draws.met_of` returned."""
    return draw.met
