"""Measure a model on held-out ratings: sums of errors for one user shard.

Covers: the held-out ratings of a user shard, sorted by item shard, and their squared and absolute errors.
Does not cover: which ratings are held out (pipeline/stages/split.py), or adding the shards up
(pipeline/training/sgd.py, pipeline/stages/evaluate.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funkflow.tasks.grid.block import BlockRow
from funkflow.tasks.grid.factor_shard import FactorShard, read_shard
from funkflow.tasks.grid.scaling import Scaling
from funkflow.tasks.kernels.buffers import Weighed
from funkflow.tasks.kernels.score import score_ratings
from funkflow.tasks.kernels.threads import map_threads
from funkflow.tasks.storage import files
from funkflow.tasks.training.sgd import Descent


@dataclass(frozen=True)
class HeldOut(Weighed):
    """Held-out ratings of one user shard, those of item shard b at `starts[b]:starts[b + 1]`.

    `user_rows`, `item_rows` : int32 (n,), local rows, -1 where training knows no such id; `ratings` : float32 (n,).
    """

    user_rows: npt.NDArray[np.int32]
    item_rows: npt.NDArray[np.int32]
    ratings: npt.NDArray[np.float32]
    starts: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Errors:
    """Sums over some ratings, in rating units: they add up to RMSE and MAE."""

    squared: float
    absolute: float
    ratings: int

    def __add__(self, other: Errors) -> Errors:
        return Errors(self.squared + other.squared, self.absolute + other.absolute, self.ratings + other.ratings)

    @property
    def rmse(self) -> float:
        return math.sqrt(self.squared / self.ratings) if self.ratings else math.nan

    @property
    def mae(self) -> float:
        return self.absolute / self.ratings if self.ratings else math.nan


@dataclass(frozen=True)
class EpochErrors:
    """One user shard's part of an epoch.

    The squared error in training (scaled units), the errors on the stopping ratings, and what factors carry there: the
    sum of squares of what they add to predictions, in rating units.
    """

    training_squared: float
    stopping: Errors
    carried: float


def epoch_rmses(
    errors: Sequence[EpochErrors], ratings: int, deviation: float
) -> tuple[float, float | None, float | None]:
    """Return the training RMSE, the stopping RMSE and the RMS of what factors carry there, in rating units.

    The last two are None where nothing is held out.

    Parameters
    ----------
    errors : of all user shards, in order. `ratings` : how many are trained on. `deviation` : theirs.
    """
    training = math.sqrt(sum(part.training_squared for part in errors) / ratings) * deviation
    stopping = sum((part.stopping for part in errors[1:]), errors[0].stopping)
    if not stopping.ratings:
        return training, None, None
    return training, stopping.rmse, math.sqrt(sum(part.carried for part in errors) / stopping.ratings)


def held_out_table(
    users: npt.NDArray[np.int64],
    items: npt.NDArray[np.int64],
    ratings: npt.NDArray[np.float32],
    shards: int,
    shard: int,
) -> pa.Table:
    """Return the part of the held-out ratings that user shard `shard` scores, in a fixed order.

    users, items : int64 (n,), dense ids, -1 unknown. An unknown user goes with shard 0, an unknown item with item
    shard 0.
    """
    mine = np.maximum(users, 0) % shards == shard
    users, items, ratings = users[mine], items[mine], ratings[mine]
    item_shards = np.maximum(items, 0) % shards
    order = np.lexsort((ratings, items, users, item_shards))
    return pa.table(
        {
            "item_shard": item_shards[order].astype(np.int32),
            "user_row": np.where(users < 0, -1, users // shards)[order].astype(np.int32),
            "item_row": np.where(items < 0, -1, items // shards)[order].astype(np.int32),
            "rating": ratings[order].astype(np.float32),
        }
    )


def read_held_out(url: str, expected_checksum: str, shards: int) -> HeldOut:
    """Read what the grid stage wrote from `held_out_table`."""
    table = files.read_table(url, expected_checksum=expected_checksum).combine_chunks()
    starts = np.searchsorted(table["item_shard"].to_numpy(), np.arange(shards + 1))
    return HeldOut(
        table["user_row"].to_numpy(), table["item_row"].to_numpy(), table["rating"].to_numpy(), starts.astype(np.int64)
    )


def score(
    held_out: HeldOut, users: FactorShard, items: Sequence[FactorShard], scaling: Scaling, scale: tuple[float, float]
) -> Errors:
    """Return the errors of the clipped predictions for one user shard against all item shards, in order."""
    return score_and_weigh(held_out, users, items, scaling, scale)[0]


def score_and_weigh(
    held_out: HeldOut, users: FactorShard, items: Sequence[FactorShard], scaling: Scaling, scale: tuple[float, float]
) -> tuple[Errors, float]:
    """Return the same, and the sum of squares of what factors add to the predictions before these are clipped."""
    total, carried = Errors(0.0, 0.0, 0), 0.0
    for shard, item_shard in enumerate(items):
        part = slice(held_out.starts[shard], held_out.starts[shard + 1])
        squared, absolute, by_factors = score_ratings()(
            held_out.user_rows[part], held_out.item_rows[part], held_out.ratings[part],
            users.factors, users.states, item_shard.factors, item_shard.states, scaling.mean, scaling.deviation, *scale,
        )  # fmt: skip
        total += Errors(squared, absolute, int(part.stop - part.start))
        carried += by_factors
    return total, carried


def score_blocks(row: BlockRow, users: FactorShard, items: Sequence[FactorShard], scaling: Scaling) -> Errors:
    """Return the errors of one user shard on its training ratings, not clipped."""
    total = Errors(0.0, 0.0, 0)
    for block, item_shard in zip(row, items, strict=True):
        squared, absolute, _ = score_ratings()(
            block.user_rows, block.item_rows, block.ratings,
            users.factors, users.states, item_shard.factors, item_shard.states, scaling.mean, scaling.deviation,
            -math.inf, math.inf,
        )  # fmt: skip
        total += Errors(squared, absolute, len(block))
    return total


def score_epoch(
    held_out: Sequence[HeldOut],
    descent: Descent,
    items: Sequence[FactorShard],
    scaling: Scaling,
    scale: tuple[float, float],
    threads: int = 1,
) -> list[EpochErrors]:
    """Return the errors of each user shard of a share at the end of an epoch, in training and on the stopping ratings.

    Parameters
    ----------
    items : all item shards, in order; none where nothing is held out.
    """
    score_one = partial(score_and_weigh, items=items, scaling=scaling, scale=scale)
    scored = map_threads(score_one, held_out, descent.users, threads=threads)
    return [EpochErrors(squared, *each) for squared, each in zip(descent.squared_errors, scored, strict=True)]


def score_written_row(
    row: BlockRow, held_out: HeldOut, users: tuple[str, str], items: list[tuple[str, str]], rank: int,
    scaling: Scaling, scale: tuple[float, float],
) -> tuple[Errors, Errors]:  # fmt: skip
    """Score one user shard as it was written: on its training ratings, unclipped, and on its stopping ratings."""
    user_shard, item_shards = read_shard(*users, rank), [read_shard(*each, rank) for each in items]
    training = score_blocks(row, user_shard, item_shards, scaling)
    return training, score(held_out, user_shard, item_shards, scaling, scale)


def no_held_out(shards: int) -> HeldOut:
    """Return held-out ratings for a run that stops on nothing: none."""
    rows = np.empty(0, dtype=np.int32)
    return HeldOut(rows, rows, np.empty(0, dtype=np.float32), np.zeros(shards + 1, dtype=np.int64))
