"""pyspark: explicit alternating least squares on Spark, both halves of this machine in one JVM.

Covers: its `ALS` on a task, reading from text. Does not cover: lists of the best items
(spark_ranking.py), or Spark on several machines.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import psutil
import pyspark
from pyspark.ml.recommendation import ALS
from pyspark.sql import DataFrame, SparkSession

from bench.peers.contract import Task, answer, rmse

L2 = 0.06
"""For each rating of a row (ALS-WR)."""
SCHEMA = "user INT, item INT, rating FLOAT"


def train(task: Task) -> dict[str, Any]:
    """Train on the text, or only read it, and score the probe."""
    with opened(task) as session:
        began = time.monotonic()
        table = ratings_of(session, task)
        content: dict[str, Any] = {"read_seconds": time.monotonic() - began, "ratings": table.count()}
        if not task.read_only:
            content |= _fitted(session, table, task)
        return {**content, "version": pyspark.__version__}


@contextmanager
def opened(task: Task) -> Iterator[SparkSession]:
    """Yield a session in one JVM, with the task's threads and most of this machine's memory."""
    gigabytes = max(2, psutil.virtual_memory().total * 6 // 10 // 2**30)
    session = (
        SparkSession.builder.master(f"local[{task.threads}]")
        .config("spark.driver.memory", f"{gigabytes}g")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", 2 * task.threads)
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    try:
        yield session
    finally:
        session.stop()


def ratings_of(session: SparkSession, task: Task) -> DataFrame:
    """Return the ratings, read from text and in memory."""
    table = session.read.csv(str(task.text), sep=" ", schema=SCHEMA).cache()
    table.count()
    return table


def _fitted(session: SparkSession, table: DataFrame, task: Task) -> dict[str, Any]:
    als = ALS(
        userCol="user", itemCol="item", ratingCol="rating", rank=task.rank, maxIter=task.iterations, regParam=L2,
        numUserBlocks=2 * task.threads, numItemBlocks=2 * task.threads, seed=0,
    )  # fmt: skip
    began = time.monotonic()
    model = als.fit(table)
    train_seconds = time.monotonic() - began
    probe = task.probe()
    rows = session.createDataFrame(
        list(zip(range(len(probe)), probe["user"].tolist(), probe["item"].tolist(), strict=True)),
        "number INT, user INT, item INT",
    )
    predicted = np.full(len(probe), np.nan)
    for row in model.transform(rows).select("number", "prediction").toLocalIterator():
        predicted[row[0]] = row[1]
    mean = float(task.training()["rating"].mean(dtype=np.float64))
    return {"train_seconds": train_seconds, "rmse": rmse(probe, predicted, mean)}


if __name__ == "__main__":
    answer(train)
