"""Tasks on files of factor shards and validation ratings.

Covers: scoring a saved shard, or the mean alone; a shard with its raw ids as a part of a model; the validation ratings
of a user shard; rows folded in for users whom training did not see; what the rows of row solves have in common.
Does not cover: the errors (score.py), the form of a shard (tasks/grid/factor_shard.py) or of a model
(tasks/model/model.py), the solution of a row (tasks/model/fold/fold_in.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funkflow.tasks.dataset.id_pieces import read_piece
from funkflow.tasks.grid.bias_baseline import mean_shard
from funkflow.tasks.grid.factor_shard import FactorShard, read_shard, write_shard
from funkflow.tasks.grid.row_objective import Objective
from funkflow.tasks.grid.scaling import Scaling
from funkflow.tasks.grid.scatter import days_of
from funkflow.tasks.grid.solved_rows import Matrix
from funkflow.tasks.kernels.buffers import Weighed
from funkflow.tasks.kernels.vector import BIAS
from funkflow.tasks.model.about import PartEntry, Place
from funkflow.tasks.model.fold.fold_in import AllRows, Penalty, evidence, solve_row
from funkflow.tasks.model.fold.new_row_prior import NewRowPrior, second_column
from funkflow.tasks.model.model import write_factor_table
from funkflow.tasks.storage import files, npy
from funkflow.tasks.training.als import weighed_users
from funkflow.tasks.training.score import NO_DAY, Errors, HeldOut, held_out_table, read_held_out, score
from funkflow.tasks.training.times.saved import SavedTimes, ShardTimes, read_item_times, read_user_times


def read_shards(shards: list[Place], rank: int) -> tuple[FactorShard, ...]:
    """Read all saved item shards, once for the tasks of a worker."""
    return tuple(read_shard(*each, rank) for each in shards)


def score_saved(
    held_out: Place, users: Place, items: tuple[FactorShard, ...], rank: int, scaling: Scaling,
    scale: tuple[float, float], times: SavedTimes | None = None, shard: int = 0,
) -> Errors:  # fmt: skip
    """Score one saved user shard, with its number, against all item shards; times : effects of time, if any."""
    rated = with_offsets(read_held_out(*held_out, shards=len(items)), times, shard)
    return score(rated, read_shard(*users, rank), items, scaling, scale)


def with_offsets(held_out: HeldOut, saved: SavedTimes | None, shard: int) -> HeldOut:
    """Return validation ratings of a user shard with what time adds to their predictions."""
    if saved is None or held_out.days is None:
        return held_out
    known = held_out.days != NO_DAY
    days = np.where(known, held_out.days, 0)
    offsets = read_user_times(saved.users[shard]).of(np.where(known, held_out.user_rows, -1), days)
    for b, place in enumerate(saved.items):
        part = held_out.part(b)
        items = np.where(known[part], held_out.item_rows[part], -1)
        offsets[part] += read_item_times(place, saved.edges).of(items, days[part])
    return replace(held_out, offsets=offsets)


def score_mean(
    held_out: HeldOut, users: FactorShard, items: list[FactorShard], scaling: Scaling, scale: tuple[float, float]
) -> Errors:
    """Score the mean alone; of `users` only the number of rows counts."""
    return score(held_out, mean_shard(len(users.factors)), items, scaling, scale)


def weigh_saved(saved: Place, counts: Matrix, rank: int, objective: Objective) -> Matrix | None:
    """Return `weighed_users` of a saved user shard."""
    return weighed_users(read_shard(*saved, rank).factors, counts, objective)


def export_shard(
    saved: Place, rank: int, ids: str, number: int, deviation: float, url: str, times: ShardTimes | None = None,
    second: Place | None = None,
) -> PartEntry:  # fmt: skip
    """Write one shard with its raw ids, in rating units: biases times the deviation, factors times its square root.

    Parameters
    ----------
    ids : file of raw ids by shard (tasks/dataset/id_pieces.py).
    times : effects of time, which go with the rows; those of the last days become part of the biases.
    second : of an item shard, second factors for the rows of new users, in the units of training.
    """
    shard = read_shard(*saved, rank)
    last, columns = (None, {}) if times is None else times.exported(deviation)
    if second is not None:
        units = np.append(np.full(rank, math.sqrt(deviation)), deviation)
        columns |= second_column(npy.read_array(*second) * units)
    biases = shard.biases if last is None else (shard.biases + last).astype(np.float32)
    return write_factor_table(
        url,
        read_piece(ids, number).raw_ids,
        biases * np.float32(deviation),
        shard.factors * np.float32(math.sqrt(deviation)),
        columns,
    )


def write_held_out(
    parts: list[tuple[str, str]], shards: int, shard: int, url: str, days: bool = False
) -> dict[str, str | int]:
    """Write one user shard's validation ratings from all split parts, with days if asked; return its manifest entry."""
    wanted = ["user", "item", "rating", *(["timestamp"] if days else [])]
    tables = [files.read_table(part, wanted, expected_checksum=checksum) for part, checksum in parts]
    users, items, ratings = (
        np.concatenate([table[column].to_numpy() for table in tables] or [np.empty(0, np.int32)])
        for column in ("user", "item", "rating")
    )
    when = np.concatenate([_days(table["timestamp"]) for table in tables] or [np.empty(0, np.int32)]) if days else None
    table = held_out_table(users, items, ratings, shards, shard, when)
    return {
        "path": url.rsplit("/", 2)[-2] + "/" + url.rsplit("/", 1)[-1],
        "rows": table.num_rows,
        "checksum": files.write_table(url, table),
    }


def _days(times: pa.ChunkedArray) -> npt.NDArray[np.int32]:
    """Return the day of each time, NO_DAY where there is none."""
    days = days_of(times.to_numpy())
    return np.where(times.is_null().to_numpy(), NO_DAY, days).astype(np.int32)


@dataclass(frozen=True)
class ItemRows(Weighed):
    """All item shards, one after another: factors float32 (items, k), biases float32 (items,).

    `starts` : int64 (P,), where each shard begins; `together` : their sums.
    """

    factors: npt.NDArray[np.float32]
    biases: npt.NDArray[np.float32]
    starts: npt.NDArray[np.int64]
    together: AllRows


def read_item_rows(shards: list[Place], rank: int) -> ItemRows:
    """Read all saved item shards, once for the tasks of a worker."""
    read = [read_shard(*each, rank) for each in shards]
    sizes = [len(each.factors) for each in read]
    factors = [each.factors for each in read]
    return ItemRows(
        np.concatenate(factors),
        np.concatenate([each.biases for each in read]),
        np.cumsum([0, *sizes[:-1]]),
        AllRows.of(*factors),
    )


def fold_shard(
    saved: Place, given: Place, items: ItemRows, rank: int, scaling: Scaling, penalty: Penalty, url: str,
    prior: NewRowPrior | None = None,
) -> tuple[str, int]:  # fmt: skip
    """Write a user shard with the rows of users who have given ratings; return its checksum and their number.

    Parameters
    ----------
    given : ratings of the shard's users, as `write_held_out` writes them.
    penalty, prior : in the units of training; the prior takes the place of the penalty where there is one.
    """
    shard, held_out = read_shard(*saved, rank).copy(), read_held_out(*given, shards=len(items.starts))
    places = _item_places(held_out, items.starts)
    order = np.argsort(held_out.user_rows, kind="stable")
    users, first = np.unique(held_out.user_rows[order], return_index=True)
    ratings = held_out.ratings.astype(np.float64)
    targets, trust = evidence(ratings, (ratings - scaling.mean) / scaling.deviation - items.biases[places], penalty)
    for user, own in zip(users.tolist(), np.split(order, first)[1:], strict=True):
        others, sure = items.factors[places[own]], None if trust is None else trust[own]
        if prior is not None:
            row = prior.row(others, targets[own], places[own], penalty.has_bias)
        else:
            row = solve_row(others, targets[own], penalty, items.together, sure)
        shard.factors[user] = row[:rank]
        shard.states[user, BIAS] = row[rank] if penalty.has_bias else 0.0
    return write_shard(url, shard), len(users)


def _item_places(held_out: HeldOut, starts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the place of each rating's item among all item shards, int64 (n,)."""
    return np.repeat(starts, np.diff(held_out.starts)) + held_out.item_rows
