"""One epoch as a task graph: P strata of P independent blocks, then a score for each user shard.

Covers: which task needs what of which other task, their keys, where the rows of blocks are held or that they are read
for each task, and the first states.
Does not cover: how many epochs there are, stopping and checkpoints (stages/train.py), or what a task does (tasks/).

There is no barrier between strata: block (a, s) needs user shard a from its last block, and item shard b from whoever
had it last. All blocks of a user shard are one object on one worker, so Dask's own preference for where most input
bytes lie keeps the user shards in place, and only item shards travel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from dask.delayed import delayed
from distributed import Future

from pipeline.runtime.context import Context
from tasks import files
from tasks.blocks import BlockRow, StoredRow
from tasks.descend import Descent, StepSizes, descend, items_of
from tasks.factors import FactorShard, initial_shard, read_shard, shard_rows
from tasks.score import HeldOut, read_held_out, score_epoch
from tasks.sums import rows_seen

_WAIT_SECONDS = 60


@dataclass(frozen=True)
class State:
    """All shards after some epoch, as futures: a Descent for each user shard, a FactorShard for each item shard."""

    users: list[Future[Any]]
    items: list[Future[Any]]


@dataclass(frozen=True)
class Grid:
    """The data of an epoch: for each user shard, its row of blocks and its stopping ratings.

    `rows` : blocks that stay on the workers, as futures; or, where memory is short, where they lie, so that each task
    reads the block that it needs and forgets it.
    """

    rows: list[Future[Any] | StoredRow]
    held_out: list[Future[Any]]


def order_of_strata(seed: int, epoch: int, shards: int) -> list[int]:
    """Return the order in which an epoch goes through its strata: seeded, another one each epoch."""
    return [
        int(stratum) for stratum in np.random.default_rng(np.random.SeedSequence([seed, epoch])).permutation(shards)
    ]


def load_grid(context: Context, grid: dict[str, Any], stop_on: str | None, name: str, streamed: bool = False) -> Grid:
    """Load every row of blocks, spread evenly over the workers, and beside it its ratings to stop on.

    The choice of worker is a preference only: if that worker goes away, Dask loads the row elsewhere. `streamed` leaves
    the blocks where they are, to be read again by each task that needs one.
    """
    shards, client = grid["shards"], context.client
    client.wait_for_workers(1, timeout=_WAIT_SECONDS)  # one that died may just be starting again
    workers = sorted(client.scheduler_info(n_workers=-1)["workers"])
    rows: list[Future[Any] | StoredRow] = []
    held_out = []
    for row in range(shards):
        checksums = [block["checksum"] for block in grid["blocks"][row * shards : (row + 1) * shards]]
        shapes = [
            (shard_rows(grid["users"], shards, row), shard_rows(grid["items"], shards, column))
            for column in range(shards)
        ]
        stored = StoredRow(context.store.blocks, tuple(checksums), tuple(shapes))
        near = {"workers": [workers[row % len(workers)]], "allow_other_workers": True, "pure": False}
        rows.append(stored if streamed else client.submit(stored.read, key=f"load-blocks-{name}-{row}", **near))
        if stop_on is None:
            held_out.append(client.submit(no_held_out, shards, key=f"load-held-out-{name}-{row}", **near))
        else:
            entry = grid["held_out"][stop_on]["shards"][row]
            url = files.join(context.store.grid(grid["id"]), entry["path"])
            held_out.append(
                client.submit(read_held_out, url, entry["checksum"], shards, key=f"load-held-out-{name}-{row}", **near)
            )
    return Grid(rows, held_out)


def first_state(context: Context, grid: dict[str, Any], data: Grid, rank: int, seed: int, name: str) -> State:
    """Return the initial shards as futures; rows without training ratings are zero."""
    client, shards = context.client, grid["shards"]
    seen = [
        client.submit(rows_seen, row, key=f"rows-seen-{name}-{number}", pure=False)
        for number, row in enumerate(data.rows)
    ]
    return State(
        [
            client.submit(start_users, seen[a], rank, seed, a, shards, key=f"start-users-{name}-{a}", pure=False)
            for a in range(shards)
        ],
        [
            client.submit(start_items, seen, rank, seed, b, shards, key=f"start-items-{name}-{b}", pure=False)
            for b in range(shards)
        ],
    )


def loaded_state(context: Context, data: Grid, folder: str, shards: dict[str, Any], rank: int, name: str) -> State:
    """Return a checkpoint's shards as fresh load tasks, with no edge to the tasks that wrote them.

    Each user shard's load takes its row of blocks as an argument, only so that it is placed where the row is.
    """
    users, items = (
        [(files.join(folder, entry["path"]), entry["checksum"], rank) for entry in shards[side]]
        for side in ("users", "items")
    )
    submit = context.client.submit
    return State(
        [
            submit(load_users, row, *entry, key=f"load-users-{name}-{a}", pure=False)
            for a, (row, entry) in enumerate(zip(data.rows, users, strict=True))
        ],
        [submit(read_shard, *entry, key=f"load-items-{name}-{b}", pure=False) for b, entry in enumerate(items)],
    )


def submit_epoch(
    context: Context,
    data: Grid,
    before: State,
    epoch: int,
    seed: int,
    steps: StepSizes,
    scale: tuple[float, float],
    name: str,
) -> tuple[State, list[Future[Any]]]:
    """Submit a whole epoch as one graph; return its end state and one EpochErrors future for each user shard."""
    shards = len(data.rows)
    users: list[Any] = list(before.users)
    items: list[Any] = list(before.items)
    for position, stratum in enumerate(order_of_strata(seed, epoch, shards)):
        for a in range(shards):
            b, key = (a + stratum) % shards, f"{name}-{epoch:04d}-{position:03d}-{a:03d}"
            users[a] = delayed(descend_in_row, pure=False)(
                data.rows[a], b, users[a], items[b], steps, position == 0, context.block_threads,
                dask_key_name=f"descend-{key}",
            )  # fmt: skip
            items[b] = delayed(items_of, pure=False)(users[a], dask_key_name=f"items-{key}")
    errors = [
        delayed(score_epoch, pure=False)(
            data.held_out[a], users[a], steps, scale, *items, dask_key_name=f"score-{name}-{epoch:04d}-{a:03d}"
        )
        for a in range(shards)
    ]
    # Else Dask mixes this epoch's tasks with those of the one before, which it takes to be as urgent.
    futures = context.client.compute([*users, *items, *errors], optimize_graph=False, priority=-epoch)
    return State(futures[:shards], futures[shards : 2 * shards]), futures[2 * shards :]


def no_held_out(shards: int) -> HeldOut:
    """Return held-out ratings for a run that stops on nothing: none."""
    rows = np.empty(0, dtype=np.int32)
    return HeldOut(rows, rows, np.empty(0, dtype=np.float32), np.zeros(shards + 1, dtype=np.int64))


def descend_in_row(
    row: BlockRow, column: int, before: Descent, items: FactorShard, steps: StepSizes, first: bool, threads: int
) -> Descent:
    """Descend over one block of a row of blocks, with so many threads."""
    return descend(row[column], before, items, steps, first, threads)


def start_users(seen: tuple[npt.NDArray[np.bool_], Any], rank: int, seed: int, shard: int, shards: int) -> Descent:
    """Return a user shard before its first stratum."""
    return Descent(initial_shard(seen[0], rank, seed, "user", shard, shards), None, 0.0)


def start_items(
    seen: list[tuple[Any, tuple[npt.NDArray[np.bool_], ...]]], rank: int, seed: int, shard: int, shards: int
) -> FactorShard:
    """Return an item shard before its first stratum; an item is seen if any row of blocks has it."""
    any_seen = np.logical_or.reduce([items[shard] for _, items in seen])
    return initial_shard(any_seen, rank, seed, "item", shard, shards)


def load_users(_row: BlockRow, url: str, checksum: str, rank: int) -> Descent:
    """Read a user shard from a checkpoint, on the worker that holds its blocks."""
    return Descent(read_shard(url, checksum, rank), None, 0.0)
