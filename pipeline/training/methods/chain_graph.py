"""Where chains of a sampler start, as tasks: at rows that are given, or as a checkpoint left them.

Covers: a chain's shards, and the features of their rows.
Does not cover: the work of a task (tasks/training/posterior/starts.py), sweeps (bayes_graph.py), the optimum that a
chain starts from (sampling_ends.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distributed import Future

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.training.methods.als_graph import RowSolves
from funkflow.pipeline.training.placed_grid import PlacedGrid
from funkflow.tasks.dataset.feature_rows import read_feature_rows
from funkflow.tasks.model.about import Place
from funkflow.tasks.storage import npy
from funkflow.tasks.training.posterior import starts
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

    def first(self, users: Sequence[Any], items: Sequence[Any], noise: NoiseLevel) -> Chain:
        """Return a chain at given rows, futures by shard."""
        first_users = [
            self.submit(starts.first_users, rows, counts, features=features)
            for rows, counts, features in zip(users, self.counts.users, self.features_of("user"), strict=True)
        ]
        nothing = self.nothing_known(items)
        return Chain(first_users, self.submit(starts.first_items, self.counts.items, noise, *items, implicit=nothing))

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
