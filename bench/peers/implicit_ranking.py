"""implicit: its models for implicit feedback, for lists of the best items.

Covers: `AlternatingLeastSquares` and `BayesianPersonalizedRanking` at their defaults, 100 factors each; their factors,
beside the ratings as NAME-users.npy and NAME-items.npy.
Does not cover: lists and measures, which are the benchmark's own (bench/ranking/measures.py).
"""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import Any

import numpy as np
import scipy.sparse
from implicit.als import AlternatingLeastSquares
from implicit.bpr import BayesianPersonalizedRanking

from bench.peers.contract import Task, answer

MODELS = {"als": AlternatingLeastSquares, "bpr": BayesianPersonalizedRanking}


def train(task: Task) -> dict[str, Any]:
    """Train each model on the arrays and write its factors."""
    training = task.training()
    cells = scipy.sparse.csr_matrix((training["rating"].copy(), (training["user"].copy(), training["item"].copy())))
    seconds, factors = {}, 0
    for name, kind in MODELS.items():
        model = kind(num_threads=task.threads, random_state=0)
        began = time.monotonic()
        model.fit(cells, show_progress=False)
        seconds[name] = time.monotonic() - began
        factors = model.factors
        np.save(task.folder / f"{name}-users.npy", model.user_factors)
        np.save(task.folder / f"{name}-items.npy", model.item_factors)
    return {
        "train_seconds": sum(seconds.values()),
        "seconds_by_model": seconds,
        "factors": factors,
        "version": version("implicit"),
    }


if __name__ == "__main__":
    answer(train)
