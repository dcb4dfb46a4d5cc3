"""Start a shard from a model that is there already, row by row, as raw ids say.

Covers: which rows the model knows, its numbers in the units of this training, and how far on the step sizes begin.
Does not cover: rows that are new, which begin as in a cold start (tasks/grid/factor_shard.py), or which task runs where
(pipeline/training/warm_start.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from funkflow.tasks.dataset.matches import read_match
from funkflow.tasks.grid.default_rule import WARM_SHRINK, WARM_SQUARES
from funkflow.tasks.grid.factor_shard import FactorShard, initial_shard, read_shard, write_shard
from funkflow.tasks.grid.scaling import Scaling
from funkflow.tasks.kernels.buffers import Weighed
from funkflow.tasks.kernels.vector import BIAS, BIAS_SQUARES, FACTOR_SQUARES
from funkflow.tasks.model.about import Place
from funkflow.tasks.model.parts import read_part_rows, split_places
from funkflow.tasks.training.batch import RowCounts, counts_of_items
from funkflow.tasks.training.score import Errors, HeldOut, score


@dataclass(frozen=True)
class Side:
    """One side of the model that is started from: its parts, with the rows of each.

    `name` : "user" or "item"; `match` : where the model has the ids of the data, by shard (tasks/dataset/matches.py);
    `shift` : is added to the biases of known rows, in rating units.
    """

    name: str
    parts: tuple[Place, ...]
    counts: tuple[int, ...]
    match: str
    rank: int
    shift: float


@dataclass(frozen=True)
class WarmRows(Weighed):
    """A shard as the model has it.

    `known` : bool (rows,), which rows that is; `counts` : float64 (rows,), their ratings to train on.
    """

    shard: FactorShard
    known: npt.NDArray[np.bool_]
    counts: npt.NDArray[np.float64]

    @property
    def squares(self) -> float:
        """The mean squares of its factors, summed over ratings."""
        return float(np.sum(self.counts * np.mean(self.shard.factors.astype(np.float64) ** 2, axis=1)))


def warm_rows(
    counts: npt.NDArray[np.float64], side: Side, scaling: Scaling, seed: int, shard: int, shards: int
) -> WarmRows:
    """Return a shard's rows: those that the model knows as it has them, the others as in a cold start.

    Only the parts of the model are read that have some of the rows. One that grew, with as many shards, has those of a
    shard in one part.

    Parameters
    ----------
    counts : float64 (rows,), ratings to train on; shard, shards : which shard it is, and P.
    """
    start = initial_shard(counts > 0, side.rank, seed, side.name, shard, shards)
    known = np.zeros(len(counts), np.bool_)
    of_row, row_there = split_places(read_match(side.match, shard).places, side.counts)
    for number, place in enumerate(side.parts):
        mine = of_row == number
        if not mine.any():
            continue
        part = read_part_rows(*place, side.rank)
        rows = row_there[mine]
        start.factors[mine] = part.factors[rows] * np.float32(1.0 / math.sqrt(scaling.deviation))
        start.states[mine, BIAS] = (part.biases[rows] + np.float32(side.shift)) * np.float32(1.0 / scaling.deviation)
        known |= mine
    return WarmRows(start, known, counts)


def held_back(rows: WarmRows, mean_square: float) -> FactorShard:
    """Return the shard that training starts from: known rows shrunk, their steps part of the way on.

    mean_square : of the factors of the other side that a rating meets, shrunk as well.
    """
    first, known = rows.shard.copy(), rows.known
    first.factors[known] *= np.float32(WARM_SHRINK)
    first.states[known, BIAS_SQUARES] = 1.0 + WARM_SQUARES * rows.counts[known]
    first.states[known, FACTOR_SQUARES] = 1.0 + WARM_SQUARES * mean_square * rows.counts[known]
    return first


def warm_users(counted: RowCounts, side: Side, scaling: Scaling, seed: int, shard: int, shards: int) -> WarmRows:
    """Return a user shard of the start; its ratings are counted in its own row of blocks."""
    return warm_rows(counted[0], side, scaling, seed, shard, shards)


def warm_items(counted: list[RowCounts], side: Side, scaling: Scaling, seed: int, shard: int, shards: int) -> WarmRows:
    """Return an item shard of the start; every row of blocks has some of its ratings."""
    return warm_rows(counts_of_items(counted, shard), side, scaling, seed, shard, shards)


def squares_of(rows: WarmRows) -> tuple[float, float]:
    """Return the sum of mean squares that its ratings meet, and the number of ratings."""
    return rows.squares, float(rows.counts.sum())


def write_as_it_is(rows: WarmRows, url: str) -> tuple[str, int]:
    """Write the shard as the model has it; return its checksum, and how many of its rows the model knows."""
    return write_shard(url, rows.shard), int(rows.known.sum())


def write_held_back(rows: WarmRows, url: str, mean_square: float) -> tuple[str, int]:
    """Write the shard that training goes on from; return its checksum."""
    return write_shard(url, held_back(rows, mean_square)), 0


def score_start(
    held_out: HeldOut, users: Place, items: list[Place], rank: int, scaling: Scaling, scale: tuple[float, float]
) -> Errors:
    """Score one user shard of the model as it is against all item shards."""
    return score(held_out, read_shard(*users, rank), [read_shard(*item, rank) for item in items], scaling, scale)
