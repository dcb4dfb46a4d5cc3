"""The files of a sampler's checkpoint: chains, predictions and the compact mean, in a fixed order.

Covers: writing them where they lie, reading them back as fresh tasks, kept draws, and the shards of the mean.
Does not cover: the form of a file (tasks/training/posterior/state.py), the manifest of a checkpoint
(pipeline/training/checkpoint.py), the loop (bayes.py).

    users : rows of each chain, factors of each if pairs count, sums and traces of predictions of each chain, the
            compact mean; with effects of time their sums and those of each chain; a file a shard each
    items : rows of each chain, what the pairs say in each if they count, effects of features in each if there are
            any, the compact mean; with effects of time likewise
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from funkflow.pipeline.cluster.context import Context, run_all
from funkflow.pipeline.root.records import ShardFiles, TimesRecord
from funkflow.pipeline.root.typed_json import FileEntry
from funkflow.pipeline.training.checkpoint import Checkpoint, DrawState, ResumePoint, array_entries
from funkflow.pipeline.training.manifest import STAGE
from funkflow.pipeline.training.methods.bayes_graph import Sampling, Sweeps
from funkflow.pipeline.training.methods.chain_graph import Chain
from funkflow.pipeline.training.times import TimeSums
from funkflow.tasks.storage import files
from funkflow.tasks.training.posterior import state as forms
from funkflow.tasks.training.posterior.priors import NoiseLevel
from funkflow.tasks.training.posterior.sweep_parts import Met
from funkflow.tasks.training.posterior.times import levels_of
from funkflow.tasks.training.times import saved

_Jobs = list[tuple[str, Callable[..., str], tuple[Any, ...]]]


def write(
    context: Context, folder: str, number: int, state: Sampling, met: Sequence[Met], has_features: bool
) -> ResumePoint:
    """Write the state after sweep `number`; return where to resume."""
    at = f"shards-{number:05d}"
    users: _Jobs = []
    items: _Jobs = []
    for c, chain in enumerate(state.chains):
        of_users, of_items = _rows(f"{at}/chain-{c:02d}-", chain)
        users += of_users
        items += of_items
    for c, chain in enumerate(state.chains if met[0].squares else ()):
        items += [
            (f"{at}/pairs-{c:02d}-{b:05d}.npy", forms.write_pairs, (chain.items, b))
            for b in range(len(state.mean.items))
        ]
        users += [
            (f"{at}/factors-{c:02d}-{a:05d}.npy", forms.write_factors, (each,)) for a, each in enumerate(chain.users)
        ]
    for c, chain in enumerate(state.chains if has_features else ()):
        count = len(state.mean.items)
        items += [
            (f"{at}/effects-{c:02d}-{b:05d}.npy", forms.write_effects, (chain.items, count, b)) for b in range(count)
        ]
    for c, drawn in enumerate(state.predicted):
        users += [(f"{at}/sums-{c:02d}-{a:05d}.npy", forms.write_predictions, (each,)) for a, each in enumerate(drawn)]
        users += [(f"{at}/trace-{c:02d}-{a:05d}.npy", forms.write_trace, (each,)) for a, each in enumerate(drawn)]
    for jobs, side, shards in ((users, "user", state.mean.users), (items, "item", state.mean.items)):
        jobs += [(f"{at}/mean-{side}-{a:05d}.npy", forms.write_compact, (each,)) for a, each in enumerate(shards)]
    if state.times is not None:
        of_users, of_items = _times(at, state, state.times)
        users, items = users + of_users, items + of_items
    sampling = DrawState(
        noise_precisions=tuple(each.noise.precision for each in met),
        noise_shapes=tuple(each.noise.shape for each in met), draws=state.draws, kept=tuple(state.kept),
        lost=state.lost, whole=state.whole, noise_variances=state.noise_variances,
        squares=tuple(each.squares for each in met if each.squares),
        time_levels=_levels(context, state),
    )  # fmt: skip
    return ResumePoint.of(_written(context, folder, users, items), sampling=sampling)


def _levels(context: Context, state: Sampling) -> tuple[tuple[float, ...], ...]:
    if state.times is None:
        return ()
    return tuple(context.client.gather([context.client.submit(levels_of, chain.items) for chain in state.chains]))


def write_kept(context: Context, folder: str, name: str, chain: Chain, precision: float) -> ShardFiles:
    """Write a draw that stays below a folder of its own; precision : tau of the draw."""
    _, items = _rows(f"{name}/", chain)
    users: _Jobs = [
        (f"{name}/user-{a:05d}.npy", forms.write_kept_users, (each, precision)) for a, each in enumerate(chain.users)
    ]
    return _written(context, folder, users, items)


def write_mean(context: Context, folder: str, state: Sampling, rank: int) -> ShardFiles:
    """Write the mean of all draws, cut to a rank, as shards of factors."""
    users, items = (
        [
            (f"shards-mean/{side}-{n:05d}.npy", forms.write_mean, (each, state.draws, rank))
            for n, each in enumerate(shards)
        ]
        for side, shards in (("user", state.mean.users), ("item", state.mean.items))
    )
    return _written(context, folder, users, items)


def stored(sweeps: Sweeps, last: Checkpoint, folder: str, sampling: DrawState) -> Sampling:
    """Return the state of a checkpoint, as fresh load tasks."""
    shards, group = len(sweeps.data.rows), len(sampling.noise_precisions)
    users, items = (_by_shards(side, shards, folder) for side in (last.current.users, last.current.items))
    time_sums = None
    if sampling.time_levels:
        users, times_of_users = users[: -group - 1], users[-group - 1 :]
        items, times_of_items = items[: -group - 1], items[-group - 1 :]
        time_sums = sweeps.sums.stored(times_of_users[0], times_of_items[0])
    rows = [sweeps.stored(users[c], items[c], last.epoch * group + c) for c in range(group)]
    chains = [
        sweeps.resumed(
            each.users, each.items, NoiseLevel(sampling.noise_precisions[c], sampling.noise_shapes[c]),
            *((items[group + c], users[group + c], sampling.squares[c]) if sampling.squares else ()),
            *((items[2 * group + c],) if sweeps.features else ()),
        )
        for c, each in enumerate(rows)
    ]  # fmt: skip
    if time_sums is not None:
        chains = [
            sweeps.with_times(each, times_of_users[c + 1], times_of_items[c + 1], sampling.time_levels[c])
            for c, each in enumerate(chains)
        ]
    first = 2 * group if sampling.squares else group
    predicted = [
        sweeps.stored_predictions(users[first + 2 * c], users[first + 2 * c + 1], sampling.draws // group)
        for c in range(group)
    ]
    return Sampling(
        chains, predicted, sweeps.stored_mean(users[-1], items[-1]), sampling.draws, list(sampling.kept), sampling.lost,
        sampling.whole, sampling.noise_variances, time_sums,
    )  # fmt: skip


def write_times(context: Context, folder: str, state: Sampling, sweeps: Sweeps) -> TimesRecord | None:
    """Write the mean effects of time of all draws, by shard; None where time has none."""
    if state.times is None:
        return None
    users: _Jobs = [
        (f"shards-mean/user-times-{a:05d}.parquet", saved.write_user_times, (days, sums, state.draws))
        for a, (days, sums) in enumerate(zip(sweeps.days, state.times.users, strict=True))
    ]
    items: _Jobs = [
        (f"shards-mean/item-times-{b:05d}.npy", saved.write_item_times, (state.times.items, state.draws, part))
        for b, part in enumerate(sweeps.item_parts)
    ]
    written, calendar = _written(context, folder, users, items), sweeps.model.calendar
    return TimesRecord(effects=calendar.effects, edges=calendar.edges, users=written["users"], items=written["items"])


def _times(at: str, state: Sampling, sums: TimeSums) -> tuple[_Jobs, _Jobs]:
    """Return the files of effects of time: their sums over draws, and those of each chain."""
    shards = range(len(sums.users))
    users: _Jobs = [(f"{at}/times-sum-user-{a:05d}.npy", forms.write_user_times, (sums.users[a],)) for a in shards]
    items: _Jobs = [
        (f"{at}/times-sum-item-{b:05d}.npy", forms.write_time_table, (sums.items, len(shards), b)) for b in shards
    ]
    for c, chain in enumerate(state.chains):
        users += [(f"{at}/times-{c:02d}-user-{a:05d}.npy", forms.write_user_times, (chain.users[a],)) for a in shards]
        items += [
            (f"{at}/times-{c:02d}-item-{b:05d}.npy", forms.write_time_table, (chain.items, len(shards), b))
            for b in shards
        ]
    return users, items


def _rows(prefix: str, chain: Chain) -> tuple[_Jobs, _Jobs]:
    shards = range(len(chain.users))
    return (
        [(f"{prefix}user-{a:05d}.npy", forms.write_user_rows, (chain.users[a],)) for a in shards],
        [(f"{prefix}item-{b:05d}.npy", forms.write_item_rows, (chain.items, b)) for b in shards],
    )


def _written(context: Context, folder: str, users: _Jobs, items: _Jobs) -> ShardFiles:
    jobs = [*users, *items]
    calls = [(write, files.join(folder, path), *arguments) for path, write, arguments in jobs]
    checksums = run_all(context, STAGE, "save-draws", forms.called, calls)
    entries = array_entries((path for path, _, _ in jobs), checksums)
    return {"users": entries[: len(users)], "items": entries[len(users) :]}


def _by_shards(entries: Iterable[FileEntry], shards: int, folder: str) -> list[list[tuple[str, str]]]:
    places = [entry.place(folder) for entry in entries]
    return [places[at : at + shards] for at in range(0, len(places), shards)]
