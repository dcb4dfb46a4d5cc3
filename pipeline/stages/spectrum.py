"""Spectrum: the singular values of a saved model, and its errors with fewer factors.

Covers: the tasks, `spectrum.parquet` in the model's folder, and the two rotations beside it.
Does not cover: the canonical form (pipeline/models/canonical_graph.py), the errors of a rank
(tasks/model/errors_by_rank.py).
"""

from __future__ import annotations

import time

from funkflow.pipeline.cluster.context import Context, run_all
from funkflow.pipeline.models.canonical_graph import (
    ROTATIONS,
    names_of,
    predict_canonical_bytes,
    rotations_of,
    spectrum_id,
    tasks_of_core,
)
from funkflow.pipeline.progress.events import StageFinished, StageStarted
from funkflow.pipeline.root.manifests import Grid
from funkflow.pipeline.root.model_manifests import Spectrum
from funkflow.tasks.evaluation.score_ranks import CanonicalModel, score_ranks
from funkflow.tasks.model.about import Place, read_about
from funkflow.tasks.model.algebra import matrix_name
from funkflow.tasks.model.errors_by_rank import RankErrors, spectrum_table
from funkflow.tasks.model.parts import ModelParts
from funkflow.tasks.storage import files, npy

_STAGE = "spectrum"


def spectrum(
    context: Context, model_folder: str, grid_folder: str | None = None, fold_biases: bool = False
) -> Spectrum:
    """Write a model's spectrum beside it; one that is there already is kept.

    The table has rank, singular_value, energy, cumulative_energy, and rmse and mae of the predictions at that rank.

    Parameters
    ----------
    grid_folder : where the validation ratings lie by user shard, in the order of the model's parts; None: no errors.
    fold_biases : the spectrum of µ + b_u + b_i + U Vᵀ, of rank k + 2, instead of that of U Vᵀ.

    Raises
    ------
    BadInput
        The matrix is zero.
    """
    started = time.monotonic()
    manifest = None if context.trains_anew else known_spectrum(model_folder, grid_folder, fold_biases)
    reused = manifest is not None
    if manifest is None:
        manifest = _measure_spectrum(context, model_folder, grid_folder, fold_biases)
    table = files.join(model_folder, manifest.table)
    context.notify(StageFinished(_STAGE, time.monotonic() - started, table, reused))
    return manifest


def known_spectrum(model_folder: str, grid_folder: str | None, fold_biases: bool) -> Spectrum | None:
    """Return the manifest of a spectrum that is there already, measured on that grid's validation if it has any."""
    about, grid = read_about(model_folder), _measurable(grid_folder)
    manifest = Spectrum.published(files.join(model_folder, names_of(fold_biases)[1]))
    if manifest is None or manifest.id != spectrum_id(about, fold_biases):
        return None
    return manifest if grid is None or manifest.grid == grid.id else None


def predict_spectrum_bytes(
    model_folder: str, grid_folder: str | None, vectors: bool, workers: int, threads: int
) -> tuple[int, int]:
    """Return the predicted peaks, of all processes and of one worker, with the errors on that grid's validation."""
    grid = _measurable(grid_folder)
    held_out = grid.held_out["validation"].ratings if grid else 0
    return predict_canonical_bytes(read_about(model_folder), held_out, vectors, workers, threads)


def _measurable(grid_folder: str | None) -> Grid | None:
    """Return the grid if it has validation ratings."""
    grid = Grid.published(grid_folder) if grid_folder else None
    return grid if grid and "validation" in grid.held_out else None


def _measure_spectrum(context: Context, model_folder: str, grid_folder: str | None, fold_biases: bool) -> Spectrum:
    about, grid = read_about(model_folder), _measurable(grid_folder)
    parts = ModelParts.of(model_folder, about)
    context.check_fits(_STAGE)
    context.notify(StageStarted(_STAGE, tasks_of_core(parts) + (len(parts.users) if grid else 0)))
    rotations = rotations_of(context, _STAGE, parts, fold_biases)
    measured: dict[str, object] = {"grid": None, "ratings": 0}
    errors = None
    if grid is not None:
        errors = _rank_errors(
            context, CanonicalModel(parts, rotations, fold_biases), grid.held_out_places("validation")
        )
        at_zero = {"rmse": float(errors.rmse[0]), "mae": float(errors.mae[0])}
        measured = {"grid": grid.id, "split": about.get("split"), "ratings": errors.ratings, **at_zero}
    table, name = names_of(fold_biases)
    folder = files.join(model_folder, name)
    sums = {table: files.write_table(files.join(model_folder, table), spectrum_table(rotations.values, errors))}
    for each, rotation in zip(ROTATIONS, (rotations.users, rotations.items), strict=True):
        sums[each] = npy.write_array(files.join(folder, each), rotation)
    content = {"id": spectrum_id(about, fold_biases), "of": matrix_name(fold_biases), "table": table, "checksums": sums}
    return Spectrum.from_content(folder, {**content, **measured}).publish([f"../{table}", *ROTATIONS])


def _rank_errors(context: Context, model: CanonicalModel, places: list[Place]) -> RankErrors:
    jobs = [(model, number, place) for number, place in enumerate(places)]
    scored = run_all(context, _STAGE, "score-ranks", score_ranks, jobs)
    return sum(scored[1:], scored[0])
