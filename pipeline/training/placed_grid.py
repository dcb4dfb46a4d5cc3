"""The grid of blocks on the workers: which worker has which rows, and how they come there.

Covers: cutting the rows to as many shares as there are workers, loading them, and handing them out anew when workers
joined or left.
Does not cover: which workers may take part (pipeline/cluster/workers.py), what is done with the blocks (sgd_graph.py
and others).
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from dask.base import annotate
from distributed import Future

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.cluster.workers import fit_workers
from funkflow.pipeline.progress.events import Noticed
from funkflow.pipeline.root.manifests import Grid
from funkflow.tasks.grid.block import StoredRow
from funkflow.tasks.grid.factor_shard import shard_rows
from funkflow.tasks.grid.visit_order import shares_for
from funkflow.tasks.training.score import no_held_out, read_held_out


@dataclass(frozen=True)
class PlacedGrid:
    """The data of an epoch: for each user shard, its row of blocks and its stopping ratings.

    `rows` : blocks that stay on the workers, as futures; or, where memory is short, where they lie, so that each task
    reads the block that it needs and forgets it. `shares` : into how many shares the shards are cut;
    `shares_a_worker` : how many of them a worker has; `workers` : the addresses of those that were there; `scored` :
    whether any rating is held out, so that each worker must see all item shards at the end of an epoch.
    """

    rows: list[Future[Any] | StoredRow]
    held_out: list[Future[Any]]
    shares: int
    shares_a_worker: int
    workers: list[str]
    scored: bool = True

    def placed(self, share: int) -> AbstractContextManager[None]:
        """Have what is built within run where the share's blocks are, or anywhere once that worker is gone.

        By itself Dask would now and then have 150 MB travel to a worker that it takes to be idle sooner.
        """
        worker = self.workers[share % len(self.workers)]
        placed: AbstractContextManager[None] = annotate(workers=[worker], allow_other_workers=True)
        return placed

    @property
    def of_shares(self) -> list[slice]:
        """Which shards each share has."""
        size = len(self.rows) // self.shares
        return [slice(start, start + size) for start in range(0, len(self.rows), size)]


def load_grid(
    context: Context, grid: Grid, stop_on: str | None, name: str, streamed: bool = False,
    before: PlacedGrid | None = None,
) -> PlacedGrid:  # fmt: skip
    """Load every row of blocks, the rows of a share on one worker, and beside each its ratings to stop on.

    The choice of worker is a preference only: if that worker goes away, Dask loads the row elsewhere. `streamed` leaves
    the blocks where they are, to be read again by each task that needs one.

    `before` : the same grid as it was loaded last. It is returned as it is while the workers are the same; otherwise
    the shares are handed out anew, and what lies on its worker already stays there.
    """
    shards = grid.shards
    workers = fit_workers(context, before.workers if before else ())
    if before is not None and workers == before.workers:
        return before
    shares = shares_for(shards, len(workers))
    homes = [workers[row * shares // shards % len(workers)] for row in range(shards)]
    rows, held_out = ([None] * shards, [None] * shards) if before is None else _in_place(context, before, homes)
    return PlacedGrid(
        [
            here or _load_row(context, grid, row, home, name, streamed)
            for row, (here, home) in enumerate(zip(rows, homes, strict=True))
        ],
        [
            here or _load_held_out(context, grid, row, home, name, stop_on)
            for row, (here, home) in enumerate(zip(held_out, homes, strict=True))
        ],
        shares,
        -(-shares // len(workers)),
        workers,
        stop_on is not None,
    )


def with_those_who_came(
    context: Context, grid: Grid, stop_on: str | None, streamed: bool, before: PlacedGrid, done: int, unit: str
) -> PlacedGrid:
    """Return the grid for what follows the checkpoint of `done`; handed out anew, and said, if workers came or went.

    The order of blocks is the same however the grid is handed out, and so is every bit.
    """
    name = f"{context.attempt}-from-{done:04d}"
    now = load_grid(context, grid, stop_on, name, streamed, before)
    if now is not before:
        context.notify(Noticed(f"from {unit} {done + 1} on {len(now.workers)} workers, {len(before.workers)} before"))
    return now


def _in_place(context: Context, before: PlacedGrid, homes: list[str]) -> tuple[list[Any], list[Any]]:
    """Return of each row's blocks and held-out ratings the future, if its data lies in the row's home; else None."""
    loaded = [each for each in (*before.rows, *before.held_out) if isinstance(each, Future)]
    lies = context.client.who_has(loaded)
    rows, held_out = (
        [
            each if not isinstance(each, Future) or home in lies.get(each.key, ()) else None
            for each, home in zip(several, homes, strict=True)
        ]
        for several in (before.rows, before.held_out)
    )
    return rows, held_out


def _load_row(context: Context, grid: Grid, row: int, home: str, name: str, streamed: bool) -> Future[Any] | StoredRow:
    shards = grid.shards
    checksums = [block.checksum for block in grid.blocks[row * shards : (row + 1) * shards]]
    shapes = [(shard_rows(grid.users, shards, row), shard_rows(grid.items, shards, column)) for column in range(shards)]
    stored = StoredRow(context.store.blocks, tuple(checksums), tuple(shapes))
    return stored if streamed else context.client.submit(stored.read, key=f"load-blocks-{name}-{row}", **near(home))


def _load_held_out(context: Context, grid: Grid, row: int, home: str, name: str, stop_on: str | None) -> Future[Any]:
    submit, key, shards = context.client.submit, f"load-held-out-{name}-{row}", grid.shards
    if stop_on is None:
        return submit(no_held_out, shards, key=key, **near(home))
    return submit(read_held_out, *grid.held_out_places(stop_on)[row], shards, key=key, **near(home))


def near(*workers: str) -> dict[str, Any]:
    """Return where a task is to run if it can: elsewhere once those workers are gone."""
    return {"workers": list(workers), "allow_other_workers": True, "pure": False}
