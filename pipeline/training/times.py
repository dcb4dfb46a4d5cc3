"""Which effects of time a training has.

Covers: the calendar from the days of all ratings, where the effects of validation ratings are, sums of effects over
draws, the saved effects of a training.
Does not cover: the rule (tasks/training/times/row_days.py), loading days (placed_grid.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from distributed import Client, Future

from funkflow.pipeline.cluster.context import Context, run_all
from funkflow.pipeline.progress.events import Noticed
from funkflow.pipeline.root.manifests import Training
from funkflow.pipeline.root.records import TimesRecord
from funkflow.pipeline.root.typed_json import FileEntry
from funkflow.pipeline.training import checkpoint as checkpoints
from funkflow.pipeline.training.checkpoint import array_entries
from funkflow.pipeline.training.manifest import STAGE
from funkflow.pipeline.training.placed_grid import PlacedGrid
from funkflow.tasks.grid.factor_shard import shard_rows
from funkflow.tasks.model.about import Place
from funkflow.tasks.storage import files, npy
from funkflow.tasks.time_effects import DAYS, DRIFT
from funkflow.tasks.training.posterior import times
from funkflow.tasks.training.times.effects import UserTimes
from funkflow.tasks.training.times.held_out_times import HeldOutTimes
from funkflow.tasks.training.times.row_days import NO_TIMES, Calendar, calendar_of, day_counts
from funkflow.tasks.training.times.saved import SavedTimes, write_steps


def calendar_for(context: Context, data: PlacedGrid, wanted: str) -> Calendar:
    """Return the calendar of a training, and say which effects it has; wanted : see `calendar_of`."""
    if not data.days:
        return NO_TIMES
    client, items = context.client, data.source.grid.items
    counted = [client.submit(day_counts, days, pure=False) for days in data.days]
    found: Calendar = client.submit(calendar_of, counted, wanted, items, pure=False).result()
    if found.effects:
        context.notify(Noticed(f"effects of time: {', '.join(found.effects)} (train.time)"))
    return found


def write_step_times(
    context: Context, data: PlacedGrid, written: Sequence[FileEntry], folder: str, calendar: Calendar
) -> TimesRecord:
    """Write the effects of an epoch of stochastic descent as an export takes them, beside its shards.

    written : of `steps.written_times`, by user shard; folder : of checkpoints.
    """
    paths = [entry.path.replace("/time-", "/user-times-").replace(".npy", ".parquet") for entry in written]
    jobs = [
        (days, entry.place(folder), rows, files.join(folder, path))
        for days, entry, rows, path in zip(data.days, written, shard_sizes(data)[0], paths, strict=True)
    ]
    checksums = run_all(context, STAGE, "save-times", write_steps, jobs)
    return TimesRecord(effects=calendar.effects, edges=(), users=array_entries(paths, checksums), items=())


@dataclass(frozen=True)
class TimesOfGrid:
    """What stochastic descent needs where time has effects: their names, and `held_out_times`."""

    effects: tuple[str, ...]
    held_out: list[Any]

    @classmethod
    def of(cls, client: Client, data: PlacedGrid, calendar: Calendar) -> TimesOfGrid:
        """Return what a grid needs as it lies on the workers now: users alone have effects."""
        effects = tuple(name for name in calendar.effects if name in (DAYS, DRIFT))
        return cls(effects, held_out_times(client, data, calendar)) if effects else NO_TIMES_OF_GRID

    def days_of(self, data: PlacedGrid, mine: slice) -> list[Any] | None:
        """Return the days of a share's rows of blocks; None without effects."""
        return data.days[mine] if self.effects else None


NO_TIMES_OF_GRID = TimesOfGrid((), [])


def shard_sizes(data: PlacedGrid) -> tuple[list[int], list[int]]:
    """Return the number of rows of each user shard and of each item shard."""
    grid = data.source.grid
    users, items = (
        [shard_rows(rows, grid.shards, shard) for shard in range(grid.shards)] for rows in (grid.users, grid.items)
    )
    return users, items


def held_out_times(client: Client, data: PlacedGrid, calendar: Calendar) -> list[Any]:
    """Submit where the effects of the validation ratings are, by user shard; None where time has no effects."""
    if not calendar.effects:
        return [None] * len(data.rows)
    users, items = shard_sizes(data)
    return [
        client.submit(HeldOutTimes.of, held_out, days, calendar, items, rows, pure=False)
        for held_out, days, rows in zip(data.held_out, data.days, users, strict=True)
    ]


def saved_times(training: Training) -> SavedTimes | None:
    """Return the places of a training's effects of time; None without."""
    found, folder = training.times, checkpoints.folder_of(training.run_folder)
    if found is None:
        return None
    users, items = (tuple(entry.place(folder) for entry in side) for side in (found.users, found.items))
    return SavedTimes(users, items, found.edges)


@dataclass(frozen=True)
class TimeSums:
    """The sums of effects of time over all draws that count: of each user shard, and of all items."""

    users: list[Future[Any]]
    items: Future[Any]


@dataclass(frozen=True)
class TimeSumsGraph:
    """The tasks of such sums. user_sizes : rows of each user shard; items : their number; bins : of the calendar."""

    client: Client
    user_sizes: Sequence[int]
    items: int
    bins: int

    def none(self, days: Sequence[Any]) -> TimeSums | None:
        """Return the sums over no draw; None without days, where time has no effects."""
        if not days:
            return None
        zeros = [self._submit(UserTimes.zeros, *each) for each in zip(days, self.user_sizes, strict=True)]
        return TimeSums(zeros, self._submit(np.zeros, (self.items, self.bins)))

    def stored(self, users: Sequence[Place], items: Sequence[Place]) -> TimeSums:
        """Return the sums of a checkpoint."""
        arrays = [[self._submit(npy.read_array, *place) for place in side] for side in (users, items)]
        of_users = [self._submit(times.user_times, *each) for each in zip(arrays[0], self.user_sizes, strict=True)]
        return TimeSums(of_users, self._submit(np.concatenate, arrays[1]))

    def added(self, sums: TimeSums, users: Sequence[Any], items: Any) -> TimeSums:
        """Return the sums with the effects of a draw."""
        of_users = [self._submit(times.add_user_times, *each) for each in zip(sums.users, users, strict=True)]
        return TimeSums(of_users, self._submit(times.add_item_times, sums.items, items))

    def _submit(self, function: Any, *arguments: Any) -> Future[Any]:
        return self.client.submit(function, *arguments, pure=False)


def of_shards(sums: TimeSums | None, shards: int) -> list[tuple[Any, Any]]:
    """Return for each user shard its sums and those of the items; None for both where there are none."""
    return [(None, None)] * shards if sums is None else [(users, sums.items) for users in sums.users]
