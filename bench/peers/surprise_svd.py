"""scikit-surprise: Funk's SVD with biases by plain SGD, one thread of Cython.

Covers: its `SVD`, with its own step and L2, on a task. Does not cover: its other models. `threads` means nothing to it.
"""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
from surprise import SVD, Dataset, Reader

from bench.peers.contract import Task, answer, rmse


def train(task: Task) -> dict[str, Any]:
    """Train on the arrays and score the probe."""
    began = time.monotonic()
    training, probe = task.training(), task.probe()
    table = pd.DataFrame({name: training[name].copy() for name in ("user", "item", "rating")})
    trainset = Dataset.load_from_df(table, Reader(rating_scale=(1, 5))).build_full_trainset()
    read_seconds = time.monotonic() - began
    model = SVD(n_factors=task.rank, n_epochs=task.iterations, random_state=0)
    began = time.monotonic()
    model.fit(trainset)
    train_seconds = time.monotonic() - began
    predicted = np.array([model.predict(user, item).est for user, item in zip(
        probe["user"].tolist(), probe["item"].tolist(), strict=True)])  # fmt: skip
    return {
        "read_seconds": read_seconds,
        "train_seconds": train_seconds,
        "rmse": rmse(probe, predicted, trainset.global_mean),
        "version": version("scikit-surprise"),
    }


if __name__ == "__main__":
    answer(train)
