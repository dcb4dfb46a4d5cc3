"""Start a shard from an existing model, row by row, by raw ids.

Covers: the rows that the model has, its numbers in the units of this training, the first step sizes, and the rows of
alternating solves.
Does not cover: new rows (tasks/grid/factor_shard.py), the graph of tasks (pipeline/training/warm_start.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from funkflow.tasks.dataset.matches import read_match
from funkflow.tasks.grid.default_rule import WARM_SHRINK, WARM_SQUARES
from funkflow.tasks.grid.factor_shard import FactorShard, ShardStart, initial_shard, read_shard, write_shard
from funkflow.tasks.grid.scaling import Scaling
from funkflow.tasks.grid.solved_rows import rows_of, write_rows
from funkflow.tasks.kernels.buffers import Weighed
from funkflow.tasks.kernels.vector import BIAS, BIAS_SQUARES, FACTOR_SQUARES
from funkflow.tasks.model.about import Place
from funkflow.tasks.model.parts import read_part_rows, split_places
from funkflow.tasks.training.batch import RowCounts, counts_of_items
from funkflow.tasks.training.score import Errors, HeldOut, score


@dataclass(frozen=True)
class ModelSide:
    """One side of the start model: its parts, with the rows of each.

    `name` : "user" or "item"; `match` : file of the rows that the model has of the data's ids, by shard
    (tasks/dataset/matches.py); `shift` : added to the model's biases, in rating units.
    """

    name: str
    parts: tuple[Place, ...]
    counts: tuple[int, ...]
    match: str
    shift: float


@dataclass(frozen=True)
class WarmRows(Weighed):
    """A shard with the rows of the model.

    `known` : bool (rows,), whether the model has the row; `counts` : float64 (rows,), training ratings.
    """

    shard: FactorShard
    known: npt.NDArray[np.bool_]
    counts: npt.NDArray[np.float64]

    @property
    def squares(self) -> float:
        """The sum over ratings of the mean square of their row's factors."""
        return float(np.sum(self.counts * np.mean(self.shard.factors.astype(np.float64) ** 2, axis=1)))


def warm_rows(
    counts: npt.NDArray[np.float64], side: ModelSide, scaling: Scaling, start: ShardStart, shard: int
) -> WarmRows:
    """Return a shard with the rows of the model, and new rows as in a cold start.

    The function reads only the parts of the model that have rows of the shard: one part, if the dataset grew and the
    number of shards is the same.

    Parameters
    ----------
    counts : float64 (rows,), training ratings; start : of new rows, with the model's rank; shard : its number.
    """
    first = initial_shard(counts > 0, start, side.name, shard)
    known = np.zeros(len(counts), np.bool_)
    of_row, row_there = split_places(read_match(side.match, shard).places, side.counts)
    for number, place in enumerate(side.parts):
        mine = of_row == number
        if not mine.any():
            continue
        part = read_part_rows(*place, start.rank)
        rows = row_there[mine]
        first.factors[mine] = part.factors[rows] * np.float32(1.0 / math.sqrt(scaling.deviation))
        first.states[mine, BIAS] = (part.biases[rows] + np.float32(side.shift)) * np.float32(1.0 / scaling.deviation)
        known |= mine
    return WarmRows(first, known, counts)


def shrink(rows: WarmRows, mean_square: float) -> FactorShard:
    """Return the shard that training starts from: the model's rows shrunk, with smaller steps than new rows.

    mean_square : mean over ratings of the squares of the other side's factors, shrunk as well.
    """
    first, known = rows.shard.copy(), rows.known
    first.factors[known] *= np.float32(WARM_SHRINK)
    first.states[known, BIAS_SQUARES] = 1.0 + WARM_SQUARES * rows.counts[known]
    first.states[known, FACTOR_SQUARES] = 1.0 + WARM_SQUARES * mean_square * rows.counts[known]
    return first


def warm_users(counted: RowCounts, side: ModelSide, scaling: Scaling, start: ShardStart, shard: int) -> WarmRows:
    """Return a user shard of the start, with the counts of its row of blocks."""
    return warm_rows(counted[0], side, scaling, start, shard)


def warm_items(counted: list[RowCounts], side: ModelSide, scaling: Scaling, start: ShardStart, shard: int) -> WarmRows:
    """Return an item shard of the start, with the counts of all rows of blocks."""
    return warm_rows(counts_of_items(counted, shard), side, scaling, start, shard)


def squares_of(rows: WarmRows) -> tuple[float, float]:
    """Return the sum of `WarmRows.squares`, and the number of ratings."""
    return rows.squares, float(rows.counts.sum())


def write_unchanged(rows: WarmRows, url: str) -> tuple[str, int]:
    """Write the shard with the rows of the model unchanged; return its checksum, and the number of these rows."""
    return write_shard(url, rows.shard), int(rows.known.sum())


def write_shrunk(rows: WarmRows, url: str, mean_square: float) -> tuple[str, int]:
    """Write the shard that training starts from; return its checksum."""
    return write_shard(url, shrink(rows, mean_square)), 0


def write_start_rows(rows: WarmRows, url: str, side: str, biases: bool, number: str, shrink: float) -> tuple[str, int]:
    """Write the rows that alternating solves start from, in the type `number`; return the file's checksum.

    side : "user" or "item"; shrink : factor of the model's rows.
    """
    factors = rows.shard.factors.astype(number)
    factors[rows.known] *= factors.dtype.type(shrink)
    return write_rows(url, rows_of(factors, rows.shard.biases.astype(number), side, biases)), 0


def score_start(
    held_out: HeldOut, users: Place, items: list[Place], rank: int, scaling: Scaling, scale: tuple[float, float]
) -> Errors:
    """Return the errors of one user shard of the start model against all item shards."""
    return score(held_out, read_shard(*users, rank), [read_shard(*item, rank) for item in items], scaling, scale)
