"""implicit: alternating least squares for implicit feedback. Comparable in speed only.

Covers: its `AlternatingLeastSquares` on a task.
Does not cover: an RMSE. It fits "rated or not", weighted by the rating, to every cell of the matrix; its scores are no
ratings, so none is reported.
"""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import Any

import scipy.sparse
from implicit.als import AlternatingLeastSquares

from bench.peers.contract import Task, answer


def train(task: Task) -> dict[str, Any]:
    """Train on the arrays."""
    began = time.monotonic()
    training = task.training()
    cells = scipy.sparse.csr_matrix((training["rating"].copy(), (training["user"].copy(), training["item"].copy())))
    read_seconds = time.monotonic() - began
    model = AlternatingLeastSquares(
        factors=task.rank, iterations=task.iterations, num_threads=task.threads, random_state=0, use_gpu=False
    )
    began = time.monotonic()
    model.fit(cells, show_progress=False)
    return {
        "read_seconds": read_seconds,
        "train_seconds": time.monotonic() - began,
        "version": version("implicit"),
    }


if __name__ == "__main__":
    answer(train)
