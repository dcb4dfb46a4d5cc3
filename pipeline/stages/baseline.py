"""Baseline: errors of the mean rating and of the bias baseline on the validation ratings, which a model must beat.

Covers: fitting and scoring both before training, once for each grid.
Does not cover: the estimates (tasks/grid/bias_baseline.py), their tasks (pipeline/training/bias_graph.py), the
model's errors (evaluate.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from distributed import Future

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.progress.events import BaselinesMeasured, StageFinished, StageStarted
from funkflow.pipeline.root.manifests import Grid, Split
from funkflow.pipeline.root.model_manifests import Baseline
from funkflow.pipeline.training.bias_graph import fit_biases
from funkflow.pipeline.training.placed_grid import GridSource, PlacedGrid, load_grid
from funkflow.tasks.digits import rounded
from funkflow.tasks.grid.bias_baseline import mean_shard
from funkflow.tasks.grid.factor_shard import shard_rows
from funkflow.tasks.grid.scaling import Scaling
from funkflow.tasks.storage import files
from funkflow.tasks.training.saved_shards import score_mean
from funkflow.tasks.training.score import Errors, score

_STAGE = "baseline"


@dataclass(frozen=True)
class Baselines:
    """The errors of the "mean" and of the "biases" alone, {} without validation ratings.

    placed : the grid as it was loaded to measure them; None: they were known.
    """

    errors: dict[str, Errors]
    placed: PlacedGrid | None = None


def baseline(context: Context, split: Split, grid: Grid, scale: tuple[float, float], streamed: bool) -> Baselines:
    """Return the errors of the baselines on the validation ratings.

    They are stored beside the grid.

    Parameters
    ----------
    streamed : read blocks as they are needed instead of holding all of them.
    """
    if "validation" not in grid.held_out:
        return Baselines({})
    started = time.monotonic()
    folder = files.join(grid.folder, "baseline")
    known, placed = Baseline.published(folder), None
    reused = known is not None
    if known is None:
        context.notify(StageStarted(_STAGE))
        placed = load_grid(context, GridSource(grid, "validation", streamed), f"baseline-{context.attempt}")
        fitted = _fit_baselines(context, placed, scale)
        known = Baseline(folder=folder, mean=fitted["mean"], biases=fitted["biases"]).publish()
    errors = {"mean": known.mean, "biases": known.biases}
    context.notify(BaselinesMeasured(split.split, errors["mean"].rmse, errors["biases"].rmse))
    mean, biases = (rounded(errors[name].rmse, errors["mean"].rmse, errors["biases"].rmse) for name in errors)
    summary = f"RMSE {mean} (mean rating), {biases} (bias baseline) on {split.split}"
    context.notify(StageFinished(_STAGE, time.monotonic() - started, summary, reused))
    return Baselines(errors, placed)


def _fit_baselines(context: Context, data: PlacedGrid, scale: tuple[float, float]) -> dict[str, Errors]:
    client, grid, name = context.client, data.source.grid, f"baseline-{context.attempt}"
    shards, scaling = grid.shards, Scaling(grid.mean, 1.0)
    users, items = fit_biases(context, data, grid.mean, name)
    means = [mean_shard(shard_rows(grid.items, shards, b)) for b in range(shards)]

    def scores(model: str, by: Callable[..., Errors], items: Sequence[Any]) -> list[Future[Any]]:
        return [
            client.submit(
                by, held_out, users[a], items, scaling=scaling, scale=scale, key=f"score-{model}-{name}-{a}", pure=False
            )
            for a, held_out in enumerate(data.held_out)
        ]

    scored = {"mean": scores("mean", score_mean, means), "biases": scores("biases", score, items)}
    return {model: sum(errors[1:], errors[0]) for model, errors in client.gather(scored).items()}
