"""The grid of blocks on the workers.

Covers: cutting the rows of blocks into shares, loading them, and moving them when workers join or leave.
Does not cover: which workers may take part (pipeline/cluster/workers.py), training on the blocks
(methods/sgd_graph.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, TypedDict

from dask.base import annotate
from distributed import Future

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.cluster.workers import fit_workers
from funkflow.pipeline.root.manifests import Grid
from funkflow.tasks.grid.block import StoredRow
from funkflow.tasks.grid.factor_shard import shard_rows
from funkflow.tasks.grid.visit_order import shares_for
from funkflow.tasks.training.score import no_held_out, read_held_out
from funkflow.tasks.training.times.row_days import row_days


@dataclass(frozen=True)
class GridSource:
    """The files that workers load.

    `held_out` : name of the ratings to score; None: none. `streamed` : each task reads the blocks that it needs.
    `days` : whether days are loaded, too.
    """

    grid: Grid
    held_out: str | None
    streamed: bool = False
    days: bool = False


@dataclass(frozen=True)
class PlacedGrid:
    """The data of an epoch: for each user shard, its row of blocks, its validation ratings, and days if wanted.

    `rows` : futures of blocks that stay on the workers; if streamed, the paths, and each task reads the block that it
    needs. `shares` : number of shares; `shares_a_worker` : how many of them a worker has; `workers` : addresses of the
    workers that have one.
    """

    source: GridSource
    rows: list[Future[Any] | StoredRow]
    held_out: list[Future[Any]]
    shares: int
    shares_a_worker: int
    workers: list[str]
    days: list[Any] = field(default_factory=list)

    @property
    def scored(self) -> bool:
        """Whether there are ratings to score, so that each worker must get all item shards at the end of an epoch."""
        return self.source.held_out is not None

    def home(self, row: int) -> str:
        """Return the worker of a row of blocks."""
        return self.workers[row * self.shares // len(self.rows) % len(self.workers)]

    def placed(self, share: int) -> AbstractContextManager[None]:
        """Return a context in which tasks prefer the worker of the share's blocks.

        Without it Dask now and then sends 150 MB to a worker that it expects to be idle sooner.
        """
        worker = self.workers[share % len(self.workers)]
        placed: AbstractContextManager[None] = annotate(workers=[worker], allow_other_workers=True)
        return placed

    @property
    def of_shares(self) -> list[slice]:
        """The shards of each share."""
        size = len(self.rows) // self.shares
        return [slice(start, start + size) for start in range(0, len(self.rows), size)]


def load_grid(context: Context, source: GridSource, name: str, before: PlacedGrid | None = None) -> PlacedGrid:
    """Load every row of blocks with its validation ratings, the rows of a share on one worker.

    The choice of worker is a preference only: if that worker leaves, Dask loads the row on another one.

    Parameters
    ----------
    name : part of the tasks' keys.
    before : the same grid as it was loaded last. With the same workers and ratings to score the function returns it;
        otherwise it assigns the shares again, reloads nothing that lies on its worker already, and lets go of the rest.
    """
    shards = source.grid.shards
    workers = fit_workers(context, before.workers if before else ())
    if before is not None and (workers, source) == (before.workers, before.source):
        return before
    shares = shares_for(shards, len(workers))
    homes = [workers[row * shares // shards % len(workers)] for row in range(shards)]
    rows: list[Any] = [None] * shards
    held_out: list[Any] = [None] * shards
    days: list[Any] = [None] * shards
    if before is not None:
        rows = _in_place(context, before.rows, homes)
        if source.held_out == before.source.held_out:
            held_out = _in_place(context, before.held_out, homes)
        if source.days and before.days:
            days = _in_place(context, before.days, homes)
        for each in {*before.rows, *before.held_out, *before.days} - {*rows, *held_out, *days}:
            if isinstance(each, Future):
                each.release()  # else whoever holds `before` keeps it on its worker
    return PlacedGrid(
        source=source,
        rows=[
            here or _load_row(context, source, row, home, name)
            for row, (here, home) in enumerate(zip(rows, homes, strict=True))
        ],
        held_out=[
            here or _load_held_out(context, source, row, home, name)
            for row, (here, home) in enumerate(zip(held_out, homes, strict=True))
        ],
        shares=shares,
        shares_a_worker=-(-shares // len(workers)),
        workers=workers,
        days=[
            here or _load_days(context, source, row, home, name)
            for row, (here, home) in enumerate(zip(days, homes, strict=True))
        ]
        if source.days
        else [],
    )


def _in_place(context: Context, loaded: Sequence[Any], homes: list[str]) -> list[Any]:
    """Return what was loaded of each row, blocks or held-out ratings; None if it is not on the row's worker."""
    lies = context.client.who_has([each for each in loaded if isinstance(each, Future)])
    return [
        each if not isinstance(each, Future) or home in lies.get(each.key, ()) else None
        for each, home in zip(loaded, homes, strict=True)
    ]


def stored_row(context: Context, grid: Grid, row: int, days: bool = False) -> StoredRow:
    """Return the files of the blocks of a user shard, with further pairs; days : of its blocks of days alone."""
    shards = grid.shards
    mine = slice(row * shards, (row + 1) * shards)
    checksums, further = (
        tuple(block.checksum for block in blocks[mine])
        for blocks in ((grid.days, ()) if days else (grid.blocks, grid.further))
    )
    shapes = [(shard_rows(grid.users, shards, row), shard_rows(grid.items, shards, column)) for column in range(shards)]
    return StoredRow(context.store.blocks, checksums, tuple(shapes), further)


def _load_row(context: Context, source: GridSource, row: int, home: str, name: str) -> Future[Any] | StoredRow:
    stored = stored_row(context, source.grid, row)
    if source.streamed:
        return stored
    return context.client.submit(stored.read, key=f"load-blocks-{name}-{row}", **near(home))


def _load_days(context: Context, source: GridSource, row: int, home: str, name: str) -> Future[Any]:
    stored = stored_row(context, source.grid, row, days=True)
    return context.client.submit(row_days, stored, key=f"load-days-{name}-{row}", **near(home))


def _load_held_out(context: Context, source: GridSource, row: int, home: str, name: str) -> Future[Any]:
    submit, key, shards = context.client.submit, f"load-held-out-{name}-{row}", source.grid.shards
    if source.held_out is None:
        return submit(no_held_out, shards, key=key, **near(home))
    return submit(read_held_out, *source.grid.held_out_places(source.held_out)[row], shards, key=key, **near(home))


class Preference(TypedDict):
    """Options of `Client.submit` for a task that prefers some workers."""

    workers: list[str]
    allow_other_workers: bool
    pure: bool


def near(*workers: str) -> Preference:
    """Return the options with which a task prefers these workers, and runs on others once they are gone."""
    return {"workers": list(workers), "allow_other_workers": True, "pure": False}
