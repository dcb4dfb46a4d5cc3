"""Fold in: rows of validation users (split.kind = "users"), from their given ratings, after training.

Covers: a task for each user shard, and the manifest of the shards that they write.
Does not cover: the rows (tasks/training/saved_shards.py), or which ratings are given (split.py).

Evaluation and export then take these shards in place of the trained ones, which hold zeros for such users.
"""

from __future__ import annotations

import time
from dataclasses import replace

from funkflow.pipeline.cluster.context import Context, run_all, spare_memory, submit_shared
from funkflow.pipeline.progress.events import StageFinished, StageStarted
from funkflow.pipeline.root.manifests import Training, TrainingData
from funkflow.pipeline.root.model_manifests import Folded
from funkflow.pipeline.root.store import nothing_half_written
from funkflow.pipeline.root.typed_json import FileEntry
from funkflow.pipeline.settings.sections import TrainSettings
from funkflow.tasks.model.fold.fold_in import Penalty
from funkflow.tasks.storage import files
from funkflow.tasks.training.new_rows.prior import read_prior
from funkflow.tasks.training.saved_shards import fold_shard, read_item_rows

_STAGE = "fold"


def fold_given(
    context: Context, data: TrainingData, training: Training, settings: TrainSettings, alpha: float
) -> Training:
    """Return the training with the rows of validation users; as it is, if there are no given ratings.

    alpha : weight of a missing cell.
    """
    if "given" not in data.grid.held_out:
        return training
    started = time.monotonic()
    folder = files.join(training.run_folder, "folded")
    made = Folded.published(folder)
    reused = made is not None
    if made is None:
        context.check_fits("evaluate")  # likewise a user shard for each task, and all item shards
        context.notify(StageStarted(_STAGE, data.grid.shards))
        with nothing_half_written(folder), spare_memory(context):
            files.remove_tree(folder)
            made = _fold(context, data, training, settings, alpha).publish(
                [f"{n:05d}.npy" for n in range(data.grid.shards)]
            )
    summary = f"{made.folded:,} validation users folded in from {made.ratings:,} ratings"
    context.notify(StageFinished(_STAGE, time.monotonic() - started, summary, reused))
    return replace(training, folded=made.users)


def _fold(context: Context, data: TrainingData, training: Training, settings: TrainSettings, alpha: float) -> Folded:
    folder, rank, steps = files.join(training.run_folder, "folded"), training.rank(settings.rank), training.steps
    penalty = Penalty(steps.l2, steps.l2, settings.biases, alpha, data.dataset.counts, training.common_user)
    prior = None
    if (found := training.new_rows) and found.sides:
        second = [entry.place(found.folder) for entry in found.second]
        user = found.sides[0].place(found.folder)
        prior = submit_shared(context, "load-new-rows", read_prior, user, found.noise, second)
    items = submit_shared(context, "load-item-rows", read_item_rows, training.shard_places("items"), rank)
    given = data.grid.held_out_places("given")
    names = [f"{number:05d}.npy" for number in range(data.grid.shards)]
    jobs = [
        (user, ratings, items, rank, steps, penalty, files.join(folder, name), prior)
        for user, ratings, name in zip(training.shard_places("users"), given, names, strict=True)
    ]
    written = run_all(context, _STAGE, "fold", fold_shard, jobs)
    return Folded(
        folder=folder,
        users=tuple(FileEntry.array(name, checksum) for name, (checksum, _) in zip(names, written, strict=True)),
        folded=sum(count for _, count in written),
        ratings=data.grid.held_out["given"].ratings,
    )
