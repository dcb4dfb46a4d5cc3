"""Errors of one user shard on validation ratings.

Covers: the validation ratings of a user shard, sorted by item shard, and sums of squared and absolute errors.
Does not cover: choosing these ratings (pipeline/stages/split.py), the sum over all shards
(pipeline/stages/evaluate.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

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
from funkflow.tasks.training.times.held_out_times import HeldOutTimes
from funkflow.tasks.training.times.row_days import NO_DAY as NO_DAY

_KEY_BITS = 63
_NO_OFFSETS = np.empty(0)


@dataclass(frozen=True)
class HeldOut(Weighed):
    """Validation ratings of one user shard; those of item shard b are at `starts[b]:starts[b + 1]`.

    `user_rows`, `item_rows` : int32 (n,), local rows, -1 for ids without training ratings; `ratings` : float32 (n,).
    `days` : int32 (n,), since 1970, where the grid has days, NO_DAY without a time; `offsets` : float64 (n,), what time
    adds to each prediction, in units of training; None: nothing.
    """

    user_rows: npt.NDArray[np.int32]
    item_rows: npt.NDArray[np.int32]
    ratings: npt.NDArray[np.float32]
    starts: npt.NDArray[np.int64]
    days: npt.NDArray[np.int32] | None = None
    offsets: npt.NDArray[np.float64] | None = None

    def part(self, shard: int) -> slice:
        """Return the positions of an item shard's ratings."""
        return slice(int(self.starts[shard]), int(self.starts[shard + 1]))

    def of(self, part: slice) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        """Return user rows, item rows and ratings of a part, as kernels take them."""
        return self.user_rows[part], self.item_rows[part], self.ratings[part]


@dataclass(frozen=True)
class Errors:
    """Sums of errors over some ratings, in rating units."""

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
    """Errors of one user shard in an epoch.

    `training_squared` : sum of squared errors in training, in scaled units; `stopping` : errors on the validation
    ratings; `carried` : there, the sum of squares of the factors' part of the predictions, in rating units.
    """

    training_squared: float
    stopping: Errors
    carried: float


def epoch_rmses(
    errors: Sequence[EpochErrors], ratings: int, deviation: float
) -> tuple[float, float | None, float | None]:
    """Return the training RMSE, the validation RMSE and the RMS of the factors' part there, in rating units.

    The last two are None without validation ratings.

    Parameters
    ----------
    errors : of all user shards, in order. `ratings`, `deviation` : of the training ratings.
    """
    training = math.sqrt(sum(part.training_squared for part in errors) / ratings) * deviation
    stopping = sum((part.stopping for part in errors[1:]), errors[0].stopping)
    if not stopping.ratings:
        return training, None, None
    return training, stopping.rmse, math.sqrt(sum(part.carried for part in errors) / stopping.ratings)


def held_out_table(
    users: npt.NDArray[Any],
    items: npt.NDArray[Any],
    ratings: npt.NDArray[np.float32],
    shards: int,
    shard: int,
    days: npt.NDArray[np.int32] | None = None,
) -> pa.Table:
    """Return the validation ratings that user shard `shard` scores, in a fixed order.

    users, items : integers (n,), dense ids, -1 unknown; unknown users and items belong to shard 0.
    days : int32 (n,), of each rating; None: without.
    """
    mine = np.maximum(users, 0) % shards == shard
    users, items, ratings = users[mine].astype(np.int64), items[mine].astype(np.int64), ratings[mine]
    item_shards = np.maximum(items, 0) % shards
    order = _order(item_shards, users, items, ratings)
    return pa.table(
        {
            "item_shard": item_shards[order].astype(np.int32),
            "user_row": np.where(users < 0, -1, users // shards)[order].astype(np.int32),
            "item_row": np.where(items < 0, -1, items // shards)[order].astype(np.int32),
            "rating": ratings[order].astype(np.float32),
            **({} if days is None else {"day": days[mine][order]}),
        }
    )


def _order(
    item_shards: npt.NDArray[np.int64],
    users: npt.NDArray[np.int64],
    items: npt.NDArray[np.int64],
    ratings: npt.NDArray[np.float32],
) -> npt.NDArray[np.int64]:
    """Return the order by item shard, user, item and rating, int64 (n,); one number for the first three is faster."""
    widths = [int(column.max(initial=0) + 1).bit_length() for column in (users, items)]
    keys = (item_shards << widths[0] | users + 1) << widths[1] | items + 1
    order = np.argsort(keys)
    if int(item_shards.max(initial=0)).bit_length() + sum(widths) > _KEY_BITS or np.any(np.diff(keys[order]) == 0):
        return np.lexsort((ratings, items, users, item_shards))  # pairs of unknown ids may be there several times
    return order


def read_held_out(url: str, expected_checksum: str, shards: int) -> HeldOut:
    """Read a table of `held_out_table`."""
    table = files.read_table(url, expected_checksum=expected_checksum).combine_chunks()
    starts = np.searchsorted(table["item_shard"].to_numpy(), np.arange(shards + 1))
    return HeldOut(
        table["user_row"].to_numpy(), table["item_row"].to_numpy(), table["rating"].to_numpy(), starts.astype(np.int64),
        table["day"].to_numpy() if "day" in table.column_names else None,
    )  # fmt: skip


def score(
    held_out: HeldOut, users: FactorShard, items: Sequence[FactorShard], scaling: Scaling, scale: tuple[float, float]
) -> Errors:
    """Return the errors of the clipped predictions for one user shard against all item shards, in order."""
    return score_and_weigh(held_out, users, items, scaling, scale)[0]


def score_and_weigh(
    held_out: HeldOut, users: FactorShard, items: Sequence[FactorShard], scaling: Scaling, scale: tuple[float, float]
) -> tuple[Errors, float]:
    """Return the same, and the sum of squares of the factors' part of the predictions, not clipped."""
    total, carried, units = Errors(0.0, 0.0, 0), 0.0, (scaling.mean, scaling.deviation, *scale)
    for shard, item_shard in enumerate(items):
        part = held_out.part(shard)
        offsets = _NO_OFFSETS if held_out.offsets is None else held_out.offsets[part]
        squared, absolute, by_factors = score_ratings()(
            *held_out.of(part), *users.arrays, *item_shard.arrays, *units, offsets
        )
        total += Errors(squared, absolute, part.stop - part.start)
        carried += by_factors
    return total, carried


def score_blocks(row: BlockRow, users: FactorShard, items: Sequence[FactorShard], scaling: Scaling) -> Errors:
    """Return the errors of one user shard on its training ratings, not clipped."""
    total, units = Errors(0.0, 0.0, 0), (scaling.mean, scaling.deviation, -math.inf, math.inf)
    for block, item_shard in zip(row, items, strict=True):
        ratings = (block.user_rows, block.item_rows, block.ratings)
        squared, absolute, _ = score_ratings()(*ratings, *users.arrays, *item_shard.arrays, *units, _NO_OFFSETS)
        total += Errors(squared, absolute, len(block))
    return total


def score_epoch(
    held_out: Sequence[HeldOut],
    descent: Descent,
    items: Sequence[FactorShard],
    scaling: Scaling,
    scale: tuple[float, float],
    *,
    threads: int = 1,
    times: Sequence[HeldOutTimes | None] = (),
) -> list[EpochErrors]:
    """Return the errors of each user shard of a share at the end of an epoch.

    Parameters
    ----------
    items : all item shards, in order; empty without validation ratings.
    times : of the ratings of each shard, where time has effects.
    """
    if descent.times is not None:
        held_out = [
            each if when is None else replace(each, offsets=when.offsets(effects))
            for each, when, effects in zip(held_out, times, descent.times.shards, strict=True)
        ]
    score_one = partial(score_and_weigh, items=items, scaling=scaling, scale=scale)
    scored = map_threads(score_one, held_out, descent.users, threads=threads)
    return [EpochErrors(squared, *each) for squared, each in zip(descent.squared_errors, scored, strict=True)]


def score_written_row(
    row: BlockRow, held_out: HeldOut, users: tuple[str, str], items: list[tuple[str, str]], rank: int,
    scaling: Scaling, scale: tuple[float, float],
) -> tuple[Errors, Errors]:  # fmt: skip
    """Return the errors of a written user shard on its training ratings, not clipped, and its validation ratings."""
    user_shard, item_shards = read_shard(*users, rank), [read_shard(*each, rank) for each in items]
    training = score_blocks(row, user_shard, item_shards, scaling)
    return training, score(held_out, user_shard, item_shards, scaling, scale)


def no_held_out(shards: int) -> HeldOut:
    """Return an empty set of validation ratings."""
    rows = np.empty(0, dtype=np.int32)
    return HeldOut(rows, rows, np.empty(0, dtype=np.float32), np.zeros(shards + 1, dtype=np.int64), rows)
