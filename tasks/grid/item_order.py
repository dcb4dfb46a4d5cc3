"""The ratings of a block in the order of its items, for all passes of a training over them.

Covers: putting them in order, slab by slab of users, and the targets of a slab.
Does not cover: the compiled loops (tasks/kernels/row_order.py), sums over ratings in order (ordered_ratings.py).

A slab has as many users as the L2 cache holds rows of, so that a pass reads them from memory once. The order takes as
many bytes as the block: 3 a rating where there are at most 256 levels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from funkflow.tasks.grid.block import RatingBlock
from funkflow.tasks.grid.ordered_ratings import Ordered, cuts
from funkflow.tasks.grid.solved_rows import Rows
from funkflow.tasks.kernels.buffers import Weighed
from funkflow.tasks.kernels.row_order import order_by_item
from funkflow.tasks.kernels.row_terms import TERMS
from funkflow.tasks.kernels.tiles import TILE_ITEMS, TILE_USERS


@dataclass(frozen=True)
class Slab(Weighed):
    """The ratings of some users, in the order of the items.

    first_user : partners are users, counted from this one; starts : int32 (items + 1,), first place of each item's
    ratings; partners : uint16 (places,); codes : of the block's ratings, (places,).
    """

    first_user: int
    starts: npt.NDArray[np.int32]
    partners: npt.NDArray[np.uint16]
    codes: npt.NDArray[Any]

    def ordered(self, levels: Rows | None, room: Rows) -> Ordered:
        """Return the ratings with their targets, from `Objective.targets`; None: without targets.

        room : for the targets, at least as many as there are places.
        """
        if levels is None:
            return Ordered(self.starts, self.partners, None)
        targets = room[: len(self.codes)]
        if self.codes.dtype.kind == "f":
            np.subtract(self.codes, levels[0], out=targets)
            targets *= levels[1]
        else:
            np.take(levels, self.codes, out=targets, mode="clip")  # other modes copy `out`
        return Ordered(self.starts, self.partners, targets)


@dataclass(frozen=True)
class ItemOrder(Weighed):
    """A block's ratings in the order of its items; `levels`, `shape` : the block's."""

    slabs: tuple[Slab, ...]
    levels: npt.NDArray[np.float32]
    shape: tuple[int, int]

    def room(self, number: str) -> Rows:
        """Return room for the targets of one slab."""
        return np.empty(max((len(each.codes) for each in self.slabs), default=0), number)

    @classmethod
    def of(cls, block: RatingBlock, slab_users: int) -> ItemOrder:
        """Put the ratings of a block in order; `slab_users` : of a slab, a multiple of GROUP_USERS."""
        tiles: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
        for first_item, first_run, end_run in block.tiles.tolist():
            numbers = block.run_users[first_run:end_run] // slab_users
            row = int(block.run_users[first_run]) // TILE_USERS
            for begin, end in cuts(numbers):
                stretch = first_item, first_run + begin, first_run + end
                tiles.setdefault((row, int(numbers[begin])), []).append(stretch)
        slabs = (
            _slab(block, max(row * TILE_USERS, number * slab_users), sorted(tiles[row, number]))
            for row, number in sorted(tiles)
        )
        return cls(tuple(slabs), block.levels, block.shape)


def _slab(block: RatingBlock, first_user: int, stretches: list[tuple[int, int, int]]) -> Slab:
    """Put the ratings of stretches of runs in order: each the part of a tile, with its first item, in their order."""
    ends = block.run_starts
    places = int(sum(ends[end] - ends[begin] for _, begin, end in stretches)) + TERMS
    starts, partners = np.zeros(block.shape[1] + 1, np.int32), np.zeros(places, np.uint16)
    codes = np.zeros(places, block.codes.dtype)
    order, place, done = order_by_item(block.coding), 0, 0
    for first_item, begin, end in stretches:
        starts[done:first_item] = place
        done = min(first_item + TILE_ITEMS, block.shape[1])
        place = order(
            begin, end, first_user, place, *block.places[1:], block.codes, starts[first_item:done], partners, codes
        )
    starts[done:] = place
    return Slab(first_user, starts, partners, codes)
