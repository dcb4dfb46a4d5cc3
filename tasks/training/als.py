"""The tasks of alternating row solves on one block or one shard, by conjugate gradients.

Covers: the users of a row of blocks solved where they are, the items' part of a block, the step of an item shard.
Does not cover: the objective (tasks/grid/row_objective.py), the loops over ratings (tasks/kernels/als.py), the form of
rows (tasks/grid/solved_rows.py), the graph of an epoch (pipeline/training/methods/als_graph.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from funkflow.tasks.grid.block import BlockRow, RatingBlock
from funkflow.tasks.grid.factor_shard import refuse_other_shards
from funkflow.tasks.grid.row_objective import NOTHING_SEEN, Objective, Seen, confidences
from funkflow.tasks.grid.solved_rows import Matrix, Rows, as_shard
from funkflow.tasks.kernels import als
from funkflow.tasks.kernels.buffers import Weighed
from funkflow.tasks.kernels.tiles import TILE_ITEMS, TILE_USERS
from funkflow.tasks.kernels.vector import row_dtype
from funkflow.tasks.training.batch import RowCounts, count_ratings
from funkflow.tasks.training.score import Errors, HeldOut, score


@dataclass(frozen=True)
class Solved(Weighed):
    """The solved rows of a user shard, and what the first pass saw."""

    rows: Rows
    seen: Seen


@dataclass(frozen=True)
class ItemPart(Weighed):
    """A block's part of its items' sums, float64 (items, w), and what the pass saw."""

    sums: Matrix
    seen: Seen


@dataclass(frozen=True)
class ItemSearch(Weighed):
    """An item shard between its steps: rows x, float64 residuals b - A x, directions p, squared residuals (rows,)."""

    rows: Rows
    residuals: Matrix
    directions: Rows
    squares: Matrix
    seen: Seen = NOTHING_SEEN


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
    blocks: BlockRow, users: Rows, items: Sequence[Rows], gram: Rows, counts: Matrix, objective: Objective, steps: int
) -> Solved:
    """Solve the rows of a user shard by some steps of conjugate gradients from where they are.

    Users of a row of tiles are solved together: their ratings stay in the cache over all passes, and few vectors are
    alive at once. Rows without ratings become 0.

    Parameters
    ----------
    blocks : the shard's row; items : all item shards. They do not change, nor does `users`.
    gram : alpha V^T V, in the rows' type, or (0, w).
    counts : float64 (rows,), ratings of each user.

    Raises
    ------
    ShardMismatch
        A block was cut for shards of other sizes.
    """
    blocks = tuple(blocks)
    for block, shard in zip(blocks, items, strict=True):
        refuse_other_shards(block.shape, len(users), len(shard))
    rows = _where_rated(users, counts, objective.free(users.shape[1], "users"))
    shifts, free = objective.shifts(counts, objective.items), objective.free(users.shape[1], "users")
    begin, step = als.row_steps(rows.dtype.str[1:])
    seen = Seen()
    for first in range(0, len(rows), TILE_USERS):
        chunk = slice(first, min(first + TILE_USERS, len(rows)))
        terms = _UserTerms(blocks, items, objective, first)
        mine, residuals = rows[chunk], np.empty((chunk.stop - first, rows.shape[1]))
        directions, squares = np.empty_like(mine), np.empty(len(mine))
        rest = (gram, shifts[chunk], free, residuals, directions, squares)
        sums, met = terms.sums(mine)
        everywhere = begin(sums, mine, *rest)
        seen += replace(met, everywhere=everywhere, slope=float(np.sum(squares)))
        for _ in range(steps):
            step(terms.sums(directions, no_targets=True)[0], mine, *rest)
    return Solved(rows, replace(seen, penalty=_penalty(rows, shifts, free)))


class _UserTerms:
    """Sums over the ratings of the users of one row of tiles."""

    def __init__(self, blocks: Sequence[RatingBlock], items: Sequence[Rows], objective: Objective, first: int) -> None:
        self.items, self.objective, self.first, self.blocks = items, objective, first, blocks
        self.tiles = [
            np.flatnonzero(block.run_users[block.tiles[:, 1]] // TILE_USERS == first // TILE_USERS) for block in blocks
        ]

    def sums(self, rows: Rows, no_targets: bool = False) -> tuple[Matrix, Seen]:
        """Return the sum of (t - w s) v for each user, and what was seen; `no_targets` : with t = 0."""
        width, number = rows.shape[1], rows.dtype.str[1:]
        total, of_block, seen = np.zeros(rows.shape), np.empty_like(rows), Seen()
        for block, shard, tiles in zip(self.blocks, self.items, self.tiles, strict=True):
            if not len(tiles):
                continue
            of_block[:] = 0
            targets, weights = self.objective.of_codes(block, number)
            met = als.add_user_terms(width, number, block.coding)(
                tiles, self.first, *block.places, block.codes, np.zeros_like(targets) if no_targets else targets,
                weights, _as_records(rows), _as_records(shard), _as_records(of_block),
            )  # fmt: skip
            total += of_block
            seen += Seen(*met)
        return total, seen


def item_part(
    blocks: BlockRow, column: int, users: Rows, items: Rows, objective: Objective, no_targets: bool
) -> ItemPart:
    """Return a block's part of the sums of its items: sum of (t - w s) u, with s = <u, x>.

    Sums of a tile are in the rows' type, those over tiles in float64.

    Parameters
    ----------
    items : the shard's rows x, or with `no_targets`, which stands for t = 0, directions.
    """
    block = blocks[column]
    refuse_other_shards(block.shape, len(users), len(items))
    width, number = items.shape[1], items.dtype.str[1:]
    targets, weights = objective.of_codes(block, number)
    add = als.add_item_terms(width, number, block.coding)
    sums, of_tile, seen = np.zeros(items.shape), np.empty((TILE_ITEMS, width), number), Seen()
    for tile, (first, _, _) in enumerate(block.tiles.tolist()):
        mine = items[first : first + TILE_ITEMS]
        of_tile[:] = 0
        met = add(
            tile, *block.places, block.codes, np.zeros_like(targets) if no_targets else targets, weights,
            _as_records(users), _as_records(mine), _as_records(of_tile),
        )  # fmt: skip
        sums[first : first + TILE_ITEMS] += of_tile[: len(mine)]
        seen += Seen(*met)
    return ItemPart(sums, seen)


def begin_items(items: Rows, gram: Rows, counts: Matrix, objective: Objective, *parts: ItemPart) -> ItemSearch:
    """Return the start of the solves of an item shard, from the parts of all its blocks, in order."""
    free = objective.free(items.shape[1], "items")
    rows = _where_rated(items, counts, free)
    search = ItemSearch(rows, np.empty(rows.shape), np.empty_like(rows), np.empty(len(rows)))
    (sums, seen), shifts = _total(parts), objective.shifts(counts, objective.users)
    begin, _ = als.row_steps(rows.dtype.str[1:])
    everywhere = begin(sums, rows, gram, shifts, free, *_state(search))
    slope, penalty = float(np.sum(search.squares)), _penalty(rows, shifts, free)
    return replace(search, seen=replace(seen, everywhere=everywhere, slope=slope, penalty=penalty))


def step_items(search: ItemSearch, gram: Rows, counts: Matrix, objective: Objective, *parts: ItemPart) -> ItemSearch:
    """Return the search after a step of conjugate gradients in every row."""
    after = replace(search, **{name: getattr(search, name).copy() for name in ("rows", *_STATE)})
    _, step = als.row_steps(after.rows.dtype.str[1:])
    free, shifts = objective.free(after.rows.shape[1], "items"), objective.shifts(counts, objective.users)
    step(_total(parts)[0], after.rows, gram, shifts, free, *_state(after))
    return after


def gram_of(rows: Rows) -> Matrix:
    """Return X^T X, float64 (w, w), of a shard."""
    sums = np.zeros((rows.shape[1], rows.shape[1]))
    als.gram(rows.dtype.str[1:])(rows, sums)
    return sums


def weighed_gram(alpha: float, number: str, *grams: Matrix) -> Rows:
    """Return alpha times the sum of all shards' X^T X, in the rows' type."""
    return np.asarray(alpha * np.sum(grams, axis=0), number)


def rows_of_solved(solved: Solved) -> Rows:
    """Return the rows alone, so that they can travel without the rest."""
    return solved.rows


def rows_of_search(search: ItemSearch) -> Rows:
    """Return the rows alone."""
    return search.rows


def directions_of(search: ItemSearch) -> Rows:
    """Return the directions alone."""
    return search.directions


def seen_of(half: Solved | ItemSearch) -> Seen:
    """Return what was seen alone."""
    return half.seen


def no_gram(number: str, width: int) -> Rows:
    """Return alpha X^T X for an alpha of 0: a matrix without rows, which kernels skip."""
    return np.zeros((0, width), number)


def score_rows(held_out: HeldOut, objective: Objective, scale: tuple[float, float], *rows: Rows) -> Errors:
    """Return one user shard's errors on its validation ratings; `rows` : its own, then of all item shards."""
    users, *items = (as_shard(each, "item" if number else "user", objective.biases) for number, each in enumerate(rows))
    return score(held_out, users, items, objective.scaling, scale)


_STATE = ("residuals", "directions", "squares")


def _row_sums(rows: npt.NDArray[np.int32], values: Matrix, count: int) -> Matrix:
    return np.bincount(rows, values, count).astype(np.float64)


def _state(search: ItemSearch) -> tuple[Rows, ...]:
    return search.residuals, search.directions, search.squares


def _penalty(rows: Rows, shifts: Matrix, free: Matrix) -> float:
    return float(np.sum(shifts * np.sum(free * rows.astype(np.float64) ** 2, axis=1)))


def _total(parts: Sequence[ItemPart]) -> tuple[Matrix, Seen]:
    sums, seen = parts[0].sums.copy(), parts[0].seen
    for part in parts[1:]:
        sums += part.sums
        seen += part.seen
    return sums, seen


def _where_rated(rows: Rows, counts: Matrix, free: Matrix) -> Rows:
    """Return a copy, with the columns that are solved for at 0 in rows without ratings: their solution."""
    rows = rows.copy()
    rows[np.ix_(counts == 0, free > 0)] = 0
    return rows


def _as_records(rows: Rows) -> npt.NDArray[np.void]:
    return rows.view(row_dtype(rows.shape[1], rows.dtype))[:, 0]
