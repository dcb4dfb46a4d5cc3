"""Decompose: the standard methods of the SVD, in the place of training, on the same blocks.

Covers: which baseline is removed first, which method runs, and its result in the form in which training leaves its own.
Does not cover: the methods (tasks/training/svd_methods.py; the randomised one is `dask.array.linalg.svd_compressed`),
the matrix they see (sparse_operator.py), or the gradient methods (sgd.py).

Singular vectors are gathered by the client: these methods need all of them at once, which is why they end where memory
does. There are no checkpoints either: an interrupted decomposition begins anew.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from dask.array.linalg import svd_compressed
from distributed import Future

from funkflow.pipeline.cluster.context import Context, run_all
from funkflow.pipeline.cluster.open import one_cpu_target
from funkflow.pipeline.progress.events import Noticed
from funkflow.pipeline.root.manifests import Grid, Training
from funkflow.pipeline.settings.methods import METHODS
from funkflow.pipeline.settings.sections import TrainSettings
from funkflow.pipeline.training.bias_graph import fit_biases
from funkflow.pipeline.training.checkpoint import folder_of
from funkflow.pipeline.training.manifest import STAGE, best_rmse, kept_or_trained
from funkflow.pipeline.training.placed_grid import PlacedGrid, load_grid
from funkflow.pipeline.training.sparse_operator import BlockMatrix
from funkflow.pipeline.training.step_sizes import scaling_of
from funkflow.tasks.grid.block_products import removed_from
from funkflow.tasks.grid.factor_shard import FactorShard, shard_of, shard_rows, write_shard
from funkflow.tasks.grid.scaling import StepSizes
from funkflow.tasks.storage import files
from funkflow.tasks.training.bias_baseline import mean_shard
from funkflow.tasks.training.score import score_written_row
from funkflow.tasks.training.svd_methods import SVD_METHODS, Decomposition, refuse_what_has_none

_POWER_ITERATIONS = 4
"""Of the randomised method, where train.iterations is not set; Halko 2011 and Dask recommend no more."""


def decompose(
    context: Context, grid: Grid, scale: tuple[float, float], settings: TrainSettings, run_folder: str,
    streamed: bool = False,
) -> Training:  # fmt: skip
    """Return the training manifest, as train() does, of A = baseline + U diag(s) V^T with unknown entries as zero.

    `epochs` counts products with the matrix, as `counted` says, and the history has one entry: the end. Besides,
    `singular_values`, in rating units, and `norm` of the matrix, and the `reason` for stopping. Shards hold
    U diag(sqrt(s)) and V diag(sqrt(s)), scaled as those of training are.

    Raises
    ------
    SettingsError, BadInput
        There are no such singular values (tasks/training/svd_methods.py).
    NotConverged
        The method did not find them all.
    """

    def work() -> dict[str, Any]:
        started = time.monotonic()
        folder, the = folder_of(run_folder), _Work(context, grid, scale, settings, streamed)
        found = the.decompose()
        if found.limit_reached:
            context.notify(Noticed(f"train.method = {settings.method}: {found.reason}", warning=True))
        shards = the.write(found, folder)
        return {
            "epochs": the.matrix.products,
            "counted": METHODS[settings.method].counted,
            "best_epoch": 1,
            "history": the.history(shards, folder),
            "shards": shards,
            "seconds": time.monotonic() - started,
            "cpu_target": one_cpu_target(context.client),
            "steps": asdict(the.steps),
            "method": settings.method,
            "reason": found.reason,
            "norm": the.norm,
            "singular_values": found.values.tolist(),
        }

    return kept_or_trained(context, grid, run_folder, 0, streamed, work, _summary)


def _summary(manifest: Training) -> str:
    done = f"{manifest.method}, {manifest.epochs} products, {manifest.reason}"
    return f"{done}, {best_rmse(manifest)}"


@dataclass
class _Work:
    """One decomposition: the blocks, the baseline's biases where one is removed, and what is left as a matrix."""

    context: Context
    grid: Grid
    scale: tuple[float, float]
    settings: TrainSettings
    streamed: bool

    def __post_init__(self) -> None:
        grid, name = self.grid, self.context.attempt
        scaling = scaling_of(grid, self.settings.center)
        mean, self.steps = scaling.mean, StepSizes(scaling.mean, scaling.deviation)
        stop_on = None if self.settings.stop_on == "nothing" else self.settings.stop_on
        self.data = load_grid(self.context, grid, stop_on, name, self.streamed)
        self.users, self.items = self._biases(self.data, mean, name)
        removed = [
            self.context.client.submit(removed_from, mean, users, *self.items, key=f"removed-{name}-{a}", pure=False)
            for a, users in enumerate(self.users)
        ]
        self.matrix = BlockMatrix(self.context, grid, self.data, removed, STAGE, name)

    def _biases(self, data: PlacedGrid, mean: float, name: str) -> list[list[Future[Any]]]:
        """Return the biases that are removed, in rating units, of users and of items; zeros where none are."""
        if self.settings.biases:
            return list(fit_biases(self.context, data, mean, name))
        shards = self.grid.shards
        return [
            [
                self.context.client.submit(
                    mean_shard,
                    shard_rows(self.grid.rows_of(side), shards, a),
                    key=f"no-bias-{side}-{name}-{a}",
                    pure=False,
                )
                for a in range(shards)
            ]
            for side in ("users", "items")
        ]

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
        """Let Dask project the matrix on random columns and sharpen them by power iterations (Halko 2011).

        Iterated with QR in between, without which small singular values drown in the rounding of great ones.
        """
        chosen = self.settings
        rounds = _POWER_ITERATIONS if chosen.iterations is None else chosen.iterations
        left, values, right = svd_compressed(
            self.matrix.as_dask_array(), chosen.rank, iterator="QR", n_power_iter=rounds, seed=chosen.seed
        )
        found = self.context.client.gather(self.context.client.compute([left, values, right]))
        self.matrix.products += 2 * rounds + 2  # to begin with, twice in each iteration, and to end with
        return Decomposition(found[0], found[1], found[2].T, f"{rounds} power iterations done")

    def write(self, found: Decomposition, folder: str) -> dict[str, Any]:
        """Write the shards; return their manifest entry. They replace what an interrupted attempt left."""
        sides = (
            ("user", found.left, self.matrix.heights, self.users),
            ("item", found.right, self.matrix.widths, self.items),
        )
        written: dict[str, Any] = {}
        for side, vectors, heights, biases in sides:
            starts = np.cumsum([0, *heights]).tolist()
            written[f"{side}s"] = entries = []
            for shard, of_shard in enumerate(self.context.client.gather(biases)):
                rows = vectors[starts[shard] : starts[shard + 1]]
                path = f"shards-00001/{side}-{shard:05d}.npy"
                checksum = write_shard(files.join(folder, path), self._scaled(rows, found.values, of_shard))
                entries.append({"path": path, "checksum": checksum})
        return written

    def _scaled(
        self, vectors: npt.NDArray[np.float64], values: npt.NDArray[np.float64], biases: FactorShard
    ) -> FactorShard:
        """Return rows of U diag(sqrt(s)) or V diag(sqrt(s)) with the biases, in units of the ratings' deviation."""
        deviation = self.steps.deviation
        return shard_of(vectors * np.sqrt(values / deviation), biases.biases / deviation)

    def history(self, shards: dict[str, Any], folder: str) -> list[list[float | None]]:
        """Return [[training RMSE, stopping RMSE or None]] of the shards as they were written."""
        users, items = (
            [(files.join(folder, entry["path"]), entry["checksum"]) for entry in shards[side]]
            for side in ("users", "items")
        )
        jobs = [
            (row, held_out, user, items, self.settings.rank, self.steps, self.scale)
            for row, held_out, user in zip(self.data.rows, self.data.held_out, users, strict=True)
        ]
        errors = run_all(self.context, STAGE, "score-decomposition", score_written_row, jobs)
        training, stopping = (sum(parts[1:], parts[0]) for parts in zip(*errors, strict=True))
        return [[training.rmse, stopping.rmse if stopping.ratings else None]]
