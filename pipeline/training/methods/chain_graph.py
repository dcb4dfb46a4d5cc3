"""Where chains of a sampler start, as tasks: at rows that are given, or as a checkpoint left them.

Covers: a chain's shards, and the features of their rows.
Does not cover: the work of a task (tasks/training/posterior/starts.py), sweeps (bayes_graph.py), the optimum that a
chain starts from (sampling_ends.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from distributed import Future

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.training.methods.als_graph import RowSolves
from funkflow.pipeline.training.placed_grid import PlacedGrid
from funkflow.pipeline.training.times import TimeSumsGraph, held_out_times, shard_sizes
from funkflow.tasks.dataset.feature_rows import read_feature_rows
from funkflow.tasks.model.about import Place
from funkflow.tasks.storage import npy
from funkflow.tasks.training.posterior import starts, times
from funkflow.tasks.training.posterior.priors import NoiseLevel
from funkflow.tasks.training.posterior.row_features import basis_of, gram_of_features, nothing_known
from funkflow.tasks.training.posterior.sweep_parts import Met, Model

Futures = list[Future[Any]]


@dataclass(frozen=True)
class Chain:
    """A chain after a sweep: user shards (`UserDraw`), and all item shards (`ItemDraw`).

    met : see `tasks.met_of`; passes : over the ratings, of the training that it starts from.
    """

    users: Futures
    items: Future[Any]
    met: Future[Any] | Met | None = None
    passes: int = 0


class ChainStarts(RowSolves):
    """Chains over the blocks of a grid. `features` : of "user" and "item", where the dataset has them."""

    def __init__(
        self, context: Context, data: PlacedGrid, model: Model, width: int, features: Mapping[str, Place]
    ) -> None:
        self.model, self.features = model, features
        super().__init__(context, data, model.objective, model.steps, width)

    def place(self, data: PlacedGrid) -> None:
        """Use the grid as it lies on the workers now, with the days of its validation ratings."""
        super().place(data)
        grid, calendar = data.source.grid, self.model.calendar
        self.user_sizes, sizes = shard_sizes(data)
        self.sums = TimeSumsGraph(self.client, self.user_sizes, grid.items, calendar.bins)
        ends = np.cumsum(sizes).tolist()
        self.item_parts = [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
        self.held_out_times = held_out_times(self.client, data, calendar)

    @property
    def days(self) -> list[Any]:
        """The days of each row of blocks; [] where time has no effects."""
        return self.data.days if self.model.calendar.effects else []

    def order_items(self, name: str) -> list[Future[Any]]:
        """Submit the ratings in the order of the items; with effects of time each sweep does so itself."""
        return [] if self.model.calendar.effects else super().order_items(name)

    def first(
        self, users: Sequence[Any], items: Sequence[Any], noise: NoiseLevel, effects: Sequence[Place] = ()
    ) -> Chain:
        """Return a chain at given rows, futures by shard; effects : of time, of `steps.written_times`, () for zeros."""
        first_users = [
            self.submit(starts.first_users, rows, counts, features=features)
            for rows, counts, features in zip(users, self.counts.users, self.features_of("user"), strict=True)
        ]
        nothing = self.nothing_known(items)
        first_items = self.submit(starts.first_items, self.counts.items, noise, *items, implicit=nothing)
        if self.days:
            first_items = self.submit(times.first_item_times, first_items, self.model)
            arrays: list[Any] = [self.submit(npy.read_array, *place) for place in effects] or [None] * len(self.days)
            first_users = [
                self.submit(times.first_user_times, *each) for each in zip(first_users, self.days, arrays, strict=True)
            ]
        return Chain(first_users, first_items)

    def with_times(
        self, chain: Chain, users: Sequence[Place], items: Sequence[Place], levels: Sequence[float]
    ) -> Chain:
        """Return a chain of a checkpoint with its effects of time; users, items : of `state.write_..._times`."""
        arrays = [[self.submit(npy.read_array, *place) for place in side] for side in (users, items)]
        return Chain(
            [self.submit(times.resumed_user_times, *each) for each in zip(chain.users, arrays[0], strict=True)],
            self.submit(times.resumed_item_times, chain.items, levels, *arrays[1]),
        )

    def resumed(
        self, users: Sequence[Any], items: Sequence[Any], noise: NoiseLevel, pairs: Sequence[Place] = (),
        factors: Sequence[Place] = (), squares: Sequence[float] = (), effects: Sequence[Place] = (),
    ) -> Chain:  # fmt: skip
        """Return a chain of a checkpoint.

        pairs, factors, effects : of `state.write_pairs`, `write_factors` and `write_effects`, if any.
        """
        if not pairs:
            return self.first(users, items, noise)
        said, meant = ([self.submit(npy.read_array, *place) for place in places] for places in (pairs, effects))
        nothing = self.nothing_known(items)
        drawn = self.submit(starts.resumed_items, self.counts.items, noise, squares, said, meant, nothing, *items)
        drawn_users = [
            self.submit(
                starts.resumed_users,
                blocks,
                rows,
                counts,
                drawn,
                self.submit(npy.read_array, *place),
                known,
                self.model,
            )
            for blocks, rows, counts, place, known in zip(
                self.data.rows, users, self.counts.users, factors, self.features_of("user"), strict=True
            )
        ]
        return Chain(drawn_users, drawn)

    def features_of(self, side: str) -> list[Any]:
        """Return the features of each shard of "user" or "item", None where there are none."""
        shards = len(self.data.rows)
        if side not in self.features:
            return [None] * shards
        return [self.submit(read_feature_rows, self.features[side], shards, shard) for shard in range(shards)]

    def nothing_known(self, items: Sequence[Any]) -> Any:
        """Return effects of 0 of all features; None where there are none."""
        if not self.features:
            return None
        bases = []
        for side, counts in (("user", self.counts.users), ("item", self.counts.items)):
            grams = [self.submit(gram_of_features, *each) for each in zip(self.features_of(side), counts, strict=True)]
            bases.append(self.submit(basis_of, *grams) if side in self.features else None)
        known = self.features_of("item") if "item" in self.features else []
        return self.submit(nothing_known, list(items), known, self.counts.items, *bases)

    def submit(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Future[Any]:
        """Submit a task."""
        return self.client.submit(function, *arguments, pure=False, **options)
