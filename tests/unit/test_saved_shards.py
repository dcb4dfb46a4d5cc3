"""Saved shards of a training.

Covers: folding users into a user shard that has none of them.
Does not cover: the rows that are folded in (test_fold_in_ranking.py), whole runs (tests/cluster/test_split_users.py).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from funkflow.tasks.grid.factor_shard import ShardStart, initial_shard, read_shard, write_shard
from funkflow.tasks.grid.scaling import Scaling
from funkflow.tasks.model.fold.fold_in import Penalty
from funkflow.tasks.storage import files
from funkflow.tasks.training.saved_shards import fold_shard, read_item_rows
from funkflow.tasks.training.score import held_out_table


def test_a_shard_without_users_to_fold_in_stays_as_it_is(tmp_path: Path) -> None:
    saved, nobody = str(tmp_path / "shard.npy"), str(tmp_path / "nobody.parquet")
    shard = initial_shard(np.ones(4, bool), ShardStart(rank=2, seed=0, shards=3), "user", 1)
    place = saved, write_shard(saved, shard)
    none = np.array([], np.int64)
    given = nobody, files.write_table(nobody, held_out_table(none, none, np.array([], np.float32), 3, 1))
    penalty, scaling = Penalty(0.1, 0.1, has_bias=False, alpha=0.5), Scaling(mean=0.0, deviation=1.0)
    folded = str(tmp_path / "folded.npy")
    checksum, users = fold_shard(place, given, read_item_rows([place] * 3, 2), 2, scaling, penalty, folded)
    assert users == 0
    assert np.array_equal(read_shard(folded, checksum, 2).factors, shard.factors)
