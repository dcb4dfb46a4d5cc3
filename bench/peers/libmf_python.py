"""LIBMF through its Python package, as `pip install libmf` gives it.

Covers: `MF.fit` and `MF.predict` of that package. Does not cover: the same source compiled for speed (libmf_native.py).
"""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import Any

import numpy as np
from libmf import mf

from bench.peers.contract import Task, answer, rmse


def train(task: Task) -> dict[str, Any]:
    """Train on the arrays and score the probe."""
    began = time.monotonic()
    training, probe = task.training(), task.probe()
    read_seconds = time.monotonic() - began
    model = mf.MF(
        k=task.rank,
        nr_threads=task.threads,
        nr_iters=task.iterations,
        lambda_p1=0.0,
        lambda_q1=0.0,
        lambda_p2=task.l2,
        lambda_q2=task.l2,
        quiet=True,
    )
    columns = np.column_stack([training["user"], training["item"], training["rating"]]).astype(np.float64)
    began = time.monotonic()
    model.fit(columns)
    train_seconds = time.monotonic() - began
    predicted = np.asarray(model.predict(np.column_stack([probe["user"], probe["item"]]).astype(np.float64)))
    mean = float(training["rating"].mean(dtype=np.float64))
    return {
        "read_seconds": read_seconds,
        "train_seconds": train_seconds,
        "rmse": rmse(probe, predicted, mean),
        "version": version("libmf"),
    }


if __name__ == "__main__":
    answer(train)
