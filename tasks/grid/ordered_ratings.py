"""Ratings of a block in the order of the rows to solve.

Covers: room for them, their terms, and how much of the other side is visited at once.
Does not cover: the compiled loops (tasks/kernels/row_order.py), which rows are solved when (tasks/training/als.py).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from funkflow.tasks.grid.block import RatingBlock
from funkflow.tasks.grid.solved_rows import Matrix, Rows
from funkflow.tasks.kernels.row_terms import add_rows, see_rows
from funkflow.tasks.kernels.vector import row_dtype

Records = npt.NDArray[np.void]
CACHED_BYTES = 1 << 20
"""Rows of the other side that are visited at once: half of an L2 cache of 2 MiB."""
MOST_PARTNERS = 1 << 16
"""Their rows are numbered by uint16."""


class Ordered(NamedTuple):
    """Ratings in the order of the rows to solve.

    starts : int32 (rows + 1,), first place of each row's ratings; partners : uint16 (places,), their rows on the other
    side, counted from a first one; targets : (places,), of the rows' numbers, or None.
    """

    starts: npt.NDArray[np.int32]
    partners: npt.NDArray[np.uint16]
    targets: Rows | None

    @classmethod
    def of(cls, places: int, number: str) -> Ordered:
        """Return room for some ratings."""
        return cls(np.empty(1, np.int32), np.empty(places, np.uint16), np.empty(places, number))

    def part(self, first: int, rows: int) -> Ordered:
        """Return the room from a place on, for the ratings of some rows."""
        targets = None if self.targets is None else self.targets[first:]
        return Ordered(np.empty(rows + 1, np.int32), self.partners[first:], targets)

    @property
    def used_targets(self) -> Rows:
        """The targets of the ratings there are, a view: room for them may go on."""
        assert self.targets is not None
        return self.targets[: self.starts[-1]]

    def add(
        self, rows: Records, others: Records, sums: Matrix, weight: float, no_targets: bool, sure: bool = False
    ) -> tuple[float, float]:
        """Add the terms of all rows to their sums; return the sums of t s and of s^2, 0 without targets.

        rows, others : of `row_dtype`; others : from the first partner on; sums : float64 (rows, w); sure :
        targets are confidences, which add to the weight, and the second sum is that of (weight + t) s^2.
        """
        kind: Any = rows.dtype["factors"]
        number, (width,) = kind.subdtype
        targets, confidences = None if no_targets else self.targets, self.targets if sure else None
        add = add_rows(width, number.str[1:], not no_targets, sure)
        return add(self.starts, self.partners, targets, confidences, number.type(weight), rows, others, sums)

    def squared_errors(self, rows: Records, others: Records) -> Matrix:
        """Return the sum of (t - s)^2 over the ratings of each row, float64 (rows,)."""
        kind: Any = rows.dtype["factors"]
        number, (width,) = kind.subdtype
        seen = np.zeros((len(rows), 2))
        see_rows(width, number.str[1:])(self.starts, self.partners, self.targets, number.type(1), rows, others, seen)
        squares = np.cumsum(np.append(0.0, np.square(self.used_targets, dtype=np.float64)))[self.starts]
        return np.maximum(np.diff(squares) - 2.0 * seen[:, 0] + seen[:, 1], 0.0)


def rows_in_cache(width: int, number: str, unit: int) -> int:
    """Return how many rows of the other side are visited at once: those in CACHED_BYTES, a multiple of `unit`."""
    most: int = min(CACHED_BYTES // (width * np.dtype(number).itemsize), MOST_PARTNERS)
    return unit * max(1, most // unit)


def cuts(numbers: npt.NDArray[Any]) -> list[tuple[int, int]]:
    """Return begin and end of each stretch of equal numbers."""
    begins = np.flatnonzero(np.diff(numbers, prepend=-1)).tolist()
    return list(zip(begins, [*begins, len(numbers)][1:], strict=True))


def tile_ratings(block: RatingBlock) -> npt.NDArray[np.int64]:
    """Return the number of ratings in each tile, int64 (tiles,)."""
    return block.run_starts[block.tiles[:, 2]] - block.run_starts[block.tiles[:, 1]]


def as_records(rows: Rows) -> Records:
    """Return rows as kernels take them, a view."""
    return rows.view(row_dtype(rows.shape[1], rows.dtype))[:, 0]
