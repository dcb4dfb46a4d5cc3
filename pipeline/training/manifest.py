"""The training manifest: reused, or trained for and published.

Covers: the steps around every method of training, and their events.
Does not cover: the methods (methods/), checkpoints (checkpoint.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable

from funkflow.pipeline.cluster.context import spare_memory
from funkflow.pipeline.cluster.workers import running_workers
from funkflow.pipeline.progress.events import Noticed, StageFinished, StageStarted
from funkflow.pipeline.root.manifests import Training
from funkflow.pipeline.training.job import TrainingJob
from funkflow.tasks.digits import rounded

STAGE = "train"


def reuse_or_train(
    job: TrainingJob, most: int, train: Callable[[], Training], summary: Callable[[Training], str]
) -> Training:
    """Return the training manifest of a run: the published one, or that of `train`, which is then published.

    Parameters
    ----------
    most : limit of epochs or steps, for the progress; 0: not known.
    summary : describes the manifest in a few words.
    """
    context, shards = job.context, job.grid.shards
    done = Training.published(job.folder)
    if done is not None:
        context.notify(StageFinished(STAGE, 0.0, summary(done), reused=True))
        return done
    context.check_fits(STAGE)
    context.notify(StageStarted(STAGE, most))
    if job.streamed:
        context.notify(Noticed("each epoch reads its blocks again instead of keeping them in memory (cluster.blocks)"))
    workers = len(running_workers(context.client))
    if workers > shards:
        context.notify(
            Noticed(
                f"a grid of {shards} x {shards} blocks keeps only {shards} of {workers} workers busy; "
                f"set grid.shards to {workers} or more, or use fewer workers",
                warning=True,
            )
        )
    started = time.monotonic()
    with spare_memory(context):
        manifest = train().compact()
    kept = manifest.posterior.kept if manifest.posterior else ()
    sides = (*manifest.shards.values(), *(side for draw in kept for side in (draw.users, draw.items)))
    sides += (manifest.times.users, manifest.times.items) if manifest.times else ()
    manifest = manifest.publish([f"../checkpoints/{entry.path}" for side in sides for entry in side])
    context.notify(StageFinished(STAGE, time.monotonic() - started, summary(manifest)))
    return manifest


def best_score(manifest: Training) -> str:
    """Return the measure of the best epoch that decided, or else its training RMSE, for a summary."""
    best, history, ranked = manifest.best_epoch, manifest.history, manifest.ranked
    if ranked:
        return f"validation NDCG@{ranked.places} {ranked.ndcg[best - 1] if best else manifest.start or 0.0:.4f}"
    training, stopping = history[best - 1] if best else (None, manifest.start)
    return f"training RMSE {rounded(training)}" if stopping is None else f"validation RMSE {rounded(stopping)}"
