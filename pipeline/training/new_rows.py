"""Rows that no rating has trained, after a training: those that features say, and the prior of rows that come later.

Covers: the tasks of both, and their manifest beside the training.
Does not cover: the work of a task (tasks/training/new_rows/), folding rows in (pipeline/stages/fold_given.py,
tasks/model/items.py).
"""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from funkflow.pipeline.cluster.context import Context, run_all, spare_memory
from funkflow.pipeline.progress.events import StageFinished, StageStarted
from funkflow.pipeline.root.manifests import Training, TrainingData
from funkflow.pipeline.root.records import NewRows
from funkflow.pipeline.root.store import nothing_half_written
from funkflow.pipeline.root.typed_json import FileEntry
from funkflow.pipeline.settings.train import TrainSettings
from funkflow.pipeline.training.placed_grid import stored_row
from funkflow.tasks.grid.block import StoredRow
from funkflow.tasks.grid.factor_shard import shard_rows
from funkflow.tasks.model.about import SIDES, Place
from funkflow.tasks.storage import files
from funkflow.tasks.training.batch import count_ratings
from funkflow.tasks.training.implicit.schedule import RIDGE
from funkflow.tasks.training.new_rows import cold_rows
from funkflow.tasks.training.new_rows import prior as tasks

_STAGE, _DOING = "rows", "new-rows"
_NUMBERS = itertools.count()
Sides = Mapping[str, tuple[FileEntry, ...]]


def with_new_rows(
    context: Context, data: TrainingData, training: Training, settings: TrainSettings, features: Mapping[str, Place]
) -> Training:
    """Return the training with rows that features say, and with the prior of new rows, which rankings do not have.

    features : of "user" and "item", where there are any.
    """
    if settings.weighs_missing_cells and not features:
        return training
    folder, started = files.join(training.run_folder, "new-rows"), time.monotonic()
    made = None if context.trains_anew else NewRows.published(folder)
    reused = made is not None
    if made is None:
        context.notify(StageStarted(_STAGE, data.grid.shards))
        work = _NewRows(context, data, training, training.rank(settings.rank), folder)
        with nothing_half_written(folder), spare_memory(context):
            files.remove_tree(folder)
            filled = work.filled(features)
            has_prior = not settings.weighs_missing_cells and work.noise > 0.0
            sides, second = work.prior(settings) if has_prior else ((), ())
            made = NewRows(folder=folder, noise=work.noise, sides=sides, second=second, filled=filled)
            made = made.publish([entry.path for entry in (*sides, *second, *itertools.chain(*filled.values()))])
    context.notify(StageFinished(_STAGE, time.monotonic() - started, _summary(made), reused))
    return replace(training, new_rows=made)


def _summary(made: NewRows) -> str:
    by_pairs = " and who rated what" if made.second else ""
    found = [f"for new users and items by all rows{by_pairs}"] if made.sides else []
    found += [f"of {side} without ratings by their features" for side in made.filled]
    return "; ".join(found) or "none"


@dataclass(frozen=True)
class _NewRows:
    """The tasks over the shards of a training, which they leave as they are."""

    context: Context
    data: TrainingData
    training: Training
    rank: int
    folder: str

    @property
    def noise(self) -> float:
        """The variance of ratings about predictions, in units of training; 0 of a method that does not measure it."""
        rmse = self.training.history[max(0, self.training.best_epoch - 1)][0]
        return float(((rmse or 0.0) / self.training.steps.deviation) ** 2)

    def prior(self, settings: TrainSettings) -> tuple[tuple[FileEntry, ...], tuple[FileEntry, ...]]:
        """Write the prior of new rows; return the files of both sides and of second factors."""
        grid, (users, items) = self.data.grid, self._places
        ranks = [self.rank] * grid.shards
        of_users, of_items = self._moments(users, ranks), self._moments(items, ranks)
        second: tuple[FileEntry, ...] = ()
        if settings.implicit_for(grid.ratings, grid.users + grid.items) != "none":
            found = self._second_factors(users, of_users)
            of_users = self._moments(users, ranks, self._rows, [found] * grid.shards)
            sizes = [shard_rows(grid.items, grid.shards, shard) for shard in range(grid.shards)]
            parts = [(found, sum(sizes[:shard]), size) for shard, size in enumerate(sizes)]
            second = self._written("second-{:05d}.npy", tasks.write_second, parts)
        sides = self._written(
            "side-{:05d}.npy", tasks.write_moments, [(each, self.noise) for each in (of_users, of_items)]
        )
        return sides, second

    def filled(self, features: Mapping[str, Place]) -> Sides:
        """Write the shards of sides with features, with rows without ratings that these say; return the files."""
        if not features:
            return {}
        counted = [self._task(count_ratings, row) for row in self._rows]
        made: dict[str, tuple[FileEntry, ...]] = {}
        for side, places in zip(SIDES, self._places, strict=True):
            if side not in features:
                continue
            saved, shards = cold_rows.SavedSide(tuple(places), self.rank, features[side]), range(len(places))
            counts = [
                self._task(cold_rows.user_counts, counted[shard], shard) if side == "user"
                else self._task(cold_rows.item_counts, counted, shard)
                for shard in shards
            ]  # fmt: skip
            sums = [self._task(cold_rows.feature_sums, saved, counts[shard], shard) for shard in shards]
            effects = self._task(cold_rows.effects_of, *sums)
            jobs = [(saved, counts[shard], effects, shard) for shard in shards]
            made[f"{side}s"] = self._written(side + "-{:05d}.npy", cold_rows.write_with_cold_rows, jobs)
        return made

    @property
    def _places(self) -> tuple[list[Place], list[Place]]:
        return self.training.shard_places("users"), self.training.shard_places("items")

    @functools.cached_property
    def _rows(self) -> list[StoredRow]:
        return [stored_row(self.context, self.data.grid, row) for row in range(self.data.grid.shards)]

    def _moments(self, places: list[Place], *more: Sequence[Any]) -> Any:
        parts = (self._task(tasks.moments_of, *each) for each in zip(places, *more, strict=True))
        return self._task(tasks.total, *parts)

    def _second_factors(self, users: list[Place], moments: Any) -> Any:
        """Submit the regression of the users' rows on who rated what; return the task of its second factors."""
        grid = self.data.grid
        parts = [
            self._task(tasks.pull_part, place, self.rank, row, moments)
            for place, row in zip(users, self._rows, strict=True)
        ]
        search = self._task(tasks.begin_search, RIDGE * grid.ratings / (grid.users + grid.items), *parts)
        for _ in range(tasks.STEPS):
            search = self._task(tasks.step, search, *(self._task(tasks.search_part, row, search) for row in self._rows))
        return self._task(tasks.second_of, search)

    def _task(self, function: Callable[..., Any], *arguments: Any) -> Any:
        key = f"{_DOING}-{self.context.attempt}-{next(_NUMBERS):04d}"
        return self.context.client.submit(function, *arguments, key=key, pure=False)

    def _written(
        self, name: str, function: Callable[..., str], jobs: Sequence[tuple[Any, ...]]
    ) -> tuple[FileEntry, ...]:
        """Write a file for each job, which it takes first; return the entries."""
        names = [name.format(number) for number in range(len(jobs))]
        urls = [(files.join(self.folder, each), *job) for each, job in zip(names, jobs, strict=True)]
        checksums = run_all(self.context, _STAGE, _DOING, function, urls)
        return tuple(FileEntry.array(*each) for each in zip(names, checksums, strict=True))
