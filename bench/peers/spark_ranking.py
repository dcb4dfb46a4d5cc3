"""pyspark: alternating least squares for implicit feedback, for lists of the best items.

Covers: its `ALS` with `implicitPrefs` at its other defaults, ratings as confidence; its factors, beside the ratings as
als-users.npy and als-items.npy.
Does not cover: the session (spark_als.py), or lists and measures, which are the benchmark's own
(bench/ranking/measures.py).
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pyspark
from pyspark.ml.recommendation import ALS
from pyspark.sql import DataFrame

from bench.peers.contract import Task, answer
from bench.peers.spark_als import opened, ratings_of


def train(task: Task) -> dict[str, Any]:
    """Train on the text and write the factors."""
    with opened(task) as session:
        table = ratings_of(session, task)
        als = ALS(
            userCol="user", itemCol="item", ratingCol="rating", implicitPrefs=True, rank=task.rank,
            numUserBlocks=2 * task.threads, numItemBlocks=2 * task.threads, seed=0,
        )  # fmt: skip
        began = time.monotonic()
        model = als.fit(table)
        seconds = time.monotonic() - began
        for side, factors in (("users", model.userFactors), ("items", model.itemFactors)):
            np.save(task.folder / f"als-{side}.npy", _by_id(factors))
    return {
        "train_seconds": seconds,
        "seconds_by_model": {"als": seconds},
        "factors": task.rank,
        "version": pyspark.__version__,
    }


def _by_id(factors: DataFrame) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return rows of factors by id; 0 for ids without a rating."""
    table = factors.toPandas()
    ids, rows = table["id"].to_numpy(), np.stack(table["features"].to_numpy())
    placed = np.zeros((int(ids.max()) + 1, rows.shape[1]), np.float32)
    placed[ids] = rows
    return placed


if __name__ == "__main__":
    answer(train)
