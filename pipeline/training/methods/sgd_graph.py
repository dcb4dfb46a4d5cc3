"""The task graph of an epoch of stochastic descent: strata of independent shares, then a score for each share.

Covers: the tasks with their inputs and keys, first states and their files, and several epochs of a one-share grid as
one task.
Does not cover: second factors (pipeline/training/implicit_graph.py), the place of the blocks
(pipeline/training/placed_grid.py), their order (tasks/grid/visit_order.py), the loop over epochs (sgd.py), the work of
a task (tasks/training/sgd_share.py).

The grid is cut into as many shares as there are workers. In a stratum, each worker takes its share of the user shards
through one share of the item shards, with all its threads; then the workers exchange item shards. There is no barrier
between strata: a task needs its users from their last stratum, and its items from the worker that had them last. Blocks
and user shards of a share stay on one worker while it lives; only item shards travel.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dask.delayed import delayed
from distributed import Future

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.root.records import ShardFiles
from funkflow.pipeline.root.typed_json import FileEntry
from funkflow.pipeline.training.implicit_graph import MeansGraph
from funkflow.pipeline.training.on_worker import on_threads, on_timed_threads
from funkflow.pipeline.training.placed_grid import PlacedGrid, near
from funkflow.pipeline.training.times import NO_TIMES_OF_GRID, TimesOfGrid
from funkflow.tasks.grid.bias_baseline import rows_with_ratings
from funkflow.tasks.grid.factor_shard import ShardStart
from funkflow.tasks.grid.scaling import Scaling
from funkflow.tasks.grid.visit_order import items_of, strata_of_shares
from funkflow.tasks.model.about import Place
from funkflow.tasks.training.early_stopping import AnyHistory
from funkflow.tasks.training.sgd_epochs import History, Measure, run_epochs
from funkflow.tasks.training.sgd_share import (
    ShareVisits,
    begin_epochs,
    begin_times,
    descend_share,
    end_step,
    first_item_shards,
    first_user_shards,
    load_item_shards,
    load_times,
    load_user_shards,
    score_sgd_share,
    step_share_times,
    sums_of_step,
    write_item_shards,
    write_share_times,
    write_user_shards,
)
from funkflow.tasks.training.times.steps import is_step_due


@dataclass(frozen=True)
class State:
    """All shards after an epoch, as futures of shares: `users` of a Descent, `items` of a tuple of FactorShard.

    With one share, `items` are the futures of `users`.
    """

    users: list[Future[Any]]
    items: list[Future[Any]]


def first_state(context: Context, data: PlacedGrid, start: ShardStart) -> State:
    """Return the initial shards as futures; rows without training ratings are zero."""
    submit, name = context.client.submit, context.attempt
    rated = [submit(rows_with_ratings, row, key=f"rows-seen-{name}-{a}", pure=False) for a, row in enumerate(data.rows)]
    users, items = [], []
    for share, mine in enumerate(data.of_shares):
        key = f"{name}-{share}"
        users.append(
            submit(
                on_threads, first_user_shards, 1, rated[mine], start, mine=mine, key=f"start-users-{key}", pure=False
            )
        )
        items.append(submit(first_item_shards, rated, start, mine, key=f"start-items-{key}", pure=False))
    return State(users, items)


def loaded_state(context: Context, data: PlacedGrid, places: tuple[list[Place], ...], rank: int, name: str) -> State:
    """Return a checkpoint's user and item shards as fresh load tasks, with no edge to the tasks that wrote them.

    The task of a share of users gets its rows of blocks as an argument, only so that Dask runs it where they are.
    """
    users, items = places
    submit, anywhere = context.client.submit, near(*data.workers)
    return State(
        [
            submit(
                on_threads, load_user_shards, 1, data.rows[mine], users[mine], rank=rank,
                key=f"load-users-{name}-{share}", **anywhere,
            )
            for share, mine in enumerate(data.of_shares)
        ],
        [
            submit(load_item_shards, items[mine], rank, key=f"load-items-{name}-{share}", **anywhere)
            for share, mine in enumerate(data.of_shares)
        ],
    )  # fmt: skip


def submit_epoch(
    context: Context, data: PlacedGrid, before: State, epoch: int, *, seed: int, measure: Measure, history: AnyHistory,
    times: TimesOfGrid = NO_TIMES_OF_GRID,
) -> tuple[State, list[Future[Any]], Future[Any] | None]:  # fmt: skip
    """Submit a whole epoch as one graph.

    Return its last state, for each share the future of its EpochErrors, and that of what means explain, or None.

    history : up to the second epoch before, or more; times : of the grid, where time has effects.
    """
    steps, implicit = measure.steps_of(epoch, history), measure.implicit
    pulled = implicit.pulls(epoch, history)
    users: list[Any] = list(before.users)
    items: list[Any] = list(before.items)
    crowd, name = data.shares_a_worker, context.attempt
    for number, stratum in enumerate(strata_of_shares(seed, epoch, len(data.rows), data.shares)):
        for share, (partner, visits, mine) in enumerate(
            zip(stratum.partners, stratum.visits, data.of_shares, strict=True)
        ):
            key = f"{name}-{epoch:04d}-{number:03d}-{share:03d}"
            with data.placed(share):
                place = ShareVisits(visits, mine.start, partner * len(data.rows) // data.shares, number == 0)
                users[share] = delayed(on_timed_threads, pure=False)(
                    descend_share, crowd, data.rows[mine], place, users[share], items=items[partner], steps=steps,
                    pulled=pulled, days=times.days_of(data, mine),
                    dask_key_name=f"descend-{key}-{partner:03d}of{data.shares}",
                )  # fmt: skip
                items[partner] = next_items(data, users[share], key)
    means = MeansGraph(data, f"{name}-{epoch:04d}")
    users, items = means.stepped(users, items, implicit.side(epoch, history), implicit.ridge, pulled)
    explained = [means.explained(users, items)] if implicit.looks(epoch, history) else []
    if times.effects and is_step_due(epoch):
        users = stepped_times(data, f"{name}-{epoch:04d}", times, users, items, steps)
        items = items if data.shares > 1 else users
    errors = []
    for share, mine in enumerate(data.of_shares):
        with data.placed(share):
            key = f"score-{name}-{epoch:04d}-{share:03d}"
            errors.append(
                delayed(on_threads, pure=False)(
                    score_sgd_share, crowd, data.held_out[mine], users[share], items if data.scored else [],
                    scaling=steps, scale=measure.scale, times=times.held_out[mine], dask_key_name=key,
                )
            )  # fmt: skip
    # Without a priority Dask mixes this epoch's tasks with those of the one before.
    count = data.shares
    futures = context.client.compute([*users, *items, *errors, *explained], optimize_graph=False, priority=-epoch)
    found = futures[3 * count] if explained else None
    return State(futures[:count], futures[count : 2 * count]), futures[2 * count : 3 * count], found


def stepped_times(
    data: PlacedGrid, name: str, times: TimesOfGrid, users: list[Any], items: list[Any], steps: Scaling
) -> list[Any]:
    """Return the shares of users after a step of their effects of time; name : part of the tasks' keys."""
    stepped, ended = [], []
    for share, mine in enumerate(data.of_shares):
        with data.placed(share):
            stepped.append(
                delayed(on_threads, pure=False)(
                    step_share_times, data.shares_a_worker, data.rows[mine], data.days[mine], users[share], items=items,
                    scaling=steps, effects=times.effects, dask_key_name=f"step-times-{name}-{share:03d}",
                )
            )  # fmt: skip
    sums = [
        delayed(sums_of_step, pure=False)(each, dask_key_name=f"sums-of-times-{name}-{share:03d}")
        for share, each in enumerate(stepped)
    ]
    for share, each in enumerate(stepped):
        with data.placed(share):
            ended.append(delayed(end_step, pure=False)(each, sums, dask_key_name=f"end-times-{name}-{share:03d}"))
    return ended


def with_times(context: Context, data: PlacedGrid, state: State, places: Sequence[Place] = ()) -> State:
    """Return a state with effects of time: those of a checkpoint, or zeros without places."""
    users = []
    for share, mine in enumerate(data.of_shares):
        function, given = (load_times, (places[mine],)) if places else (begin_times, ())
        arguments = (state.users[share], *given) if places else (data.days[mine], state.users[share])
        users.append(context.client.submit(function, *arguments, **near(*data.workers)))
    return State(users, state.items)


def with_means(context: Context, data: PlacedGrid, state: State) -> State:
    """Return the state before the first epoch with means of zeros in all shards."""
    users, items = MeansGraph(data, context.attempt).begun(state.users, state.items)
    futures = context.client.compute([*users, *items], optimize_graph=False)
    return State(futures[: data.shares], futures[data.shares :])


def submit_epoch_run(
    context: Context, data: PlacedGrid, before: Future[Any], epochs: range, *, seed: int, measure: Measure,
    times: TimesOfGrid = NO_TIMES_OF_GRID,
) -> Future[Any]:  # fmt: skip
    """Submit several epochs of a one-share grid as one task; return the future of its EpochRun."""
    (mine,) = data.of_shares
    visits = [strata_of_shares(seed, epoch, len(data.rows), 1)[0].visits[0] for epoch in epochs]
    return context.client.submit(
        on_timed_threads, run_epochs, data.shares_a_worker, data.rows[mine], visits,
        before=before, held_out=data.held_out[mine], measure=measure, days=times.days_of(data, mine),
        times=times.held_out[mine], effects=times.effects,
        key=f"descend-{context.attempt}-{epochs[-1]:04d}-000-000-000of1",
        priority=-epochs[-1], **near(*data.workers),
    )  # fmt: skip


def submit_epoch_run_begin(
    context: Context, data: PlacedGrid, state: State, history: History, epoch: int
) -> Future[Any]:
    """Submit the start of the first epoch run: a state after `epoch` epochs, and their history."""
    key = f"begin-{context.attempt}-{epoch:04d}"
    return context.client.submit(begin_epochs, *state.users, *state.items, history, key=key, **near(*data.workers))


def state_of_epoch_run(context: Context, data: PlacedGrid, epoch_run: Future[Any], which: str, epoch: int) -> State:
    """Return the "last" or the "best" state of an EpochRun that ended with an epoch."""
    key = f"{which}-{context.attempt}-{epoch:04d}"
    future = context.client.submit(getattr, epoch_run, which, key=key, **near(*data.workers))
    return State([future], [future])


def next_items(data: PlacedGrid, result: Any, key: str) -> Any:
    """Return the item shards of a task's result, without its users, so that they alone travel to the next share.

    One share exchanges nothing, so it keeps the result whole.
    """
    return delayed(items_of, pure=False)(result, dask_key_name=f"items-{key}") if data.shares > 1 else result


def write_state(
    context: Context, folder: str, state: State, of_shares: list[slice], epoch: int, timed: bool = False
) -> ShardFiles:
    """Write every shard on the worker that holds it; return the files.

    `of_shares` : the shards of each share of the state; `timed` : whether users have effects of time, which are
    "times" then.

    Raises
    ------
    Diverged
        A shard holds numbers that are not finite.
    """
    set_name = f"shards-{epoch:05d}"
    submit, at = context.client.submit, f"{context.attempt}-{epoch:04d}"
    writes = {
        side: [
            submit(on_threads, write_side, 1, share, folder, name=f"{set_name}/{side[:-1]}", first=mine.start,
                   key=f"save-{side}-{at}-{number}", pure=False)
            for number, (share, mine) in enumerate(zip(shares, of_shares, strict=True))
        ]
        for side, write_side, shares in (
            ("users", write_user_shards, state.users), ("items", write_item_shards, state.items)
        )
    }  # fmt: skip
    if timed:
        writes["times"] = [
            submit(on_threads, write_share_times, 1, share, folder, name=f"{set_name}/time", first=mine.start,
                   key=f"save-times-{at}-{number}", pure=False)
            for number, (share, mine) in enumerate(zip(state.users, of_shares, strict=True))
        ]  # fmt: skip
    written: dict[str, list[list[tuple[str, str]]]] = context.client.gather(writes)
    return {
        side: tuple(itertools.starmap(FileEntry.array, itertools.chain(*shares))) for side, shares in written.items()
    }
