"""cmfrec: explicit factorisation with biases by alternating least squares, in C.

Covers: its `CMF` on a task. Does not cover: its side information and its implicit model.
"""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
from cmfrec import CMF

from bench.peers.contract import Task, answer, rmse

L2 = 0.05
"""For each rating of a row (`scale_lam`)."""


def train(task: Task) -> dict[str, Any]:
    """Train on the arrays and score the probe."""
    began = time.monotonic()
    training, probe = task.training(), task.probe()
    table = pd.DataFrame(
        {"UserId": training["user"], "ItemId": training["item"], "Rating": training["rating"]}, copy=True
    )
    read_seconds = time.monotonic() - began
    model = CMF(
        k=task.rank, method="als", lambda_=L2, scale_lam=True, niter=task.iterations, use_float=True,
        nthreads=task.threads, verbose=False, precompute_for_predictions=False,
    )  # fmt: skip
    began = time.monotonic()
    model.fit(table)
    train_seconds = time.monotonic() - began
    predicted = np.asarray(model.predict(probe["user"].copy(), probe["item"].copy()))
    return {
        "read_seconds": read_seconds,
        "train_seconds": train_seconds,
        "rmse": rmse(probe, predicted, float(table["Rating"].mean())),
        "version": version("cmfrec"),
    }


if __name__ == "__main__":
    answer(train)
