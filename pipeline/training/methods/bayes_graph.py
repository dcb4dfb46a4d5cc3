"""A sweep of Gibbs sampling as a graph: all users drawn, then all items.

Covers: the tasks of a sweep, of the predictions after it, and of the merge of draws into their compact mean.
Does not cover: the work of a task (tasks/training/posterior/), the loop over sweeps (bayes.py).

Users stay where their blocks are. All item shards travel as one, as in als_all_items_graph.py: with s steps and P rows
of blocks a sweep has (s + 4) P + s + 5 tasks. Random numbers depend on chain, sweep and place, and parts are added up
in the order of the grid, so the bits are the same for any number of workers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from dask.base import annotate
from dask.delayed import delayed

from funkflow.pipeline.root.records import KeptDraw
from funkflow.pipeline.training.methods.als_graph import NUMBER
from funkflow.pipeline.training.methods.chain_graph import Chain, ChainStarts, Futures
from funkflow.pipeline.training.sweeps import are_few_ratings
from funkflow.pipeline.training.times import TimeSums, of_shards
from funkflow.tasks.model.about import Place
from funkflow.tasks.noise import Stream
from funkflow.tasks.training.als import gram_of, order_items
from funkflow.tasks.training.posterior import draws as tasks
from funkflow.tasks.training.posterior import held_out as scoring
from funkflow.tasks.training.posterior import state as files
from funkflow.tasks.training.posterior import whole_sweep
from funkflow.tasks.training.posterior.implicit import with_item_means, with_user_means
from funkflow.tasks.training.posterior.mean import find_merge
from funkflow.tasks.training.posterior.row_features import with_user_effects
from funkflow.tasks.training.posterior.times import with_times, without_times


@dataclass(frozen=True)
class CompactMean:
    """The sum of all merged draws, by shard."""

    users: Futures
    items: Futures


@dataclass
class Sampling:
    """Where sampling stands.

    chains : those that run now; predicted : what draws predict, by place in the group and user shard; draws : how many
    count so far, of all chains; lost, whole : squared length of what merges cut off, and of the sum of draws;
    noise_variances : sum of the noise variances of all draws; times : sums of effects of time, None without.
    """

    chains: list[Chain]
    predicted: list[Futures]
    mean: CompactMean
    draws: int = 0
    kept: list[KeptDraw] = field(default_factory=list)
    lost: float = 0.0
    whole: float = 0.0
    noise_variances: float = 0.0
    times: TimeSums | None = None


@dataclass(frozen=True)
class _Tasks:
    """Tasks of tasks/training/posterior/implicit.py in the graph of a sweep."""

    task: Callable[..., Any]
    rows: Sequence[Any]
    counts: Sequence[Any]

    def one(self, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        return self.task(function, *arguments, name=name)

    def by_row(
        self, name: str, function: Callable[..., Any], lists: Sequence[Sequence[Any]], *common: Any
    ) -> list[Any]:
        return [
            self.task(
                function, blocks, self.counts[a], a, *(each[a] for each in lists), *common, name=f"{name}-{a:03d}"
            )
            for a, blocks in enumerate(self.rows)
        ]


class Sweeps(ChainStarts):
    """Sweeps over the blocks of a grid."""

    @property
    def biases(self) -> bool:
        """Whether rows have biases."""
        return self.objective.biases

    def nothing_drawn(self, group: int) -> Sampling:
        """Return the state before the first sweep of so many chains at once."""
        users, items = (
            [self.submit(files.empty_compact, counts) for counts in side]
            for side in (self.counts.users, self.counts.items)
        )
        predicted = [self.no_predictions() for _ in range(group)]
        return Sampling([], predicted, CompactMean(users, items), times=self.sums.none(self.days))

    def trained(self, places: dict[str, list[Place]], rank: int) -> list[Futures]:
        """Submit the rows of trained shards, turned to a basis of their own; return those of users, then of items."""
        users, items = (
            [self.submit(files.start_rows, place, rank, side[:-1], self.biases) for place in places[side]]
            for side in ("users", "items")
        )
        grams = [self.submit(gram_of, rows) for rows in (*users, *items)]
        basis = self.submit(files.start_basis, rank, len(users), *grams)
        return [[self.submit(files.turned, rows, basis) for rows in side] for side in (users, items)]

    def sweep(self, chain: Chain, stream: Stream) -> Chain:
        """Submit a sweep of a chain."""
        if are_few_ratings(self.model.ratings):
            return self._whole_sweep(chain, stream)
        at, count, model = f"{self.attempt}-{stream.chain}-{stream.sweep:04d}", len(self.data.rows), self.model
        counts = self.counts.items

        def task(function: Callable[..., Any], *arguments: Any, name: str) -> Any:
            return delayed(function, pure=False)(*arguments, dask_key_name=f"{name}-{at}")

        by_row = _Tasks(task, self.data.rows, self.counts.users)
        rows, ordered = self._without_times(by_row, chain)
        seen = [task(tasks.sums_of, users, name=f"sums-before-{a:03d}") for a, users in enumerate(chain.users)]
        problem = task(tasks.begin_sweep, chain.items, model, stream, *seen, name="draw-prior")
        by_pairs = _Tasks(task, rows, self.counts.users)
        if model.user_features:
            problem = with_user_effects(by_pairs, problem, chain.users, model, stream)
        if model.users_have_means:
            problem = with_user_means(by_pairs, problem, chain.users, counts, model, stream)
        users: list[Any] = []
        for a, blocks in enumerate(rows):
            with self.data.placed(a * self.data.shares // count), annotate(priority=1):
                users.append(
                    task(
                        tasks.draw_users, blocks, chain.users[a], problem, self.counts.users[a], model, stream, a,
                        name=f"draw-users-{a:03d}",
                    )
                )  # fmt: skip
        seen = [task(tasks.sums_of, each, name=f"sums-{a:03d}") for a, each in enumerate(users)]
        begun = task(tasks.begin_items, problem, counts, model, stream, *seen, name="draw-precision")
        if model.items_have_means:
            begun, users = with_item_means(by_pairs, begun, users, counts, model, stream)
        items = self._drawn_items(task, begun, users, ordered, stream)
        if self.days:
            users, items = with_times(by_row, rows, self.days, users, chain.items, items, model, stream)
        met = task(tasks.met_of, begun, name="met")
        futures = self.client.compute([*users, items, met], optimize_graph=False)
        return Chain(futures[:count], futures[count], futures[-1])

    def _drawn_items(
        self, task: Callable[..., Any], begun: Any, users: Sequence[Any], ordered: Sequence[Any], stream: Stream
    ) -> Any:
        """Return all items, drawn in steps over all rows of blocks."""
        model, counts = self.model, self.counts.items
        items = begun
        for step in range(model.steps + 1):
            parts = [
                task(
                    tasks.item_parts, ratings, users[a], items, model, stream, a, name=f"item-parts-{step:02d}-{a:03d}"
                )
                for a, ratings in enumerate(ordered)
            ]
            if step == model.steps:
                items = task(tasks.end_items, items, counts, *parts, name="draw-items")
            elif step:
                items = task(tasks.step_items, items, *parts, name=f"step-items-{step:02d}")
            else:
                items = task(tasks.begin_search, items, counts, model, stream, *parts, name="begin-items")
        return items

    def _without_times(self, by_row: _Tasks, chain: Chain) -> tuple[list[Any], list[Any]]:
        """Return the rows of blocks for a sweep, and in the order of the items: without the effects of time."""
        if not self.days:
            return list(self.data.rows), list(self.ordered)
        rows = without_times(by_row, self.days, chain.users, chain.items, self.model)
        return rows, [
            by_row.task(order_items, blocks, self.width, NUMBER, name=f"order-items-{a:03d}")
            for a, blocks in enumerate(rows)
        ]

    def _whole_sweep(self, chain: Chain, stream: Stream) -> Chain:
        """Submit a sweep as one task."""
        at, shards = f"{self.attempt}-{stream.chain}-{stream.sweep:04d}", range(len(chain.users))
        counts = self.counts.users, self.counts.items
        whole = self.submit(
            whole_sweep.whole_sweep, self.data.rows, self.ordered, counts, chain.users, chain.items, self.model, stream,
            self.days, key=f"sweep-{at}",
        )  # fmt: skip
        users = [self.submit(whole_sweep.user_shard_of, whole, a, key=f"users-{at}-{a:03d}") for a in shards]
        items = self.submit(whole_sweep.items_of, whole, key=f"items-{at}")
        return Chain(users, items, self.submit(whole_sweep.met_of, whole, key=f"met-{at}"))

    def predicted(self, before: Futures, chain: Chain, name: str) -> Futures:
        """Submit the predictions of validation ratings with those of a draw; return them by user shard."""
        return [
            self.submit(
                scoring.add_draw, drawn, held_out, self.biases, users, chain.items, times,
                key=f"predict-{self.attempt}-{name}-{a:03d}",
            )
            for a, (drawn, held_out, users, times) in enumerate(
                zip(before, self.data.held_out, chain.users, self.held_out_times, strict=True)
            )
        ]  # fmt: skip

    def no_predictions(self) -> Futures:
        """Return the predictions of no draw, by user shard."""
        return [self.submit(scoring.HeldOutDraws.none, held_out) for held_out in self.data.held_out]

    def errors_of_mean(self, drawn: Sequence[Futures], scale: tuple[float, float], name: str) -> Futures:
        """Submit the errors of the mean of all chains' predictions; return them by user shard."""
        return [
            self.submit(
                scoring.errors_of_mean, held_out, self.objective.scaling, scale, *(of_chain[a] for of_chain in drawn),
                key=f"score-{self.attempt}-{name}-{a:03d}",
            )
            for a, held_out in enumerate(self.data.held_out)
        ]  # fmt: skip

    def stored_mean(self, users: Sequence[Place], items: Sequence[Place]) -> CompactMean:
        """Return the compact mean of a checkpoint."""
        of_users, of_items = ([self.submit(files.read_compact, place) for place in side] for side in (users, items))
        return CompactMean(of_users, of_items)

    def stored_predictions(self, sums: Sequence[Place], traces: Sequence[Place], draws: int) -> Futures:
        """Return the predictions of a checkpoint, by user shard."""
        return [self.submit(files.read_predictions, *places, draws) for places in zip(sums, traces, strict=True)]

    def merge(self, state: Sampling, drawn: Sequence[Chain], rank: int, name: str) -> None:
        """Merge draws into their compact mean of at most a rank; the state changes."""
        key, shards, mean, biases = f"{self.attempt}-{name}", range(len(state.mean.users)), state.mean, self.biases
        of_users = [[draw.users[a] for draw in drawn] for a in shards]
        of_items = [draw.items for draw in drawn]
        stacked = [
            self.submit(files.stack_users, mean.users[a], biases, *of_users[a], key=f"stack-users-{key}-{a:03d}")
            for a in shards
        ] + [
            self.submit(files.stack_items, mean.items[b], biases, b, *of_items, key=f"stack-items-{key}-{b:03d}")
            for b in shards
        ]
        found = self.submit(find_merge, rank, len(shards), *stacked, key=f"find-merge-{key}")
        users = [
            self.submit(files.merge_users, mean.users[a], biases, found, *of_users[a], key=f"merge-users-{key}-{a:03d}")
            for a in shards
        ]
        items = [
            self.submit(files.merge_items, mean.items[b], biases, b, found, *of_items, key=f"merge-items-{key}-{b:03d}")
            for b in shards
        ]
        lost, state.whole = self.submit(files.losses_of, found, key=f"losses-{key}").result()
        state.lost += lost
        state.mean = CompactMean(users, items)

    def errors_of_compact(
        self, state: Sampling, ranks: Sequence[int], scale: tuple[float, float]
    ) -> list[list[scoring.CompactErrors]]:
        """Return the errors of the compact mean at each rank, by user shard."""
        rated = [
            self.submit(scoring.with_mean_offsets, held_out, times, users, items, state.draws)
            for held_out, times, (users, items) in zip(
                self.data.held_out, self.held_out_times, of_shards(state.times, len(self.data.rows)), strict=True
            )
        ]
        submitted = [
            self.submit(
                scoring.errors_of_compact, held_out, state.mean.users[a], list(state.mean.items), list(ranks),
                self.objective.scaling, scale, *(of_slot[a] for of_slot in state.predicted),
            )
            for a, held_out in enumerate(rated)
        ]  # fmt: skip
        found: list[list[scoring.CompactErrors]] = self.client.gather(submitted)
        return found
