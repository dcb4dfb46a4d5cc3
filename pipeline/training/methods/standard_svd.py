"""Decompose: the standard methods of the SVD, on the same blocks as training.

Covers: removing the baseline, calling the method, and its result as a training manifest.
Does not cover: the methods (tasks/training/svd_methods.py; the randomised one is `dask.array.linalg.svd_compressed`),
their matrix (sparse_operator.py), the gradient methods (sgd.py).

The client gathers the singular vectors: these methods need all of them at once, so the client's memory limits them.
They have no checkpoints: an interrupted decomposition starts again.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from dask.array.linalg import svd_compressed
from distributed import Future

from funkflow.pipeline.cluster.context import run_all
from funkflow.pipeline.cluster.open import one_cpu_target
from funkflow.pipeline.progress.events import Noticed
from funkflow.pipeline.root.manifests import Training
from funkflow.pipeline.root.records import ShardFiles
from funkflow.pipeline.settings.methods import METHODS
from funkflow.pipeline.training.bias_graph import fit_biases
from funkflow.pipeline.training.checkpoint import array_entries, folder_of
from funkflow.pipeline.training.job import TrainingJob
from funkflow.pipeline.training.manifest import STAGE, best_score, reuse_or_train
from funkflow.pipeline.training.methods.sparse_operator import BlockMatrix
from funkflow.pipeline.training.placed_grid import PlacedGrid, load_grid
from funkflow.pipeline.training.step_sizes import scaling_of
from funkflow.tasks.grid.bias_baseline import mean_shard
from funkflow.tasks.grid.block_products import removed_from
from funkflow.tasks.grid.factor_shard import FactorShard, shard_of, shard_rows, write_shard
from funkflow.tasks.grid.scaling import StepSizes
from funkflow.tasks.storage import files
from funkflow.tasks.training.score import score_written_row
from funkflow.tasks.training.svd_methods import SVD_METHODS, Decomposition, refuse_what_has_none

_POWER_ITERATIONS = 4
"""Of the randomised method, where train.iterations is not set; Halko 2011 and Dask recommend no more."""


def decompose(job: TrainingJob) -> Training:
    """Return the manifest, as `sgd.train` does, of A = baseline + U diag(s) V^T, with missing entries as zero.

    In the manifest, `epochs` counts products with the matrix, and the history has one entry, the result; it also has
    `singular_values`, in rating units, the `norm` of the matrix, and the `reason` for stopping. Shards hold
    U diag(sqrt(s)) and V diag(sqrt(s)), scaled as in training.

    Raises
    ------
    SettingsError, BadInput
        The matrix lacks such singular values (tasks/training/svd_methods.py).
    NotConverged
        The method did not find them all.
    """

    def work() -> Training:
        started, method = time.monotonic(), job.settings.method
        decomposer = _Decomposer(job)
        found = decomposer.decompose()
        if found.limit_reached:
            job.context.notify(Noticed(f"train.method = {method}: {found.reason}", warning=True))
        shards = decomposer.write(found)
        return Training(
            folder=job.folder,
            grid=job.grid.id,
            epochs=decomposer.matrix.products,
            best_epoch=1,
            history=(decomposer.rmses(shards),),
            shards=shards,
            seconds=time.monotonic() - started,
            cpu_target=one_cpu_target(job.context.client),
            steps=decomposer.steps,
            counted=METHODS[method].counted,
            reason=found.reason,
            method=method,
            norm=decomposer.norm,
            singular_values=tuple(found.values.tolist()),
        ).without("start")

    return reuse_or_train(job, 0, work, _summary_of_svd)


def _summary_of_svd(manifest: Training) -> str:
    return f"{manifest.method}, {manifest.epochs} products, {manifest.reason}, {best_score(manifest)}"


@dataclass
class _Decomposer:
    """One decomposition: the blocks, the biases of the baseline, and the matrix of the remainder."""

    job: TrainingJob

    def __post_init__(self) -> None:
        self.context, self.grid, self.settings = self.job.context, self.job.grid, self.job.settings
        self.folder, name = folder_of(self.job.run_folder), self.context.attempt
        scaling = scaling_of(self.grid, self.settings.center)
        mean, self.steps = scaling.mean, StepSizes(scaling.mean, scaling.deviation)
        self.data = load_grid(self.context, self.job.source, name, before=self.job.placed)
        self.users, self.items = self._biases(self.data, mean, name)
        removed = [
            self.context.client.submit(removed_from, mean, users, *self.items, key=f"removed-{name}-{a}", pure=False)
            for a, users in enumerate(self.users)
        ]
        self.matrix = BlockMatrix(self.context, self.grid, self.data, removed, stage=STAGE)

    def _biases(self, data: PlacedGrid, mean: float, name: str) -> list[list[Future[Any]]]:
        """Return the biases of the baseline, in rating units, of users and of items; without biases, zeros."""
        if self.settings.biases:
            return list(fit_biases(self.context, data, mean, name))
        shards = self.grid.shards
        return [
            [
                self.context.client.submit(mean_shard, shard_rows(self.grid.rows_of(side), shards, a),
                                           key=f"no-bias-{side}-{name}-{a}", pure=False)
                for a in range(shards)
            ]
            for side in ("users", "items")
        ]  # fmt: skip

    def decompose(self) -> Decomposition:
        """Find the leading singular values and vectors of the matrix."""
        chosen = self.settings
        self.norm = self.matrix.norm()
        refuse_what_has_none(chosen.method, self.matrix, chosen.rank, self.norm)
        if chosen.method == "randomized":
            return self._randomized()
        find = SVD_METHODS[chosen.method]
        return find(self.matrix, chosen.rank, chosen.seed, chosen.tolerance, chosen.iterations)

    def _randomized(self) -> Decomposition:
        """Project the matrix on random columns and sharpen them by power iterations (Halko 2011), with Dask.

        With QR in between, as small singular values would else drown in the rounding of large ones.
        """
        chosen = self.settings
        rounds = _POWER_ITERATIONS if chosen.iterations is None else chosen.iterations
        left, values, right = svd_compressed(
            self.matrix.as_dask_array(), chosen.rank, iterator="QR", n_power_iter=rounds, seed=chosen.seed
        )
        found = self.context.client.gather(self.context.client.compute([left, values, right]))
        self.matrix.products += 2 * rounds + 2  # to begin with, twice in each iteration, and to end with
        return Decomposition(found[0], found[1], found[2].T, f"{rounds} power iterations")

    def write(self, found: Decomposition) -> ShardFiles:
        """Write the shards; they replace those of an interrupted attempt."""
        sides = (
            ("user", found.left, self.matrix.heights, self.users),
            ("item", found.right, self.matrix.widths, self.items),
        )
        written = {}
        for side, vectors, heights, biases in sides:
            paths = [f"shards-00001/{side}-{shard:05d}.npy" for shard in range(len(heights))]
            edges = itertools.pairwise(np.cumsum([0, *heights]).tolist())
            written[f"{side}s"] = array_entries(
                paths,
                [
                    write_shard(files.join(self.folder, path), self._scaled(vectors[start:end], found.values, of_shard))
                    for path, (start, end), of_shard in zip(
                        paths, edges, self.context.client.gather(biases), strict=True
                    )
                ],
            )
        return written

    def _scaled(
        self, vectors: npt.NDArray[np.float64], values: npt.NDArray[np.float64], biases: FactorShard
    ) -> FactorShard:
        """Return rows of U diag(sqrt(s)) or V diag(sqrt(s)) with the biases, in units of the ratings' deviation."""
        deviation = self.steps.deviation
        return shard_of(vectors * np.sqrt(values / deviation), biases.biases / deviation)

    def rmses(self, shards: ShardFiles) -> tuple[float, float | None]:
        """Return the training RMSE and the validation RMSE or None of the written shards."""
        users, items = ([entry.place(self.folder) for entry in shards[side]] for side in ("users", "items"))
        jobs = [
            (row, held_out, user, items, self.settings.rank, self.steps, self.job.scale)
            for row, held_out, user in zip(self.data.rows, self.data.held_out, users, strict=True)
        ]
        errors = run_all(self.context, STAGE, "score-decomposition", score_written_row, jobs)
        training, stopping = (sum(parts[1:], parts[0]) for parts in zip(*errors, strict=True))
        return training.rmse, stopping.rmse if stopping.ratings else None
