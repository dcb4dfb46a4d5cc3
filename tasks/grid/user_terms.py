"""Sums over the ratings of the users of a row of tiles, which stay in the cache over all passes of a solve.

Covers: putting the ratings of these users in order, and the sums of a pass, with noise on the targets or without.
Does not cover: the compiled loops (tasks/kernels/row_order.py, tasks/kernels/row_terms.py), the items' ratings
(item_order.py), the solves (tasks/training/als.py, tasks/training/posterior/draws.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from funkflow.tasks.grid.block import RatingBlock
from funkflow.tasks.grid.ordered_ratings import Ordered, Records, as_records, cuts, rows_in_cache, tile_ratings
from funkflow.tasks.grid.row_objective import Objective, Seen
from funkflow.tasks.grid.solved_rows import Matrix, Rows
from funkflow.tasks.kernels.buffers import aligned_zeros
from funkflow.tasks.kernels.row_order import order_by_user
from funkflow.tasks.kernels.row_terms import TERMS
from funkflow.tasks.kernels.tiles import TILE_ITEMS, TILE_USERS


class UserTerms:
    """Sums over the ratings of the users of a row of tiles, put in the users' order once for all passes.

    Items come in slabs of tiles that the L2 cache holds. The memory serves one row of tiles after another.
    """

    def __init__(self, blocks: Sequence[RatingBlock], items: Sequence[Rows], objective: Objective) -> None:
        self.blocks, self.items, self.objective = blocks, items, objective
        self.number = items[0].dtype.str[1:]
        self.slabs: list[tuple[Ordered, Records]] = []
        self.noisy: list[tuple[Ordered, Records]] = []
        self.room, self.total = Ordered.of(0, self.number), np.empty((0, 0))

    def take(self, first: int, users: int) -> None:
        """Put the ratings of the users of a row of tiles, from its first one on, in order."""
        self.slabs, used = [], 0
        tiles_of = [
            np.flatnonzero(block.run_users[block.tiles[:, 1]] // TILE_USERS == first // TILE_USERS)
            for block in self.blocks
        ]
        ratings = sum(
            int(np.sum(tile_ratings(block)[tiles])) for block, tiles in zip(self.blocks, tiles_of, strict=True)
        )
        places = ratings + TERMS * sum(len(tiles) for tiles in tiles_of)
        if places > len(self.room.partners):
            self.room = Ordered.of(places, self.number)
        for block, shard, tiles in zip(self.blocks, self.items, tiles_of, strict=True):
            levels = self.objective.targets(block.levels, self.number)
            firsts = block.tiles[tiles, 0]
            tiles = tiles[np.argsort(firsts)]
            firsts = block.tiles[tiles, 0]
            for begin, end in cuts(firsts // rows_in_cache(shard.shape[1], self.number, TILE_ITEMS)):
                ordered = self.room.part(used, users)
                order_by_user(self.number, block.coding)(
                    tiles[begin:end], first, *block.places, block.codes, levels, *ordered
                )
                self.slabs.append((ordered, as_records(shard)[firsts[begin] :]))
                used += int(ordered.starts[-1]) + TERMS

    def add_noise(self, generator: np.random.Generator, deviations: Matrix) -> None:
        """Make a copy of the targets with noise, for `sums`; deviations : float64 (users,)."""
        self.noisy = []
        for ordered, items in self.slabs:
            targets = np.zeros(int(ordered.starts[-1]) + TERMS, self.number)
            targets[:-TERMS] = generator.standard_normal(ordered.starts[-1], dtype=targets.dtype.type)
            targets[:-TERMS] *= np.repeat(deviations.astype(self.number), np.diff(ordered.starts))
            targets[:-TERMS] += ordered.used_targets
            self.noisy.append((ordered._replace(targets=targets), items))

    def sums(self, rows: Rows, no_targets: bool = False, noisy: bool = False) -> tuple[Matrix, Seen]:
        """Return the sum of (t - w s) v for each user, and what was seen.

        no_targets : with t = 0; noisy : with the targets of `add_noise`.
        """
        if self.total.shape != rows.shape:
            self.total = aligned_zeros(rows.shape)
        self.total[:] = 0
        return self.total, self._add(rows, self.total, self.noisy if noisy else self.slabs, no_targets)

    def squared_errors(self, rows: Rows) -> Matrix:
        """Return the sum of squared errors of each user's predictions, float64 (users,)."""
        mine, found = as_records(rows), np.zeros(len(rows))
        for ordered, items in self.slabs:
            found += ordered.squared_errors(mine, items)
        return found

    def _add(self, rows: Rows, total: Matrix, slabs: list[tuple[Ordered, Records]], no_targets: bool = False) -> Seen:
        met = squared = 0.0
        mine = as_records(rows)
        for ordered, items in slabs:
            added = ordered.add(
                mine, items, total, weight=self.objective.weight, no_targets=no_targets, sure=self.objective.counts
            )
            met, squared = met + added[0], squared + added[1]
        return Seen(met, squared)
