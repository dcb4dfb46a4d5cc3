"""Matrices without a gap, factorised by a method, beside the best that any factors of that rank can do.

Covers: making such matrices, training on them in the pure form, through the whole stage or on one block without a
cluster, and how far the result is from numpy.linalg.svd.
Does not cover: what is asserted of it (test_eckart_young.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from conftest import Ratings, publish_ratings

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.root.manifests import Training
from funkflow.pipeline.settings.sections import GridSettings, TrainSettings
from funkflow.pipeline.stages.grid import grid
from funkflow.pipeline.training import checkpoint
from funkflow.pipeline.training.job import TrainingJob
from funkflow.tasks.grid.block import RatingBlock
from funkflow.tasks.grid.factor_shard import FactorShard, ShardStart, initial_shard, read_shard
from funkflow.tasks.grid.scaling import Scaling, StepSizes
from funkflow.tasks.storage import files
from funkflow.tasks.training import batch
from funkflow.tasks.training.gradient_descent import Iterate, Rule, follow
from funkflow.tasks.training.sgd import descend_in_place

Matrix = npt.NDArray[np.float64]
Rows = tuple[batch.Rows, batch.Rows]
PURE: dict[str, Any] = {"l2": 0.0, "biases": False, "center": False, "stop_on": "nothing"}
RANK = 5
USERS, ITEMS = 40, 30


def _orthonormal(rng: np.random.Generator, rows: int) -> Matrix:
    columns, _ = np.linalg.qr(rng.normal(size=(rows, ITEMS)))
    return np.asarray(columns, np.float64)


def matrix_of(kind: str) -> Matrix:
    """Return a matrix; those that are ill-conditioned have a condition number of 1e6, and of 1e18 (Hilbert's)."""
    rng = np.random.default_rng(0)
    match kind:
        case "random":
            return rng.normal(size=(USERS, ITEMS))
        case "ratings":
            return rng.integers(1, 6, (USERS, ITEMS)).astype(np.float64)
        case "low rank":
            noise = 0.1 * rng.normal(size=(USERS, ITEMS))
            return rng.normal(size=(USERS, RANK)) @ rng.normal(size=(RANK, ITEMS)) + noise
        case "ill-conditioned":
            return _orthonormal(rng, USERS) * np.logspace(0, -6, ITEMS) @ _orthonormal(rng, ITEMS).T
    rows, columns = np.indices((USERS, ITEMS))
    return np.reciprocal(rows + columns + np.float64(1.0))


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
    context: Context, matrix: Matrix, settings: TrainSettings, train: Callable[..., Training]
) -> tuple[Matrix, Training]:
    """Train on a whole matrix as a run does, in one block; return U V^T in rating units, and the manifest."""
    dataset, split = publish_ratings(context, all_observed(matrix))
    blocks = grid(context, dataset, split, GridSettings(shards=1))
    folder = context.store.run("run")
    manifest = train(TrainingJob(context, blocks, (-np.inf, np.inf), settings, folder))
    users, items = (
        read_shard(files.join(checkpoint.folder_of(folder), entry.path), entry.checksum, settings.rank)
        for (entry,) in (manifest.shards[side] for side in ("users", "items"))
    )
    return _product(users, items, manifest.steps.deviation), manifest


def descended(matrix: Matrix, epochs: int, step: float, deviation: float | None = None) -> Matrix:
    """Return U V^T after so many epochs of the compiled stochastic descent over the one block, without a cluster."""
    block, steps = _block(matrix), _steps(matrix, step, deviation)
    users, items = (
        initial_shard(np.ones(rows, np.bool_), ShardStart(RANK, 0, 1), side, 0)
        for side, rows in zip(("user", "item"), matrix.shape, strict=True)
    )
    for _ in range(epochs):
        descend_in_place(block, users, items, steps)
    return _product(users, items, steps.deviation)


def followed(matrix: Matrix, deviation: float | None = None) -> tuple[Matrix, Iterate[Rows]]:
    """Return U V^T where full-batch descent with default settings ends on the one block, and the last place."""
    chosen, steps = TrainSettings(method="batch").batch, _steps(matrix, 0.0, deviation)
    landscape = _OneBlock(_block(matrix), steps)
    start_users, start_items = (
        batch.start_rows(np.ones(rows), ShardStart(RANK, 0, 1), side, 0)
        for side, rows in zip(("user", "item"), matrix.shape, strict=True)
    )
    rule = Rule(chosen.step, chosen.momentum, chosen.steps, chosen.tolerance)
    *_, last = follow(landscape, (start_users, start_items), rule)
    users, items = last.point
    return _product(batch.as_shard(users), batch.as_shard(items), steps.deviation), last


@dataclass(frozen=True)
class _OneBlock:
    """The objective over one block, without biases and penalty, from the same functions as tasks on a grid are."""

    block: RatingBlock
    steps: StepSizes

    def evaluate(self, point: Rows) -> tuple[float, Rows]:
        part = batch.block_part(self.block, *point, self.steps, None)
        users, items = (
            batch.with_penalty(rows, np.ones(len(rows)), 0.0, False, slopes)
            for rows, slopes in zip(point, (part.users, part.items), strict=True)
        )
        return part.squared_error, (users, items)

    def moved(self, point: Rows, by: float, along: Rows) -> Rows:
        return batch.moved(point[0], by, along[0]), batch.moved(point[1], by, along[1])

    def inner_products(self, pairs: Sequence[tuple[Rows, Rows]]) -> list[float]:
        sides = [batch.inner_products(*(rows[side] for pair in pairs for rows in pair)) for side in range(2)]
        return [users + items for users, items in zip(*sides, strict=True)]


def _block(matrix: Matrix) -> RatingBlock:
    made = all_observed(matrix)
    return RatingBlock.of(made.users, made.items, made.ratings, made.shape)


def _steps(matrix: Matrix, step: float, deviation: float | None) -> StepSizes:
    held = matrix.astype(np.float32).astype(np.float64)
    mean, own = astuple(Scaling.of(float(held.mean()), float(np.mean(held**2)), center=False))
    return StepSizes(mean, own if deviation is None else deviation, l2=0.0, step=step, bias_step=0.0)


def _product(users: FactorShard, items: FactorShard, deviation: float) -> Matrix:
    return np.asarray(users.factors.astype(np.float64) @ items.factors.astype(np.float64).T * deviation)


def distance(matrix: Matrix, approximation: Matrix, rank: int = RANK) -> Distance:
    """How far an approximation of that rank is from the best one, by Eckart and Young's theorem."""
    held = matrix.astype(np.float32).astype(np.float64)  # ratings are kept in float32
    sigma = np.linalg.svd(held, compute_uv=False)
    found = np.linalg.svd(approximation, compute_uv=False)[:rank]
    best, error = float(np.sqrt(np.sum(sigma[rank:] ** 2))), float(np.linalg.norm(held - approximation))
    return Distance((error - best) / float(np.linalg.norm(held)), float(np.abs(found - sigma[:rank]).max() / sigma[0]))
