"""cmfrec: its model for implicit feedback, in C, for lists of the best items.

Covers: `CMF_implicit` at its defaults but for the rank, ratings as confidence; its factors, beside the ratings as
als-users.npy and als-items.npy.
Does not cover: lists and measures, which are the benchmark's own (bench/ranking/measures.py).
"""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import Any

import numpy as np
import scipy.sparse
from cmfrec import CMF_implicit

from bench.peers.contract import Task, answer


def train(task: Task) -> dict[str, Any]:
    """Train on the arrays and write the factors."""
    training = task.training()
    cells = scipy.sparse.coo_matrix((training["rating"].copy(), (training["user"].copy(), training["item"].copy())))
    model = CMF_implicit(
        k=task.rank, use_float=True, nthreads=task.threads, verbose=False, precompute_for_predictions=False
    )
    began = time.monotonic()
    model.fit(cells)
    seconds = time.monotonic() - began
    np.save(task.folder / "als-users.npy", model.A_)
    np.save(task.folder / "als-items.npy", model.B_)
    return {
        "train_seconds": seconds,
        "seconds_by_model": {"als": seconds},
        "factors": task.rank,
        "version": version("cmfrec"),
    }


if __name__ == "__main__":
    answer(train)
