"""Passes for one feature as a task graph, and what the blocks are left with once it is finished.

Covers: which task needs what of which other task, and their keys.
Does not cover: which feature comes when, stopping and checkpoints (funk.py), or what a task does
(tasks/training/funk.py).

Shares of the grid and their turns are those of sgd_graph.py, for the same reasons. With one share many passes are one
task, as nothing is exchanged on the way: a pass over a small set takes less time than handing it out.

What a feature leaves is made of what the one before it left. That chain is not cut: it has one short task a user shard
and feature, and is run anew only where a worker is lost.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from dask.delayed import delayed
from distributed import Future

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.root.manifests import Grid
from funkflow.pipeline.training.bias_graph import fit_biases
from funkflow.pipeline.training.on_worker import on_threads
from funkflow.pipeline.training.placed_grid import PlacedGrid
from funkflow.pipeline.training.sgd_graph import to_be_handed_on
from funkflow.tasks.grid.factor_shard import shard_rows
from funkflow.tasks.grid.row_sums import rows_seen
from funkflow.tasks.grid.scaling import StepSizes
from funkflow.tasks.grid.visit_order import turns_of_epoch
from funkflow.tasks.training.bias_baseline import mean_shard
from funkflow.tasks.training.funk import first_standing, score_standing
from funkflow.tasks.training.funk_files import read_vectors
from funkflow.tasks.training.funk_share import (
    BlockPlaces,
    SharePasses,
    Squares,
    descend_feature_share,
    first_item_vectors,
    first_user_vectors,
    score_feature_share,
    standing_after,
)


@dataclass(frozen=True)
class FeatureState:
    """One feature after some pass, as futures of shares: a Feature each of users, a tuple of vectors of items."""

    users: list[Future[Any]]
    items: list[Future[Any]]


class FeatureRounds:
    """The blocks of a grid, what the finished features leave of their ratings, and passes for the next.

    `biases` : futures of FactorShard, in rating units, of all user shards and of all item shards.
    `sizes` : rows of all user shards and of all item shards. `start` : any feature before its first pass.
    """

    def __init__(
        self, context: Context, grid: Grid, data: PlacedGrid, steps: StepSizes, scale: tuple[float, float],
        biases: bool, seed: int,
    ) -> None:  # fmt: skip
        self.client, self.name, self.data = context.client, context.attempt, data
        self.steps, self.scale, self.seed, self.finished = steps, scale, seed, 0
        count = len(data.rows)
        self.sizes = [[shard_rows(grid.rows_of(side), count, n) for n in range(count)] for side in ("users", "items")]
        self.biases = fit_biases(context, data, steps.mean, self.name) if biases else self._no_biases()
        self._standings = [
            self._submit(first_standing, row, held, steps, self.biases[0][a], *self.biases[1], key=f"standing-0-{a}")
            for a, (row, held) in enumerate(zip(data.rows, data.held_out, strict=True))
        ]
        self._seen = [self._submit(rows_seen, row, key=f"rows-seen-{a}") for a, row in enumerate(data.rows)]
        self.take(data)

    def take(self, data: PlacedGrid) -> None:
        """Go on with the grid as it is handed out now, from the next feature on."""
        self.data, seen = data, self._seen
        shares = list(enumerate(data.of_shares))
        key = f"{self.finished}-{data.shares}"
        self.start = FeatureState(
            [self._submit(first_user_vectors, seen[mine], key=f"start-users-{key}-{share}") for share, mine in shares],
            [self._submit(first_item_vectors, seen, mine, key=f"start-items-{key}-{share}") for share, mine in shares],
        )

    def passes(self, before: FeatureState, first: int, count: int) -> tuple[FeatureState, Squares]:
        """Take `count` passes, the first of them pass number `first` of the feature; return what it then is.

        The errors are those met in the last of these passes, and those that are left after it.
        """
        data, size = self.data, len(self.data.rows) // self.data.shares
        looks = f"{self.name}-{self.finished:03d}"
        users: list[Any] = list(before.users)
        items: list[Any] = list(before.items)
        for number, (partners, passes, begins) in enumerate(self._turns(first, count)):
            for share, (partner, mine) in enumerate(zip(partners, data.of_shares, strict=True)):
                key = f"{looks}.{first + number // data.shares:05d}-{number:04d}-{share:03d}"
                with data.placed(share):
                    users[share] = delayed(on_threads, pure=False)(
                        descend_feature_share, data.shares_a_worker, data.rows[mine], self._standings[mine],
                        SharePasses(passes[share], mine.start, partner * size, begins), users[share], items[partner],
                        self.steps,
                        dask_key_name=f"passes-{key}-{partner:03d}of{data.shares}",
                    )  # fmt: skip
                    items[partner] = to_be_handed_on(data, users[share], key)
        errors = []
        for share, mine in enumerate(data.of_shares):
            key = f"{looks}-{first:05d}-{share:03d}"
            with data.placed(share):
                errors.append(
                    delayed(on_threads, pure=False)(
                        score_feature_share, data.shares_a_worker, data.held_out[mine], self._standings[mine],
                        users[share], items if data.scored else [], self.steps, self.scale,
                        dask_key_name=f"score-{key}",
                    )
                )  # fmt: skip
        futures = self.client.compute([*users, *items, *errors], optimize_graph=False)
        of_shards = itertools.chain(*self.client.gather(futures[2 * data.shares :]))
        training, stopping = zip(*of_shards, strict=True)
        after = FeatureState(futures[: data.shares], futures[data.shares : 2 * data.shares])
        return after, (float(sum(training)), float(sum(stopping)))

    def stopping_squares(self) -> float:
        """Return the sum of squared errors that the finished features leave on the stopping ratings."""
        errors = [
            self._submit(score_standing, held, standing, self.steps, self.scale, key=f"score-{self.finished:03d}-{a}")
            for a, (held, standing) in enumerate(zip(self.data.held_out, self._standings, strict=True))
        ]
        return float(sum(self.client.gather(errors)))

    def finish(self, users: tuple[str, str], items: tuple[str, str]) -> None:
        """Take a finished feature, given by url and checksum of its files, away from what is left of the ratings."""
        self.finished += 1
        loaded = [
            self._submit(read_vectors, *where, sizes, key=f"load-{side}-{self.finished}")
            for side, where, sizes in zip(("users", "items"), (users, items), self.sizes, strict=True)
        ]
        rows, held_out = self.data.rows, self.data.held_out
        self._standings = [
            self._submit(standing_after, row, before, held, *loaded, a, key=f"standing-{self.finished}-{a}")
            for a, (row, before, held) in enumerate(zip(rows, self._standings, held_out, strict=True))
        ]

    def _turns(self, first: int, count: int) -> Iterator[tuple[Sequence[int], list[list[BlockPlaces]], bool]]:
        """Yield what happens between two exchanges: each share's partner, its blocks by pass, and if a pass begins."""
        shards, shares = len(self.data.rows), self.data.shares
        numbers = range(first, first + count)
        passes = [turns_of_epoch(self.seed, number, shards, shares) for number in numbers]
        if shares == 1:
            yield (0,), [[np.array(turn.visits[0]) for (turn,) in passes]], True
            return
        for turns in passes:
            for number, turn in enumerate(turns):
                yield turn.partners, [[np.array(visits)] for visits in turn.visits], number == 0

    def _no_biases(self) -> tuple[list[Future[Any]], list[Future[Any]]]:
        users, items = (
            [self._submit(mean_shard, rows, key=f"no-bias-{side}-{n}") for n, rows in enumerate(sizes)]
            for side, sizes in zip(("users", "items"), self.sizes, strict=True)
        )
        return users, items

    def _submit(self, function: Any, *arguments: Any, key: str) -> Future[Any]:
        return self.client.submit(function, *arguments, key=f"{key}-{self.name}", pure=False)
