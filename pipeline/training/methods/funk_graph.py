"""The task graph of Simon Funk's form: passes for one feature, and the remainder of the ratings after it.

Covers: the tasks with their inputs and keys.
Does not cover: the loop over features, stopping and checkpoints (funk.py), the work of a task
(tasks/training/funk_share.py).

Shares and strata are those of sgd_graph.py. With one share there is no exchange, so many passes are one task: a pass
over a small set takes less time than the start of a task.

The remainder after a feature depends on the one before it. Checkpoints do not cut that chain: it has one short task a
user shard and feature, and Dask repeats it only if a worker is lost.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from dask.delayed import delayed
from distributed import Future

from funkflow.pipeline.training.bias_graph import fit_biases
from funkflow.pipeline.training.job import TrainingJob
from funkflow.pipeline.training.methods.sgd_graph import next_items
from funkflow.pipeline.training.on_worker import on_threads
from funkflow.pipeline.training.placed_grid import PlacedGrid
from funkflow.tasks.grid.bias_baseline import mean_shard, rows_with_ratings
from funkflow.tasks.grid.factor_shard import shard_rows
from funkflow.tasks.grid.scaling import StepSizes
from funkflow.tasks.grid.visit_order import strata_of_shares
from funkflow.tasks.model.about import Place
from funkflow.tasks.training.funk import first_remainder, score_remainder
from funkflow.tasks.training.funk_files import read_feature
from funkflow.tasks.training.funk_share import (
    BlockVisits,
    SharePasses,
    Squares,
    descend_feature_share,
    first_item_vectors,
    first_user_vectors,
    remainder_after,
    score_feature_share,
)


@dataclass(frozen=True)
class FeatureState:
    """One feature after a pass, as futures of shares: `users` of a Feature, `items` of a tuple of vectors."""

    users: list[Future[Any]]
    items: list[Future[Any]]


class FeatureRounds:
    """The blocks of a grid with the remainders of the finished features, and passes for the next feature.

    `biases` : futures of FactorShard, in rating units, of all user shards and of all item shards.
    `sizes` : rows of all user shards and of all item shards. `start` : any feature before its first pass.
    """

    def __init__(self, job: TrainingJob, data: PlacedGrid, steps: StepSizes) -> None:
        context, count = job.context, len(data.rows)
        self.client, self.name, self.data = context.client, context.attempt, data
        self.steps, self.scale, self.seed, self.finished = steps, job.scale, job.settings.seed, 0
        self.sizes = [
            [shard_rows(job.grid.rows_of(side), count, n) for n in range(count)] for side in ("users", "items")
        ]
        self.biases = fit_biases(context, data, steps.mean, self.name) if job.settings.biases else self._no_biases()
        self._remainders = [
            self._submit(first_remainder, row, held, steps, *(of_user, *self.biases[1]), key=f"standing-0-{a}")
            for a, (row, held, of_user) in enumerate(zip(data.rows, data.held_out, self.biases[0], strict=True))
        ]
        self._rated = [self._submit(rows_with_ratings, row, key=f"rows-seen-{a}") for a, row in enumerate(data.rows)]
        self.place(data)

    def place(self, data: PlacedGrid) -> None:
        """Use the grid as it lies on the workers now, from the next feature on."""
        self.data, rated = data, self._rated
        shares = list(enumerate(data.of_shares))
        key = f"{self.finished}-{data.shares}"
        self.start = FeatureState(
            [self._submit(first_user_vectors, rated[mine], key=f"start-users-{key}-{share}") for share, mine in shares],
            [self._submit(first_item_vectors, rated, mine, key=f"start-items-{key}-{share}") for share, mine in shares],
        )

    def passes(self, before: FeatureState, first: int, count: int) -> tuple[FeatureState, Squares]:
        """Make `count` passes, the first of them pass number `first` of the feature; return it with its errors.

        The errors in training are those of the last pass on its way, the others those after it.
        """
        data, size = self.data, len(self.data.rows) // self.data.shares
        looks = f"{self.name}-{self.finished:03d}"
        users: list[Any] = list(before.users)
        items: list[Any] = list(before.items)
        for number, (partners, passes, begins) in enumerate(self._strata(first, count)):
            for share, (partner, mine) in enumerate(zip(partners, data.of_shares, strict=True)):
                key = f"{looks}.{first + number // data.shares:05d}-{number:04d}-{share:03d}"
                with data.placed(share):
                    users[share] = delayed(on_threads, pure=False)(
                        descend_feature_share, data.shares_a_worker, data.rows[mine], self._remainders[mine],
                        visits=SharePasses(passes[share], mine.start, partner * size, begins),
                        before=users[share], items=items[partner], steps=self.steps,
                        dask_key_name=f"passes-{key}-{partner:03d}of{data.shares}",
                    )  # fmt: skip
                    items[partner] = next_items(data, users[share], key)
        errors = []
        for share, mine in enumerate(data.of_shares):
            key = f"{looks}-{first:05d}-{share:03d}"
            with data.placed(share):
                errors.append(
                    delayed(on_threads, pure=False)(
                        score_feature_share, data.shares_a_worker, data.held_out[mine], self._remainders[mine],
                        feature=users[share], items=items if data.scored else [],
                        scaling=self.steps, scale=self.scale, dask_key_name=f"score-{key}",
                    )
                )  # fmt: skip
        futures = self.client.compute([*users, *items, *errors], optimize_graph=False)
        of_shards = itertools.chain(*self.client.gather(futures[2 * data.shares :]))
        training, stopping = zip(*of_shards, strict=True)
        after = FeatureState(futures[: data.shares], futures[data.shares : 2 * data.shares])
        return after, (float(sum(training)), float(sum(stopping)))

    def stopping_squares(self) -> float:
        """Return the sum of squared errors that the finished features leave on the validation ratings."""
        errors = [
            self._submit(score_remainder, held, remainder, self.steps, self.scale, key=f"score-{self.finished:03d}-{a}")
            for a, (held, remainder) in enumerate(zip(self.data.held_out, self._remainders, strict=True))
        ]
        return float(sum(self.client.gather(errors)))

    def finish(self, users: Place, items: Place) -> None:
        """Subtract a finished feature, given by its files, from the remainders."""
        self.finished += 1
        loaded = [
            self._submit(read_feature, *place, sizes, key=f"load-{side}-{self.finished}")
            for side, place, sizes in zip(("users", "items"), (users, items), self.sizes, strict=True)
        ]
        rows, held_out = self.data.rows, self.data.held_out
        self._remainders = [
            self._submit(remainder_after, row, before, held, *loaded, shard=a, key=f"standing-{self.finished}-{a}")
            for a, (row, before, held) in enumerate(zip(rows, self._remainders, held_out, strict=True))
        ]

    def _strata(self, first: int, count: int) -> Iterator[tuple[Sequence[int], list[list[BlockVisits]], bool]]:
        """Yield for each stratum the shares' partners, their blocks by pass, and whether a pass begins."""
        shards, shares = len(self.data.rows), self.data.shares
        numbers = range(first, first + count)
        passes = [strata_of_shares(self.seed, number, shards, shares) for number in numbers]
        if shares == 1:
            yield (0,), [[np.array(stratum.visits[0]) for (stratum,) in passes]], True
            return
        for strata in passes:
            for number, stratum in enumerate(strata):
                yield stratum.partners, [[np.array(visits)] for visits in stratum.visits], number == 0

    def _no_biases(self) -> tuple[list[Future[Any]], list[Future[Any]]]:
        users, items = (
            [self._submit(mean_shard, rows, key=f"no-bias-{side}-{n}") for n, rows in enumerate(sizes)]
            for side, sizes in zip(("users", "items"), self.sizes, strict=True)
        )
        return users, items

    def _submit(self, function: Any, *arguments: Any, key: str, **named: Any) -> Future[Any]:
        return self.client.submit(function, *arguments, **named, key=f"{key}-{self.name}", pure=False)
