"""Train by alternating row solves: every user's row, then every item's, until early stopping or a vanishing gradient.

Covers: the loop over epochs, the numbers of the objective, the best epoch, checkpoints, and resuming.
Does not cover: the graph of an epoch (als_graph.py), the solves (tasks/training/als.py).

A checkpoint holds the rows of both sides. After each checkpoint the loop reads it back, so a resumed run has the same
bits, and no task depends on those before the checkpoint.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace
from typing import Any

from distributed import Future

from funkflow.pipeline.progress.events import Noticed
from funkflow.pipeline.root.manifests import Grid, Training
from funkflow.pipeline.root.records import RankedEpochs, ShardFiles
from funkflow.pipeline.settings.methods import METHODS
from funkflow.pipeline.settings.sections import TrainSettings
from funkflow.pipeline.training.checkpoint import Checkpoint, ResumePoint
from funkflow.pipeline.training.job import TrainingJob, WarmStart
from funkflow.pipeline.training.loop import CheckpointedLoop
from funkflow.pipeline.training.manifest import best_score, reuse_or_train
from funkflow.pipeline.training.methods.als_all_items_graph import AllItemSolves
from funkflow.pipeline.training.methods.als_graph import NUMBER, EpochTasks, RowSolves, total
from funkflow.pipeline.training.placed_grid import PlacedGrid
from funkflow.pipeline.training.sharded_rows import ShardedRows, write_sides
from funkflow.pipeline.training.step_sizes import scaling_of
from funkflow.pipeline.training.warm_start import MeasuredUsers, RowStartWriter
from funkflow.tasks.errors import SettingsError
from funkflow.tasks.grid import solved_rows
from funkflow.tasks.grid.default_rule import ALS_PATIENCE, WARM_SHRINK, alpha_for, als_l2_for, toward_mean_for
from funkflow.tasks.grid.factor_shard import ShardStart
from funkflow.tasks.grid.layout import are_few_items
from funkflow.tasks.grid.row_objective import Objective
from funkflow.tasks.grid.scaling import Scaling, StepSizes
from funkflow.tasks.training.early_stopping import Verdict, judge_history, stopping_ndcgs

_LEAST_TARGET = 0.2


def train_als(job: TrainingJob) -> Training:
    """Train as `sgd.train` does; the manifest also has the reason for ending.

    Raises
    ------
    SettingsError
        The checkpoints were made for another CPU target.
    """
    objective = objective_of(job.grid, job.scale, job.settings)
    scaling = objective.scaling
    steps = StepSizes(scaling.mean, scaling.deviation, objective.l2, 0.0, float(objective.biases))

    def work() -> Training:
        loop = _EpochLoop(job, steps, objective=objective)
        last, reason = loop.run()
        common = loop.common_user(last)
        return replace(last.training(job, steps), reason=reason, ranked=loop.ranked_epochs(last), common_user=common)

    return reuse_or_train(job, job.settings.epochs, work, _summary_of_als)


def objective_of(grid: Grid, scale: tuple[float, float], settings: TrainSettings) -> Objective:
    """Return the numbers of the objective.

    With a weight for missing cells, whose target is 0, targets are not centred: the scale of the ratings becomes 0.2 to
    1, so that the lowest rating, too, says more than no rating. Counts all have the target 1.
    """
    alpha, l2, toward_mean = settings.als.alpha or 0.0, settings.l2, settings.als.toward_mean
    size = grid.ratings, grid.users, grid.items
    if settings.als.alpha is None and settings.weighs_missing_cells:
        alpha = alpha_for(*size)
        toward_mean = toward_mean_for(*size) if toward_mean is None else toward_mean
    least, greatest = scale
    if grid.counts:
        scaling = Scaling(0.0, 1.0)
    elif alpha:
        width = (greatest - least) / (1.0 - _LEAST_TARGET) or greatest or 1.0
        scaling = Scaling(greatest - width, width)
    else:
        scaling = scaling_of(grid, settings.center)
    if l2 is None:
        l2 = als_l2_for(*size, alpha, likes=grid.counts or least == greatest)
    biases = settings.biases and not alpha
    return Objective(alpha, l2, *size[1:], scaling, biases, grid.counts, toward_mean or 0.0)


def _summary_of_als(manifest: Training) -> str:
    return f"{manifest.epochs} epochs, best {manifest.best_epoch}, {best_score(manifest)}; {manifest.reason}"


@dataclass
class _EpochLoop(CheckpointedLoop):
    """The loop over epochs. `best` : the best epoch with its rows, until it is written.

    `ranked_users` : users whose rankings decide; 0: no rankings do.
    """

    unit = METHODS["als"].unit

    objective: Objective = None  # type: ignore[assignment]
    best: tuple[int, ShardedRows] | None = None
    ranked_users: int = 0

    def run(self) -> tuple[Checkpoint, str]:
        """Train to the end, from the newest whole checkpoint if there is one; return the last one, and the reason."""
        data, last, chosen = self.load_grid(), self.resume(), self.settings
        width = chosen.rank + 2 * self.objective.biases
        of_size = AllItemSolves if are_few_items(self.grid.items, width, self.grid.shards) else RowSolves
        self.solves = of_size(self.context, data, self.objective, chosen.als.steps, width)
        self._choose_users()
        if last is None and self.job.warm is not None:
            last = self._start_warm(data, self.job.warm)
        if last is None:
            rows = self.solves.first_rows(ShardStart(chosen.rank, chosen.seed, self.grid.shards))
        else:
            rows = self._stored(last)
        while last is None or not self._reason():
            last = self._to_next_checkpoint(rows, last)
            if not self._reason():
                now = self.grid_after(data, last)
                if now is not data:
                    data = now
                    self.solves.place(data)
                    self._choose_users()
                rows = self._stored(last)
        return last, self._reason()

    def _start_warm(self, data: PlacedGrid, warm: WarmStart) -> Checkpoint:
        """Write the start model as the checkpoint of epoch 0, which can be the best where epochs have a score.

        New rows start as in a cold run, and the first epoch solves them from the known rows of the other side, as it
        does all rows. Zeros would not do: a new user whose items are all new would keep them.
        """
        self.begin_writing()
        written = RowStartWriter(
            self.job, data, self.steps, self.folder,
            scored=self._stops_by_rmse() or self.ranked_users > 0, biases=self.objective.biases, number=NUMBER,
            shrink=1.0 if self.objective.alpha else WARM_SHRINK,
            ranked=self._measured_users(),
        ).write(warm)  # fmt: skip
        self.start = written.score
        return self.write_checkpoint(0, 0, ResumePoint.of(written.shrunk), written.unchanged)

    def _measured_users(self) -> MeasuredUsers | None:
        rule = self.job.ranked
        if rule is None or not self.ranked_users:
            return None
        return MeasuredUsers(self.solves.samples, self.ranked_users, rule.length)

    def ranked_epochs(self, last: Checkpoint) -> RankedEpochs | None:
        """Return the NDCGs of all epochs up to the last; None where none were measured."""
        rule = self.job.ranked
        if rule is None or not self.ranked_users:
            return None
        return RankedEpochs(places=rule.length, users=self.ranked_users, ndcg=tuple(stopping_ndcgs(last.history)))

    def common_user(self, last: Checkpoint) -> tuple[float, ...]:
        """Return the row that users have in common in the best epoch; () without one."""
        common = self.solves.common_of_saved([entry.place(self.folder) for entry in last.best["users"]])
        return () if common is None else tuple(common.tolist())

    def _choose_users(self) -> None:
        """Choose the users whose rankings decide, on the grid as it lies now.

        Raises
        ------
        SettingsError
            The settings ask for an NDCG, and no held-out rating is relevant.
        """
        rule = self.job.ranked
        if rule is None or self.job.stop_on is None:
            return
        self.solves.choose_users(rule)
        self.ranked_users = self.solves.chosen_users()
        if self.ranked_users:
            return
        if self.settings.stop_by:
            raise SettingsError(
                f'train.stop_by = "ndcg" needs a relevant rating, and train.stop_on = "{self.job.stop_on}" has none; '
                "lower ranking.threshold, hold out more ratings, or omit train.stop_by"
            )
        self.context.notify(
            Noticed(f"no early-stopping rating is relevant, so training runs all {self.settings.epochs} epochs")
        )

    def _to_next_checkpoint(self, rows: ShardedRows, last: Checkpoint | None) -> Checkpoint:
        """Run epochs until a checkpoint is due or training ends, and write it.

        Where epochs are short, the next one is submitted before this one is judged, so that no worker waits. It is
        dropped if training ends.
        """
        first = last.epoch if last else 0
        end = min(first + self.settings.checkpoint_epochs, self.settings.epochs)
        flying: deque[tuple[EpochTasks, list[Future[Any]]]] = deque()
        number = first
        while True:
            while len(flying) < self.solves.in_flight and number + len(flying) < end:
                flying.append(self._submit(flying[-1][0].rows if flying else rows, number + len(flying) + 1))
            number += 1
            epoch, errors = flying.popleft()
            rows = epoch.rows
            self._record(epoch, errors, number)
            if self._reason() or number == end:
                return self._write(rows, number, last)

    def _submit(self, rows: ShardedRows, number: int) -> tuple[EpochTasks, list[Future[Any]]]:
        """Submit epoch `number`, and its scores where they decide."""
        epoch = self.solves.epoch(rows, number)
        if self.ranked_users:
            return epoch, self.solves.rankings(epoch.rows, number)
        return epoch, self.solves.errors(epoch.rows, number, self.scale) if self._stops_by_rmse() else []

    def _record(self, epoch: EpochTasks, scores: list[Future[Any]], number: int) -> None:
        """Measure an epoch, remember it if it is the best, and report it."""
        seen, parts = self.context.client.gather((epoch.seen, scores))
        users, items = (total(half) for half in seen)
        targets = self._squared_targets()
        error = max(0.0, targets - 2.0 * items.met + items.squared)
        training = math.sqrt(error / self.grid.ratings) * self.steps.deviation
        ndcg = total(parts).ndcg / self.ranked_users if self.ranked_users else None
        stopping = total(parts).rmse if parts and ndcg is None else None
        value = self.objective.value(targets, users, items)
        row = [training, stopping, value / self.grid.ratings, math.sqrt(users.slope + items.slope)]
        self.history.append(row if ndcg is None else [*row, ndcg])
        best = self._verdict().best_epoch == number
        if best:
            self.best = (number, epoch.rows)
        passes = 2 * (self.settings.als.steps + 1)
        self.notify(number, self.settings.epochs, (training, stopping), best=best, passes=passes, ndcg=ndcg)

    def _squared_targets(self) -> float:
        """Return the sum of squared targets, with their confidences, from the sums of the grid."""
        if self.objective.counts:
            return self.solves.total_confidence
        grid, mean = self.grid, self.steps.mean
        about_mean = grid.mean_square - 2.0 * mean * grid.mean + mean**2
        return grid.ratings * about_mean / self.steps.deviation**2

    def _stops_by_rmse(self) -> bool:
        return self.settings.stops_by == "rmse" and self.job.stop_on is not None

    def _verdict(self) -> Verdict:
        return judge_history(
            self.history, self.settings.patience or ALS_PATIENCE, self.settings.minimum_gain, self.start
        )

    def _reason(self) -> str:
        """Return why training ends after the epochs so far; "" if it does not."""
        slopes = [row[3] or 0.0 for row in self.history]
        if slopes and slopes[-1] <= self.settings.als.tolerance * max(slopes):
            return "the gradient vanished"
        if self._verdict().stop:
            return "validation stopped improving"
        return (
            f"reached the limit of {self.settings.epochs} epochs" if len(self.history) >= self.settings.epochs else ""
        )

    def _stored(self, last: Checkpoint) -> ShardedRows:
        users, items = (
            [entry.place(self.folder) for entry in side] for side in (last.current.users, last.current.items)
        )
        return self.solves.stored(users, items, last.epoch)

    def _write(self, rows: ShardedRows, number: int, last: Checkpoint | None) -> Checkpoint:
        self.begin_writing()
        shards = self.solves.shards(rows)
        current = write_sides(
            self.context, self.folder, "save-rows", f"shards-{number:05d}/{{}}-rows.npy", write=solved_rows.write_rows,
            arguments=lambda side: ((shard,) for shard in getattr(shards, side)),
        )  # fmt: skip
        if self.best is None:
            assert last is not None
            best = last.best
        else:
            best = self._write_best(*self.best)
        self.best = None
        return self.write_checkpoint(number, self._verdict().best_epoch, ResumePoint.of(current), best)

    def _write_best(self, number: int, rows: ShardedRows) -> ShardFiles:
        shards = self.solves.shards(rows)
        return write_sides(
            self.context, self.folder, "save-best", f"shards-{number:05d}/{{}}.npy", write=solved_rows.write_as_shard,
            arguments=lambda side: ((shard, side[:-1], self.objective.biases) for shard in getattr(shards, side)),
        )  # fmt: skip
