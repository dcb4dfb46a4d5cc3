"""Matrices without a gap, factorised by `train`, beside the best that any factors of that rank can do.

Covers: publishing such a matrix, training on it in the pure form, and how far the result is from numpy.linalg.svd.
Does not cover: what is asserted of it (test_eckart_young.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from conftest import Ratings, publish_ratings

from pipeline.runtime import checkpoint
from pipeline.runtime.context import Context
from pipeline.settings import GridSettings, TrainSettings
from pipeline.stages.grid import grid
from tasks import files
from tasks.factors import read_shard

Matrix = npt.NDArray[np.float64]
PURE: dict[str, Any] = {"l2": 0.0, "biases": False, "center": False, "stop_on": "nothing"}


@dataclass(frozen=True)
class Distance:
    """How far the error exceeds the best of that rank, as part of |A|, and singular values are off, as part of s_1."""

    excess: float
    sigma: float


def all_observed(matrix: Matrix) -> Ratings:
    """Every cell of a matrix as a training rating."""
    users, items = (each.ravel().astype(np.int32) for each in np.indices(matrix.shape))
    ratings = matrix.ravel().astype(np.float32)
    return Ratings(users, items, ratings, np.zeros(len(ratings), np.bool_), (matrix.shape[0], matrix.shape[1]))


def factorised(
    context: Context, matrix: Matrix, settings: TrainSettings, train: Callable[..., dict[str, Any]], shards: int = 2
) -> tuple[Matrix, dict[str, Any]]:
    """Train on a whole matrix; return U V^T in rating units, and the manifest."""
    dataset, split = publish_ratings(context, all_observed(matrix))
    blocks = grid(context, dataset, split, GridSettings(shards=shards))
    folder = context.store.run("run")
    manifest = train(context, blocks, (-np.inf, np.inf), settings, folder)
    factors = {}
    for side, count in zip(("users", "items"), matrix.shape, strict=True):
        whole = np.empty((count, settings.rank))
        for shard, entry in enumerate(manifest["shards"][side]):
            url = files.join(checkpoint.folder_of(folder), entry["path"])
            whole[shard::shards] = read_shard(url, entry["checksum"], settings.rank).factors
        factors[side] = whole
    return factors["users"] @ factors["items"].T * manifest["steps"]["deviation"], manifest


def distance(matrix: Matrix, approximation: Matrix, rank: int) -> Distance:
    """How far an approximation of that rank is from the best one, by Eckart and Young's theorem."""
    held = matrix.astype(np.float32).astype(np.float64)  # ratings are kept in float32
    sigma = np.linalg.svd(held, compute_uv=False)
    found = np.linalg.svd(approximation, compute_uv=False)[:rank]
    best, error = float(np.sqrt(np.sum(sigma[rank:] ** 2))), float(np.linalg.norm(held - approximation))
    return Distance((error - best) / float(np.linalg.norm(held)), float(np.abs(found - sigma[:rank]).max() / sigma[0]))
