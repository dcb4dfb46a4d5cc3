"""Evaluate: RMSE and MAE on the validation ratings, of the trained model and of the baselines.

Covers: the scoring tasks of the model and, for synthetic data, of the planted truth.
Does not cover: the sums (tasks/training/score.py), scoring a saved model (pipeline/models/saved_scores.py), the
baselines (baseline.py), the validation ratings (split.py, grid.py).
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from funkflow.pipeline.cluster.context import Context, run_all, spare_memory, submit_shared
from funkflow.pipeline.models.saved_scores import placed_in_other, scored
from funkflow.pipeline.progress.events import StageFinished, StageStarted
from funkflow.pipeline.root.manifests import Training, TrainingData
from funkflow.pipeline.root.model_manifests import Evaluation
from funkflow.pipeline.root.store import nothing_half_written
from funkflow.pipeline.training.times import saved_times
from funkflow.tasks.digits import rounded
from funkflow.tasks.model.about import read_about
from funkflow.tasks.model.parts import ModelParts
from funkflow.tasks.storage import files
from funkflow.tasks.training.saved_shards import read_shards, score_saved
from funkflow.tasks.training.score import Errors

_STAGE = "evaluate"


def evaluate(
    context: Context, data: TrainingData, training: Training, rank: int, baselines: Mapping[str, Errors],
    truth: str = "",
) -> Evaluation | None:  # fmt: skip
    """Return RMSE and MAE on the validation ratings; None without any.

    Parameters
    ----------
    baselines : errors of the mean rating and of the bias baseline (baseline.py).
    truth : folder of the planted model, for synthetic data; empty otherwise.
    """
    if "validation" not in data.grid.held_out:
        return None
    started = time.monotonic()
    folder = files.join(training.run_folder, "evaluation")
    found = Evaluation.published(folder)
    reused = found is not None
    if found is None:
        context.check_fits(_STAGE)
        context.notify(StageStarted(_STAGE, data.grid.shards))
        errors = {"model": _model_errors(context, data, training, rank), **baselines}
        if truth:
            errors["truth"] = _truth_errors(context, data, truth)
        measured = {name: {"rmse": each.rmse, "mae": each.mae} for name, each in errors.items()}
        ratings = data.grid.held_out["validation"].ratings
        found = Evaluation.from_content(folder, {**measured, "split": data.split.split, "ratings": ratings}).publish()
    rmse, mae = found.model.rmse, found.model.mae
    summary = f"RMSE {rounded(rmse, mae)}, MAE {rounded(mae, rmse)} on {found.split}"
    context.notify(StageFinished(_STAGE, time.monotonic() - started, summary, reused))
    return found


def _model_errors(context: Context, data: TrainingData, training: Training, rank: int) -> Errors:
    users, items = (training.shard_places(side) for side in ("users", "items"))
    held_out, scale = data.grid.held_out_places("validation"), data.dataset.bounds
    with spare_memory(context):
        loaded = submit_shared(context, "load-item-shards", read_shards, items, rank)
        times = saved_times(training)
        jobs = [
            (place, user, loaded, rank, training.steps, scale, times, shard)
            for shard, (place, user) in enumerate(zip(held_out, users, strict=True))
        ]
        return _add_up(run_all(context, _STAGE, "score-model", score_saved, jobs))


def _truth_errors(context: Context, data: TrainingData, truth: str) -> Errors:
    """Score the planted model; its raw ids give the rows of the ratings."""
    parts = ModelParts.of(truth, read_about(truth))
    scratch = context.store.scratch(f"truth-{context.attempt}")
    with nothing_half_written(temporary=(scratch,)):
        pieces = placed_in_other(context, _STAGE, data, parts, scratch)
        return scored(context, _STAGE, "score-truth", pieces, parts)


def _add_up(parts: list[Errors]) -> Errors:
    return sum(parts[1:], parts[0])
