"""One epoch as a task graph: turns of independent shares, then a score for each of them.

Covers: which task needs what of which other task, their keys, and the first states; and where one share is the whole
grid, several epochs as one task.
Does not cover: where the rows of blocks lie (placed_grid.py), the order of blocks (tasks/grid/visit_order.py), how many
epochs there are, stopping and checkpoints (sgd.py), or what a task does (tasks/).

The grid is cut to as many shares as there are workers. A task takes a worker's share of the user shards through a share
of the item shards, with all of the worker's threads; then item shards are exchanged. There is no barrier between turns:
a task needs its users from their last turn, and its items from whoever had them last. Blocks and user shards of a share
stay on one worker, as long as it lives, and only item shards travel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from dask.delayed import delayed
from distributed import Future, get_worker

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.progress.live.metrics import BLOCK_SECONDS
from funkflow.pipeline.root import manifests
from funkflow.pipeline.training.placed_grid import Grid, near
from funkflow.tasks.grid.block import BlockRow
from funkflow.tasks.grid.factor_shard import FactorShard, initial_shard, read_shard, written_room
from funkflow.tasks.grid.row_sums import rows_seen
from funkflow.tasks.grid.visit_order import Visit, items_of, turns_of_epoch
from funkflow.tasks.kernels.threads import all_of
from funkflow.tasks.storage import files
from funkflow.tasks.training.score import EpochErrors, HeldOut, score_epoch
from funkflow.tasks.training.sgd import Descent, StepSizes, descend
from funkflow.tasks.training.sgd_epochs import History, Measure, Stretch, go_on

_LATER_VERSIONS = 3
"""Of a user shard, besides the first, alive at once: those in flight and the best (pipeline/planning/budget.py counts
them, too)."""


@dataclass(frozen=True)
class State:
    """All shards after some epoch, as futures of shares: a Descent each of users, a tuple of FactorShard of items.

    With one share, `items` are the futures of `users`.
    """

    users: list[Future[Any]]
    items: list[Future[Any]]


def first_state(
    context: Context, grid: manifests.Grid, data: Grid, rank: int, seed: int, length: float, name: str
) -> State:
    """Return the initial shards as futures, rows of that expected length; those without training ratings are zero."""
    submit, shards = context.client.submit, grid.shards
    seen = [submit(rows_seen, row, key=f"rows-seen-{name}-{a}", pure=False) for a, row in enumerate(data.rows)]
    users, items = [], []
    for share, mine in enumerate(data.of_shares):
        which = (rank, seed, mine, shards, length)
        users.append(submit(start_users, seen[mine], *which, key=f"start-users-{name}-{share}", pure=False))
        items.append(submit(start_items, seen, *which, key=f"start-items-{name}-{share}", pure=False))
    return State(users, items)


def loaded_state(context: Context, data: Grid, folder: str, shards: dict[str, Any], rank: int, name: str) -> State:
    """Return a checkpoint's shards as fresh load tasks, with no edge to the tasks that wrote them.

    Each share of users takes its rows of blocks as an argument, only so that it is placed where they are.
    """
    users, items = (
        [(files.join(folder, entry["path"]), entry["checksum"], rank) for entry in shards[side]]
        for side in ("users", "items")
    )
    submit, anywhere = context.client.submit, near(*data.workers)
    return State(
        [
            submit(load_users, data.rows[mine], users[mine], key=f"load-users-{name}-{share}", **anywhere)
            for share, mine in enumerate(data.of_shares)
        ],
        [
            submit(load_items, items[mine], key=f"load-items-{name}-{share}", **anywhere)
            for share, mine in enumerate(data.of_shares)
        ],
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
    """Submit a whole epoch as one graph; return its end state, and for each share a future list of EpochErrors."""
    users: list[Any] = list(before.users)
    items: list[Any] = list(before.items)
    crowd = data.shares_a_worker
    for number, turn in enumerate(turns_of_epoch(seed, epoch, len(data.rows), data.shares)):
        for share, (partner, visits, mine) in enumerate(zip(turn.partners, turn.visits, data.of_shares, strict=True)):
            key = f"{name}-{epoch:04d}-{number:03d}-{share:03d}"
            with data.placed(share):
                users[share] = delayed(descend_share, pure=False)(
                    data.rows[mine], visits, mine.start, partner * len(data.rows) // data.shares, users[share],
                    items[partner], steps, number == 0, crowd,
                    dask_key_name=f"descend-{key}-{partner:03d}of{data.shares}",
                )  # fmt: skip
                items[partner] = to_be_handed_on(data, users[share], key)
    errors = []
    for share, mine in enumerate(data.of_shares):
        with data.placed(share):
            key = f"score-{name}-{epoch:04d}-{share:03d}"
            errors.append(
                delayed(score_share, pure=False)(
                    data.held_out[mine], users[share], items if data.scored else [], steps, scale, crowd,
                    dask_key_name=key,
                )
            )  # fmt: skip
    # Else Dask mixes this epoch's tasks with those of the one before, which it takes to be as urgent.
    futures = context.client.compute([*users, *items, *errors], optimize_graph=False, priority=-epoch)
    return State(futures[: data.shares], futures[data.shares : 2 * data.shares]), futures[2 * data.shares :]


def submit_stretch(
    context: Context, data: Grid, before: Future[Any], epochs: range, seed: int, steps: StepSizes, measure: Measure,
    name: str,
) -> Future[Any]:  # fmt: skip
    """Submit several epochs of a grid that is one share as one task; return its Stretch as a future."""
    (mine,) = data.of_shares
    visits = [turns_of_epoch(seed, epoch, len(data.rows), 1)[0].visits[0] for epoch in epochs]
    arguments = (data.rows[mine], visits, before, data.held_out[mine], steps, measure, data.shares_a_worker)
    key = f"descend-{name}-{epochs[-1]:04d}-000-000-000of1"
    return context.client.submit(go_on_in_share, *arguments, key=key, priority=-epochs[-1], **near(*data.workers))


def submit_stretch_begin(
    context: Context, data: Grid, state: State, history: History, epoch: int, name: str
) -> Future[Any]:
    """Submit what a first stretch begins with: a state after `epoch` epochs, and their history."""
    key = f"begin-{name}-{epoch:04d}"
    return context.client.submit(begin_stretch, *state.users, *state.items, history, key=key, **near(*data.workers))


def state_of_stretch(context: Context, data: Grid, stretch: Future[Any], which: str, name: str) -> State:
    """Return the "last" or the "best" state of a Stretch."""
    future = context.client.submit(getattr, stretch, which, key=f"{which}-{name}", **near(*data.workers))
    return State([future], [future])


def to_be_handed_on(data: Grid, made: Any, key: str) -> Any:
    """Return what the next share takes of what was made: its items, apart from its users so that they alone travel.

    One share exchanges nothing, so they need not be apart.
    """
    return delayed(items_of, pure=False)(made, dask_key_name=f"items-{key}") if data.shares > 1 else made


def descend_share(
    rows: Sequence[BlockRow],
    visits: Sequence[Visit],
    first_row: int,
    first_column: int,
    before: Descent,
    items: Descent | tuple[FactorShard, ...],
    steps: StepSizes,
    first: bool,
    crowd: int,
) -> Descent:
    """Descend over the blocks of a share that `visits` names by their place in the grid, with all of the worker."""
    met = items_of(items)
    columns = slice(first_column, first_column + len(met))
    mine = [row[columns] for row in rows]
    within = [(a - first_row, b - first_column) for a, b in visits]
    return descend(mine, within, before, met, steps, first, threads_of_task(crowd), BLOCK_SECONDS.observe)


def begin_stretch(users: Descent, items: Descent | tuple[FactorShard, ...], history: History) -> Stretch:
    """Return a state as the first epochs of a stretch take it."""
    return Stretch(Descent(users.users, items_of(items), users.squared_errors), None, history)


def go_on_in_share(
    rows: Sequence[BlockRow],
    epochs: Sequence[Sequence[Visit]],
    before: Stretch,
    held_out: Sequence[HeldOut],
    steps: StepSizes,
    measure: Measure,
    crowd: int,
) -> Stretch:
    """Go through several epochs with all of the worker."""
    return go_on(rows, epochs, before, held_out, steps, measure, threads_of_task(crowd), BLOCK_SECONDS.observe)


def score_share(
    held_out: Sequence[HeldOut],
    descent: Descent,
    items: Sequence[Descent | tuple[FactorShard, ...]],
    steps: StepSizes,
    scale: tuple[float, float],
    crowd: int,
) -> list[EpochErrors]:
    """Score each user shard of a share with all of the worker; where nothing is held out, `items` are none."""
    return score_epoch(
        held_out, descent, [shard for share in items for shard in items_of(share)], steps, scale, threads_of_task(crowd)
    )


def threads_of_task(crowd: int) -> int:
    """Return how many threads a task on this worker takes, where `crowd` of its kind may run at once."""
    return max(1, int(get_worker().state.nthreads) // crowd)


def start_users(
    seen: Sequence[tuple[npt.NDArray[np.bool_], Any]], rank: int, seed: int, mine: slice, shards: int, length: float
) -> Descent:
    """Return a share of user shards before its first turn, and leave memory for the versions that follow."""
    make = partial(initial_shard, rank=rank, seed=seed, side="user", shards=shards, length=length)
    of_users, threads = [users for users, _ in seen], threads_of_task(1)
    first = all_of(lambda a, users: make(users, shard=a), range(mine.start, mine.stop), of_users, threads=threads)
    # All at once, and gone when this returns.
    all_of(lambda users: written_room(len(users), rank), of_users * _LATER_VERSIONS, threads=threads)
    return Descent.starting(first)


def start_items(
    seen: Sequence[tuple[Any, tuple[npt.NDArray[np.bool_], ...]]],
    rank: int,
    seed: int,
    mine: slice,
    shards: int,
    length: float,
) -> tuple[FactorShard, ...]:
    """Return a share of item shards before its first turn; an item is seen if any row of blocks has it."""
    return tuple(
        initial_shard(np.logical_or.reduce([items[b] for _, items in seen]), rank, seed, "item", b, shards, length)
        for b in range(mine.start, mine.stop)
    )


def load_users(_rows: Sequence[BlockRow], entries: Sequence[tuple[str, str, int]]) -> Descent:
    """Read a share of user shards from a checkpoint, on the worker that holds its blocks."""
    return Descent.starting(all_of(lambda entry: read_shard(*entry), entries, threads=threads_of_task(1)))


def load_items(entries: Sequence[tuple[str, str, int]]) -> tuple[FactorShard, ...]:
    """Read a share of item shards from a checkpoint."""
    return tuple(read_shard(*entry) for entry in entries)
