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

from dataclasses import dataclass
from typing import Any

from dask.delayed import delayed
from distributed import Future

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.training.on_worker import on_threads, on_timed_threads
from funkflow.pipeline.training.placed_grid import PlacedGrid, near
from funkflow.tasks.grid.row_sums import rows_seen
from funkflow.tasks.grid.scaling import StepSizes
from funkflow.tasks.grid.visit_order import items_of, turns_of_epoch
from funkflow.tasks.storage import files
from funkflow.tasks.training.sgd_epochs import History, Measure, run_epochs
from funkflow.tasks.training.sgd_share import (
    ShardStart,
    ShareVisits,
    begin_epochs,
    descend_share,
    first_item_shards,
    first_user_shards,
    load_item_shards,
    load_user_shards,
    score_sgd_share,
)


@dataclass(frozen=True)
class State:
    """All shards after some epoch, as futures of shares: a Descent each of users, a tuple of FactorShard of items.

    With one share, `items` are the futures of `users`.
    """

    users: list[Future[Any]]
    items: list[Future[Any]]


def first_state(context: Context, data: PlacedGrid, start: ShardStart, name: str) -> State:
    """Return the initial shards as futures; rows without training ratings are zero."""
    submit = context.client.submit
    seen = [submit(rows_seen, row, key=f"rows-seen-{name}-{a}", pure=False) for a, row in enumerate(data.rows)]
    users, items = [], []
    for share, mine in enumerate(data.of_shares):
        key = f"{name}-{share}"
        users.append(
            submit(on_threads, first_user_shards, 1, seen[mine], start, mine, key=f"start-users-{key}", pure=False)
        )
        items.append(submit(first_item_shards, seen, start, mine, key=f"start-items-{key}", pure=False))
    return State(users, items)


def loaded_state(
    context: Context, data: PlacedGrid, folder: str, shards: dict[str, Any], rank: int, name: str
) -> State:
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
            submit(
                on_threads,
                load_user_shards,
                1,
                data.rows[mine],
                users[mine],
                key=f"load-users-{name}-{share}",
                **anywhere,
            )
            for share, mine in enumerate(data.of_shares)
        ],
        [
            submit(load_item_shards, items[mine], key=f"load-items-{name}-{share}", **anywhere)
            for share, mine in enumerate(data.of_shares)
        ],
    )


def submit_epoch(
    context: Context,
    data: PlacedGrid,
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
                place = ShareVisits(visits, mine.start, partner * len(data.rows) // data.shares, number == 0)
                users[share] = delayed(on_timed_threads, pure=False)(
                    descend_share, crowd, data.rows[mine], place, users[share], items[partner], steps,
                    dask_key_name=f"descend-{key}-{partner:03d}of{data.shares}",
                )  # fmt: skip
                items[partner] = to_be_handed_on(data, users[share], key)
    errors = []
    for share, mine in enumerate(data.of_shares):
        with data.placed(share):
            key = f"score-{name}-{epoch:04d}-{share:03d}"
            errors.append(
                delayed(on_threads, pure=False)(
                    score_sgd_share, crowd, data.held_out[mine], users[share], items if data.scored else [], steps,
                    scale, dask_key_name=key,
                )
            )  # fmt: skip
    # Else Dask mixes this epoch's tasks with those of the one before, which it takes to be as urgent.
    futures = context.client.compute([*users, *items, *errors], optimize_graph=False, priority=-epoch)
    return State(futures[: data.shares], futures[data.shares : 2 * data.shares]), futures[2 * data.shares :]


def submit_epoch_run(
    context: Context, data: PlacedGrid, before: Future[Any], epochs: range, seed: int, steps: StepSizes,
    measure: Measure, name: str,
) -> Future[Any]:  # fmt: skip
    """Submit several epochs of a grid that is one share as one task; return its EpochRun as a future."""
    (mine,) = data.of_shares
    visits = [turns_of_epoch(seed, epoch, len(data.rows), 1)[0].visits[0] for epoch in epochs]
    arguments = (run_epochs, data.shares_a_worker, data.rows[mine], visits, before, data.held_out[mine], steps, measure)
    key = f"descend-{name}-{epochs[-1]:04d}-000-000-000of1"
    return context.client.submit(on_timed_threads, *arguments, key=key, priority=-epochs[-1], **near(*data.workers))


def submit_epoch_run_begin(
    context: Context, data: PlacedGrid, state: State, history: History, epoch: int, name: str
) -> Future[Any]:
    """Submit what a first stretch begins with: a state after `epoch` epochs, and their history."""
    key = f"begin-{name}-{epoch:04d}"
    return context.client.submit(begin_epochs, *state.users, *state.items, history, key=key, **near(*data.workers))


def state_of_epoch_run(context: Context, data: PlacedGrid, stretch: Future[Any], which: str, name: str) -> State:
    """Return the "last" or the "best" state of a EpochRun."""
    future = context.client.submit(getattr, stretch, which, key=f"{which}-{name}", **near(*data.workers))
    return State([future], [future])


def to_be_handed_on(data: PlacedGrid, made: Any, key: str) -> Any:
    """Return what the next share takes of what was made: its items, apart from its users so that they alone travel.

    One share exchanges nothing, so they need not be apart.
    """
    return delayed(items_of, pure=False)(made, dask_key_name=f"items-{key}") if data.shares > 1 else made
