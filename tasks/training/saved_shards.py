"""Tasks on files of factor shards and validation ratings.

Covers: scoring a saved shard, or the mean alone; a shard with its raw ids as a part of a model; the validation ratings
of a user shard.
Does not cover: the errors (score.py), the form of a shard (tasks/grid/factor_shard.py) or of a model
(tasks/model/model.py).
"""

from __future__ import annotations

import math

import numpy as np

from funkflow.tasks.dataset.id_pieces import read_piece
from funkflow.tasks.grid.factor_shard import FactorShard, read_shard
from funkflow.tasks.grid.scaling import Scaling
from funkflow.tasks.model.about import PartEntry, Place
from funkflow.tasks.model.model import write_factor_table
from funkflow.tasks.storage import files
from funkflow.tasks.training.bias_baseline import mean_shard
from funkflow.tasks.training.score import Errors, HeldOut, held_out_table, read_held_out, score


def read_shards(shards: list[Place], rank: int) -> tuple[FactorShard, ...]:
    """Read all saved item shards, once for the tasks of a worker."""
    return tuple(read_shard(*each, rank) for each in shards)


def score_saved(
    held_out: Place, users: Place, items: tuple[FactorShard, ...], rank: int, scaling: Scaling,
    scale: tuple[float, float],
) -> Errors:  # fmt: skip
    """Score one saved user shard against all item shards."""
    return score(read_held_out(*held_out, shards=len(items)), read_shard(*users, rank), items, scaling, scale)


def score_mean(
    held_out: HeldOut, users: FactorShard, items: list[FactorShard], scaling: Scaling, scale: tuple[float, float]
) -> Errors:
    """Score the mean alone; of `users` only the number of rows counts."""
    return score(held_out, mean_shard(len(users.factors)), items, scaling, scale)


def export_shard(saved: Place, rank: int, ids: str, number: int, deviation: float, url: str) -> PartEntry:
    """Write one shard with its raw ids, in rating units: biases times the deviation, factors times its square root.

    Parameters
    ----------
    ids : file of raw ids by shard (tasks/dataset/id_pieces.py).
    """
    shard = read_shard(*saved, rank)
    return write_factor_table(
        url,
        read_piece(ids, number).raw_ids,
        shard.biases * np.float32(deviation),
        shard.factors * np.float32(math.sqrt(deviation)),
    )


def write_held_out(parts: list[tuple[str, str]], shards: int, shard: int, url: str) -> dict[str, str | int]:
    """Write one user shard's validation ratings from all split parts; return its manifest entry."""
    tables = [
        files.read_table(part, ["user", "item", "rating"], expected_checksum=checksum) for part, checksum in parts
    ]
    users, items, ratings = (
        np.concatenate([table[column].to_numpy() for table in tables] or [np.empty(0)])
        for column in ("user", "item", "rating")
    )
    table = held_out_table(users.astype(np.int64), items.astype(np.int64), ratings.astype(np.float32), shards, shard)
    return {
        "path": url.rsplit("/", 2)[-2] + "/" + url.rsplit("/", 1)[-1],
        "rows": table.num_rows,
        "checksum": files.write_table(url, table),
    }
