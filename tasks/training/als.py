"""The tasks of alternating row solves on one block or one shard, by conjugate gradients.

Covers: the users of a row of blocks solved where they are, the items' part of a block, the step of an item shard.
Does not cover: the objective (tasks/grid/row_objective.py), the loops (tasks/kernels/row_order.py,
tasks/kernels/row_terms.py, tasks/kernels/row_steps.py), the form of rows (tasks/grid/solved_rows.py), the graph of an
epoch (pipeline/training/methods/als_graph.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from funkflow.tasks.grid.block import BlockRow, RatingBlock, StoredRow
from funkflow.tasks.grid.factor_shard import refuse_other_shards
from funkflow.tasks.grid.item_order import ItemOrder
from funkflow.tasks.grid.ordered_ratings import as_records, rows_in_cache
from funkflow.tasks.grid.row_basis import RowBasis
from funkflow.tasks.grid.row_objective import Objective, Seen
from funkflow.tasks.grid.row_search import RowProblems, RowSearch
from funkflow.tasks.grid.solved_rows import Matrix, Rows, as_shard
from funkflow.tasks.grid.user_terms import UserTerms
from funkflow.tasks.kernels.buffers import Weighed, aligned, aligned_copy, aligned_zeros
from funkflow.tasks.kernels.row_steps import gram, weighed_sum
from funkflow.tasks.kernels.tiles import GROUP_USERS, TILE_USERS
from funkflow.tasks.noise import Noise
from funkflow.tasks.training.batch import RowCounts, count_ratings
from funkflow.tasks.training.score import Errors, HeldOut, score
from funkflow.tasks.transform import confidences

OrderedRow = tuple[ItemOrder, ...] | BlockRow
"""The ratings of a row of blocks in the order of the items, or as they are."""


@dataclass(frozen=True)
class Solved(Weighed):
    """The solved rows of a user shard, their `weighed_users`, and what the first pass saw."""

    rows: Rows
    seen: Seen
    weighed: Matrix | None = None


@dataclass(frozen=True)
class ItemPart(Weighed):
    """A block's part of its items' sums, float64 (items, w), and what the pass saw."""

    sums: Matrix
    seen: Seen


@dataclass(frozen=True)
class ItemSearch(Weighed):
    """An item shard between its steps, and what the first pass saw."""

    search: RowSearch
    seen: Seen


def count_confidences(row: BlockRow, objective: Objective) -> RowCounts:
    """Return the sum of confidences of each user of a row of blocks, and for each block those of its items.

    A rating has a confidence of 1.
    """
    if not objective.counts:
        return count_ratings(row)
    of_blocks = [(block, confidences(block.levels)[block.codes]) for block in row]
    users = [_row_sums(block.user_rows, sure, block.shape[0]) for block, sure in of_blocks]
    return np.sum(users, axis=0), tuple(_row_sums(each.item_rows, sure, each.shape[1]) for each, sure in of_blocks)


def solve_users(
    blocks: BlockRow, users: Rows, items: Sequence[Rows], basis: RowBasis, counts: Matrix, objective: Objective,
    steps: int, common: Matrix | None = None,
) -> Solved:  # fmt: skip
    """Solve the rows of a user shard by some steps of conjugate gradients from where they are.

    Users of a row of tiles are solved together: their ratings stay in the cache over all passes, and few vectors are
    alive at once. Rows without ratings become 0, or with a common row the least of J, which begins there.

    Parameters
    ----------
    blocks : the shard's row; items : all item shards. They do not change, nor does `users`.
    basis : that of all items.
    counts : float64 (rows,), ratings of each user.
    common : of `common_of`.

    Raises
    ------
    ShardMismatch
        A block was cut for shards of other sizes.
    """
    blocks = tuple(blocks)
    for block, shard in zip(blocks, items, strict=True):
        refuse_other_shards(block.shape, len(users), len(shard))
    problems = RowProblems.of("users", counts, basis, objective, common)
    rows = _begun(users, counts, problems)
    terms, seen = UserTerms(blocks, [aligned(shard) for shard in items], objective), Seen()
    for first in range(0, len(rows), TILE_USERS):
        part = slice(first, min(first + TILE_USERS, len(rows)))
        terms.take(first, part.stop - first)
        search, met = RowSearch.begin(rows[part], problems.part(part), *terms.sums(rows[part]))
        seen += met
        for step in range(steps):
            search.step(terms.sums(search.directions, no_targets=True)[0], last=step + 1 == steps)
    return Solved(rows, replace(seen, penalty=problems.penalty(rows)), weighed_users(rows, counts, objective))


def order_items(blocks: BlockRow, width: int, number: str) -> OrderedRow:
    """Return the ratings of a row of blocks in the order of the items; a row that is read at each access as it is.

    width, number : of rows.
    """
    if isinstance(blocks, StoredRow):
        return blocks
    return tuple(ItemOrder.of(block, rows_in_cache(width, number, GROUP_USERS)) for block in blocks)


def item_part(
    ratings: OrderedRow, column: int, users: Rows, items: Rows, objective: Objective, no_targets: bool,
    noise: Noise | None = None,
) -> ItemPart:  # fmt: skip
    """Return a block's part of the sums of its items: sum of (t - w s) u, with s = <u, x>.

    Parameters
    ----------
    ratings : of `order_items`; blocks are put in order here.
    items : the shard's rows x, or with `no_targets`, which stands for t = 0, directions.
    """
    order, number = ratings[column], items.dtype.str[1:]
    if isinstance(order, RatingBlock):
        order = ItemOrder.of(order, rows_in_cache(items.shape[1], number, GROUP_USERS))
    refuse_other_shards(order.shape, len(users), len(items))
    levels = None if no_targets and not objective.counts else objective.targets(order.levels, number)
    users, items = aligned(users), aligned(items)
    sums, met, squared = aligned_zeros(items.shape), 0.0, 0.0
    mine, others, room = as_records(items), as_records(users), order.room(number)
    for slab in order.slabs:
        ordered = slab.ordered(levels, room)
        if noise is not None:
            noise.add_to(ordered.used_targets, slab.first_user + slab.partners[: slab.starts[-1]].astype(np.int64))
        added = ordered.add(
            mine, others[slab.first_user :], sums, weight=objective.weight, no_targets=no_targets,
            sure=objective.counts,
        )  # fmt: skip
        met, squared = met + added[0], squared + added[1]
    return ItemPart(sums, Seen(met, squared))


def begin_items(items: Rows, basis: RowBasis, counts: Matrix, objective: Objective, *parts: ItemPart) -> ItemSearch:
    """Return the start of the solves of an item shard, from the parts of all its blocks, in order.

    basis : that of all users.
    """
    problems = RowProblems.of("items", counts, basis, objective)
    return ItemSearch(*RowSearch.begin(_begun(items, counts, problems), problems, *total(parts)))


def step_items(state: ItemSearch, *parts: ItemPart) -> ItemSearch:
    """Return the search after a step of conjugate gradients in every row."""
    search = state.search.copy()
    search.step(total(parts)[0])
    return replace(state, search=search)


def gram_of(rows: Rows) -> Matrix:
    """Return X^T X, float64 (w, w), of a shard."""
    sums = np.zeros((rows.shape[1], rows.shape[1]))
    gram(rows.dtype.str[1:])(rows, sums)
    return sums


def basis_of(objective: Objective, side: str, *grams: Matrix) -> RowBasis:
    """Return the basis in which "users" or "items" are solved, from X^T X of all shards of the other side."""
    gram = np.sum(grams, axis=0)
    return RowBasis.of(gram, objective.free(len(gram), side))


def weighed_users(rows: Rows, counts: Matrix, objective: Objective) -> Matrix | None:
    """Return the sum of a user shard's rows by their weights, and that of the weights: float64 (w + 1,).

    None where users have no row in common.
    """
    if not objective.toward_mean:
        return None
    weights, sums = objective.row_weights(counts, objective.items), np.zeros(rows.shape[1] + 1)
    weighed_sum(rows.dtype.str[1:])(rows, weights, sums[:-1])
    sums[-1] = np.sum(weights)
    return sums


def common_of(objective: Objective, *weighed: Matrix | None) -> Matrix | None:
    """Return the row that users have in common, float64 (w,), from `weighed_users` of all shards; None without one."""
    sums = [each for each in weighed if each is not None]
    if not sums:
        return None
    whole = np.sum(sums, axis=0)
    return np.asarray(objective.toward_mean * whole[:-1] / whole[-1])


def rows_of_solved(solved: Solved) -> Rows:
    """Return the rows alone, so that they can travel without the rest."""
    return solved.rows


def rows_of_search(state: ItemSearch) -> Rows:
    """Return the rows alone."""
    return state.search.rows


def directions_of(state: ItemSearch) -> Rows:
    """Return the directions alone."""
    return state.search.directions


def seen_of(half: Solved | ItemSearch) -> Seen:
    """Return what was seen alone."""
    return half.seen


def score_rows(held_out: HeldOut, objective: Objective, scale: tuple[float, float], *rows: Rows) -> Errors:
    """Return one user shard's errors on its validation ratings; `rows` : its own, then of all item shards."""
    users, *items = (as_shard(each, "item" if number else "user", objective.biases) for number, each in enumerate(rows))
    return score(held_out, users, items, objective.scaling, scale)


def _row_sums(rows: npt.NDArray[np.int32], values: Matrix, count: int) -> Matrix:
    return np.bincount(rows, values, count).astype(np.float64)


def total(parts: Sequence[ItemPart]) -> tuple[Matrix, Seen]:
    """Return the sums of all parts, in order, and what they saw."""
    sums, seen = parts[0].sums.copy(), parts[0].seen
    for part in parts[1:]:
        sums += part.sums
        seen += part.seen
    return sums, seen


def _begun(rows: Rows, counts: Matrix, problems: RowProblems) -> Rows:
    """Return an aligned copy, with the columns that are solved for at the common row in rows without ratings.

    Where that is 0, it is their solution.
    """
    rows, free = aligned_copy(rows), problems.free > 0
    rows[np.ix_(counts == 0, free)] = problems.common[free]
    return rows
