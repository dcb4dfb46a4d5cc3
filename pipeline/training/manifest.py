"""What all methods of training have around them: what is done is kept, the rest is begun, told of and published.

Covers: the training manifest that evaluation and export read, whatever the method.
Does not cover: how factors are found (sgd.py, batch.py, funk.py,
standard_svd.py), or checkpoints (checkpoint.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from funkflow.pipeline.cluster.context import Context, spare_memory
from funkflow.pipeline.cluster.workers import running_workers
from funkflow.pipeline.progress.events import Noticed, StageFinished, StageStarted
from funkflow.pipeline.root.manifests import Grid, Training
from funkflow.tasks.digits import rounded
from funkflow.tasks.storage import files

STAGE = "train"


def kept_or_trained(
    context: Context,
    grid: Grid,
    run_folder: str,
    most: int,
    streamed: bool,
    train: Callable[[], dict[str, Any]],
    summary: Callable[[Training], str],
) -> Training:
    """Return the training manifest of a run: the one that is there, or what `train` finds, published.

    Parameters
    ----------
    most : epochs or steps at most, for the progress; 0: not known.
    streamed : whether blocks are read whenever they are gone through, which is said.
    train : returns epochs, best_epoch, history ([training RMSE, stopping RMSE or None] for each), shards (paths below
        the run's checkpoints), seconds, cpu_target, steps, and what else the method adds.
    summary : says the manifest in a few words.
    """
    folder = files.join(run_folder, "training")
    done = Training.published(folder)
    if done is not None:
        context.notify(StageFinished(STAGE, 0.0, summary(done), reused=True))
        return done
    context.check_fits(STAGE)
    context.notify(StageStarted(STAGE, most))
    if streamed:
        context.notify(Noticed("blocks are read anew in each epoch instead of being held in memory (cluster.blocks)"))
    workers = len(running_workers(context.client))
    if workers > grid.shards:
        context.notify(
            Noticed(
                f"a grid of {grid.shards} x {grid.shards} blocks keeps {grid.shards} workers busy, and there "
                f"are {workers}; set grid.shards to {workers} or more, or use fewer workers",
                warning=True,
            )
        )
    started = time.monotonic()
    with spare_memory(context):
        found = train()
    manifest = Training.from_content(folder, {**found, "grid": grid.id})
    shards = (entry for side in ("users", "items") for entry in manifest.shards[side])
    manifest = manifest.publish([f"../checkpoints/{entry.path}" for entry in shards])
    context.notify(StageFinished(STAGE, time.monotonic() - started, summary(manifest)))
    return manifest


def best_rmse(manifest: Training) -> str:
    """Return the RMSE of the epoch that is kept, and what it was measured on, for a summary."""
    best, history = manifest.best_epoch, manifest.history
    training, stopping = history[best - 1] if best else (None, manifest.start)
    return f"training RMSE {rounded(training)}" if stopping is None else f"stopping RMSE {rounded(stopping)}"
