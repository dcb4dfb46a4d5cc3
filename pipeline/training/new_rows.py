"""What new rows are like, measured on the rows of a training: the prior of users and items that come later.

Covers: the tasks that measure it, and its manifest beside the training.
Does not cover: the work of a task (tasks/training/implicit/new_rows.py), folding rows in
(pipeline/stages/fold_given.py, tasks/model/items.py).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from funkflow.pipeline.cluster.context import Context, run_all, spare_memory
from funkflow.pipeline.root.manifests import Training, TrainingData
from funkflow.pipeline.root.records import NewRows
from funkflow.pipeline.root.store import nothing_half_written
from funkflow.pipeline.root.typed_json import FileEntry
from funkflow.pipeline.settings.train import TrainSettings
from funkflow.pipeline.training.placed_grid import stored_row
from funkflow.tasks.grid.factor_shard import shard_rows
from funkflow.tasks.model.about import SIDES
from funkflow.tasks.storage import files
from funkflow.tasks.training.implicit import new_rows as tasks
from funkflow.tasks.training.implicit.schedule import RIDGE

_DOING = "new-rows"


def with_new_rows(context: Context, data: TrainingData, training: Training, settings: TrainSettings) -> Training:
    """Return the training with the prior of new rows; a ranking's new rows have none of their own."""
    if settings.weighs_missing_cells:
        return training
    folder = files.join(training.run_folder, "new-rows")
    made = None if context.trains_anew else NewRows.published(folder)
    if made is None:
        with nothing_half_written(folder), spare_memory(context):
            files.remove_tree(folder)
            made = _measure(context, data, training, settings, folder)
    return replace(training, new_rows=made)


def _measure(context: Context, data: TrainingData, training: Training, settings: TrainSettings, folder: str) -> NewRows:
    grid, rank = data.grid, training.rank(settings.rank)
    users, items = (training.shard_places(side) for side in ("users", "items"))
    noise = (training.history[max(0, training.best_epoch - 1)][0] / training.steps.deviation) ** 2
    submit = context.client.submit

    def task(function: Any, *arguments: Any) -> Any:
        return submit(function, *arguments, pure=False)

    def summed(places: list[Any], *more: list[Any]) -> Any:
        return task(tasks.total, *(task(tasks.moments_of, *each) for each in zip(places, *more, strict=True)))

    ranks = [rank] * grid.shards
    of_users, of_items = summed(users, ranks), summed(items, ranks)
    second: list[FileEntry] = []
    if settings.implicit_for(grid.ratings, grid.users + grid.items) != "none":
        rows = [stored_row(context, grid, row) for row in range(grid.shards)]
        found = _second_factors(task, users, rank, rows, of_users, RIDGE * grid.ratings / (grid.users + grid.items))
        of_users = summed(users, ranks, rows, [found] * grid.shards)
        sizes = [shard_rows(grid.items, grid.shards, shard) for shard in range(grid.shards)]
        names = [f"second-{shard:05d}.npy" for shard in range(grid.shards)]
        jobs = [
            (files.join(folder, name), found, sum(sizes[:shard]), size)
            for shard, (name, size) in enumerate(zip(names, sizes, strict=True))
        ]
        written = run_all(context, "export", _DOING, tasks.write_second, jobs)
        second = [FileEntry.array(*each) for each in zip(names, written, strict=True)]
    paths = [f"{side}.npy" for side in SIDES]
    priors = [(files.join(folder, path), each, noise) for path, each in zip(paths, (of_users, of_items), strict=True)]
    written = run_all(context, "export", _DOING, tasks.write_moments, priors)
    sides = tuple(FileEntry.array(*each) for each in zip(paths, written, strict=True))
    made = NewRows(folder=folder, noise=noise, sides=sides, second=tuple(second))
    return made.publish([entry.path for entry in (*sides, *second)])


def _second_factors(task: Any, users: list[Any], rank: int, rows: list[Any], moments: Any, ridge: float) -> Any:
    """Submit the regression of the users' rows on who rated what; return the task of its second factors."""
    parts = [task(tasks.pull_part, place, rank, row, moments) for place, row in zip(users, rows, strict=True)]
    search = task(tasks.begin_search, ridge, *parts)
    for _ in range(tasks.STEPS):
        search = task(tasks.step, search, *(task(tasks.search_part, row, search) for row in rows))
    return task(tasks.second_of, search)
