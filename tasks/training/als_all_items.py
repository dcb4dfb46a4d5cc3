"""The tasks of alternating row solves where the items are few: a row of blocks, or all item shards, in one task.

Covers: a row's parts for all item shards, their steps in one task, users and scores against items that travel as one.
Does not cover: what is done to a block and a shard (als.py), when items are few (tasks/grid/layout.py), the graph
(pipeline/training/methods/als_all_items_graph.py).

The same sums are added in the same order as by the tasks of single shards, so the bits are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from funkflow.tasks.grid.block import BlockRow
from funkflow.tasks.grid.row_basis import RowBasis
from funkflow.tasks.grid.row_objective import NOTHING_SEEN, Objective, Seen
from funkflow.tasks.grid.solved_rows import Matrix, Rows
from funkflow.tasks.kernels.buffers import Weighed
from funkflow.tasks.training import als
from funkflow.tasks.training.als import ItemPart, ItemSearch, OrderedRow, Solved
from funkflow.tasks.training.score import Errors, HeldOut

Halves = tuple[tuple[Seen, ...], tuple[Seen, ...]]
"""What the users' and the items' half of an epoch saw, by shard."""


@dataclass(frozen=True)
class AllItems(Weighed):
    """All item shards between two epochs, the basis in which users are solved, and the row they have in common."""

    shards: tuple[Rows, ...]
    basis: RowBasis
    common: Matrix | None = None


@dataclass(frozen=True)
class RowParts(Weighed):
    """A row of blocks' part of the sums of every item shard.

    In the first pass also its users' U^T U, their `als.weighed_users`, and what they saw.
    """

    of_items: tuple[ItemPart, ...]
    gram: Matrix | None = None
    weighed: Matrix | None = None
    seen: Seen = NOTHING_SEEN


@dataclass(frozen=True)
class AllSearches(Weighed):
    """All item shards between their steps, what the users have in common, and what the epoch saw."""

    shards: tuple[ItemSearch, ...]
    common: Matrix | None
    seen: Halves


def items_of(objective: Objective, common: Matrix | None, *shards: Rows) -> AllItems:
    """Return all item shards as one."""
    return AllItems(shards, als.basis_of(objective, "users", *(als.gram_of(each) for each in shards)), common)


def users_of(users: Solved | Rows) -> Rows:
    """Return the rows alone."""
    return users.rows if isinstance(users, Solved) else users


def shard_of(items: AllItems, number: int) -> Rows:
    """Return one item shard."""
    return items.shards[number]


def seen_of(searches: AllSearches) -> Halves:
    """Return what was seen alone."""
    return searches.seen


def solve_users(
    blocks: BlockRow, users: Solved | Rows, items: AllItems, counts: Matrix, objective: Objective, steps: int
) -> Solved:
    """Do what `als.solve_users` does."""
    return als.solve_users(blocks, users_of(users), items.shards, items.basis, counts, objective, steps, items.common)


def row_parts(ratings: OrderedRow, users: Solved, items: AllItems | AllSearches, objective: Objective) -> RowParts:
    """Return a row's parts for all item shards: in the first pass at their rows, then at their directions."""
    if isinstance(items, AllItems):
        parts = _parts(ratings, users, items.shards, objective, no_targets=False)
        return RowParts(parts, als.gram_of(users.rows), users.weighed, users.seen)
    return RowParts(
        _parts(ratings, users, [als.directions_of(each) for each in items.shards], objective, no_targets=True)
    )


def begin_items(items: AllItems, counts: Sequence[Matrix], objective: Objective, *rows: RowParts) -> AllSearches:
    """Return the start of the solves of all item shards, from the parts of all rows, in order.

    counts : float64 (rows,) of each shard.
    """
    basis = als.basis_of(objective, "items", *(row.gram for row in rows if row.gram is not None))
    begun = tuple(
        als.begin_items(shard, basis, counts[b], objective, *(row.of_items[b] for row in rows))
        for b, shard in enumerate(items.shards)
    )
    common = als.common_of(objective, *(row.weighed for row in rows))
    return AllSearches(begun, common, (tuple(row.seen for row in rows), tuple(each.seen for each in begun)))


def step_items(searches: AllSearches, *rows: RowParts) -> AllSearches:
    """Return the searches after a step in every row of all shards."""
    after = tuple(als.step_items(shard, *(row.of_items[b] for row in rows)) for b, shard in enumerate(searches.shards))
    return replace(searches, shards=after)


def end_items(searches: AllSearches, objective: Objective, *rows: RowParts) -> AllItems:
    """Return all items after the last step."""
    after = step_items(searches, *rows).shards
    return items_of(objective, searches.common, *(als.rows_of_search(each) for each in after))


def score_rows(
    held_out: HeldOut, objective: Objective, scale: tuple[float, float], users: Solved, items: AllItems
) -> Errors:
    """Return one user shard's errors on its validation ratings."""
    return als.score_rows(held_out, objective, scale, users.rows, *items.shards)


def _parts(
    ratings: OrderedRow, users: Solved, shards: Sequence[Rows], objective: Objective, no_targets: bool
) -> tuple[ItemPart, ...]:
    return tuple(
        als.item_part(ratings, b, users.rows, shard, objective, no_targets=no_targets) for b, shard in enumerate(shards)
    )
