"""Train by stochastic gradient descent: epochs over the grid, until early stopping or the limit.

Covers: the loop over epochs, the best epoch, checkpoints, and resuming.
Does not cover: the graph of one epoch (sgd_graph.py), the step (tasks/training/sgd.py), the stopping rule
(tasks/training/early_stopping.py).
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from dataclasses import dataclass, replace
from typing import Any

from distributed import Future

from funkflow.pipeline.root.manifests import Training
from funkflow.pipeline.root.records import ShardFiles, TimesRecord
from funkflow.pipeline.settings.methods import METHODS
from funkflow.pipeline.training.checkpoint import Checkpoint, ResumePoint
from funkflow.pipeline.training.job import TrainingJob, WarmStart
from funkflow.pipeline.training.loop import CheckpointedLoop
from funkflow.pipeline.training.manifest import best_score, reuse_or_train
from funkflow.pipeline.training.methods.sgd_graph import (
    State,
    first_state,
    loaded_state,
    state_of_epoch_run,
    submit_epoch,
    submit_epoch_run,
    submit_epoch_run_begin,
    with_means,
    with_times,
    write_state,
)
from funkflow.pipeline.training.placed_grid import PlacedGrid
from funkflow.pipeline.training.step_sizes import scaling_of, step_sizes
from funkflow.pipeline.training.times import TimesOfGrid, calendar_for, write_step_times
from funkflow.pipeline.training.warm_start import StartWriter
from funkflow.tasks.errors import Diverged
from funkflow.tasks.grid.default_rule import (
    INITIAL_LENGTH,
    JUDGED_LATE,
    initial_length_for,
    patience_for,
)
from funkflow.tasks.grid.factor_shard import ShardStart
from funkflow.tasks.grid.scaling import StepSizes
from funkflow.tasks.training.early_stopping import StoppingRule, Verdict
from funkflow.tasks.training.implicit.schedule import Implicit
from funkflow.tasks.training.score import EpochErrors, epoch_rmses
from funkflow.tasks.training.sgd_epochs import EpochRow, Measure, epochs_at_once

_EPOCHS_IN_FLIGHT = JUDGED_LATE


def train(job: TrainingJob) -> Training:
    """Return the training manifest; reuse the published one, resume from a checkpoint, or start.

    Raises
    ------
    Diverged
        A factor became infinite or not a number.
    SettingsError
        The checkpoints were made for another CPU target.
    """

    def work() -> Training:
        loop = _EpochLoop(job, step_sizes(job.grid, job.settings))
        last = loop.run()
        manifest = last.training(job, loop.steps_of(last.best_epoch))
        return replace(manifest, times=loop.times_of(last))

    return reuse_or_train(job, job.settings.epochs, work, _summary_of_sgd)


def best_epoch(job: TrainingJob) -> Checkpoint:
    """Train without a manifest, to start another method from; return the last checkpoint, with the best epoch's files.

    An interrupted training resumes.
    """
    return _EpochLoop(job, step_sizes(job.grid, job.settings)).run()


def _summary_of_sgd(manifest: Training) -> str:
    return f"{manifest.epochs} epochs, best {manifest.best_epoch}, {best_score(manifest)}"


@dataclass
class _EpochLoop(CheckpointedLoop):
    """The loop over epochs. It holds futures of the best epoch and of those in flight only.

    `state` : the start of the next epoch; None while epochs run, so that a checkpoint's shards take no memory then.
    """

    unit = METHODS["sgd"].unit

    state: State | None = None

    def run(self) -> Checkpoint:
        """Train to the end, from the newest whole checkpoint if there is one."""
        data, last = self.load_grid(), self.resume()
        self.calendar = calendar_for(self.context, data, self.job.times)
        self.times = TimesOfGrid.of(self.context.client, data, self.calendar)
        if last is None and self.job.warm is not None:
            last = self._start_warm(data, self.job.warm)
        if last is None:
            chosen = self.settings
            # The rule chooses the step and the length together.
            length = INITIAL_LENGTH if chosen.step else initial_length_for(self.grid.ratings)
            start = ShardStart(chosen.rank, chosen.seed, self.grid.shards, length)
            self.state = first_state(self.context, data, start)
        else:
            self.state = self._load(data, last)
        if self._measure.implicit.has_means and (last is None or not last.epoch):
            self.state = with_means(self.context, data, self.state)
        if self.times.effects and (last is None or not last.epoch):
            self.state = with_times(self.context, data, self.state)
        while last is None or not self._is_over(last.epoch):
            last = self._to_next_checkpoint(data, last)
            self.state = None
            if not self._is_over(last.epoch):
                now = self.grid_after(data, last)
                if now is not data:
                    data, self.times = now, TimesOfGrid.of(self.context.client, now, self.calendar)
                self.state = self._load(data, last)
        self.data = data
        return last

    def _is_over(self, epoch: int) -> bool:
        return self._verdict().stop or epoch >= self.settings.epochs

    def _start_warm(self, data: PlacedGrid, warm: WarmStart) -> Checkpoint:
        """Write the start model as the checkpoint of epoch 0, which can be the best."""
        self.begin_writing()
        written = StartWriter(self.job, data, self.steps, self.folder, scored=data.scored).write(warm)
        self.start = written.score
        return self.write_checkpoint(0, 0, ResumePoint.of(written.shrunk), written.unchanged)

    def _load(self, data: PlacedGrid, last: Checkpoint) -> State:
        places = tuple(
            [entry.place(self.folder) for entry in side] for side in (last.current.users, last.current.items)
        )
        at = f"{self.context.attempt}-{last.epoch:04d}"
        state = loaded_state(self.context, data, places, self.settings.rank, at)
        if not last.current.times:
            return state
        return with_times(self.context, data, state, [entry.place(self.folder) for entry in last.current.times])

    def _to_next_checkpoint(self, data: PlacedGrid, last: Checkpoint | None) -> Checkpoint:
        """Run epochs until the next checkpoint is due, and write it."""
        begin = last.epoch if last else 0
        end = min(begin + self.settings.checkpoint_epochs, self.settings.epochs)
        best, state, epoch = self._run_epochs(data, begin, end)
        self.begin_writing()
        current = self._write(data, state, epoch)
        if best is None:
            assert last is not None
            best_files = last.best
        else:
            best_files = current if best[0] == epoch else self._write(data, best[1], best[0])
        return self.write_checkpoint(epoch, self._verdict().best_epoch, ResumePoint.of(current), best_files)

    def _write(self, data: PlacedGrid, state: State, epoch: int) -> ShardFiles:
        """Write all shards of an epoch; training sums errors before each step, so the last steps can diverge unseen."""
        try:
            return write_state(self.context, self.folder, state, data.of_shares, epoch, bool(self.times.effects))
        except Diverged as cause:
            raise self._diverged(epoch) from cause

    def _run_epochs(self, data: PlacedGrid, begin: int, end: int) -> tuple[tuple[int, State] | None, State, int]:
        """Run epochs begin + 1 … end, or fewer if training stops.

        Return the best epoch and its state, if it is among them; the last state; and the last epoch.
        The client submits the next epoch before it judges this one, so that no worker waits.
        """
        at_once = epochs_at_once(self.grid.ratings, data.shares)
        if at_once > 1:
            return self._run_several(data, begin, end, at_once)
        assert self.state is not None
        flying: deque[tuple[int, State, list[Future[Any]], Future[Any] | None]] = deque()
        best: tuple[int, State] | None = None
        ahead, epoch = self.state, begin
        self.state = None
        while True:
            while len(flying) < _EPOCHS_IN_FLIGHT and epoch + len(flying) < end:
                number = epoch + len(flying) + 1
                ahead, errors, explained = submit_epoch(
                    self.context, data, ahead, number,
                    seed=self.settings.seed, measure=self._measure, history=self.history, times=self.times,
                )  # fmt: skip
                flying.append((number, ahead, errors, explained))
            epoch, state, errors, explained = flying.popleft()
            shares: list[list[EpochErrors]] = self.context.client.gather(errors)
            errors_of_all = list(itertools.chain(*shares))
            rmses = epoch_rmses(errors_of_all, self.grid.ratings, self.steps.deviation)
            verdict = self._record((*rmses, explained.result() if explained else None), passes=1)
            if verdict.best_epoch == epoch:
                best = (epoch, state)
            if verdict.stop or epoch == end:
                return best, state, epoch

    def _run_several(
        self, data: PlacedGrid, begin: int, end: int, at_once: int
    ) -> tuple[tuple[int, State] | None, State, int]:
        """Run epochs as `_run_epochs` does, but `at_once` as one task, which applies the stopping rule itself."""
        assert self.state is not None
        submit = self.context.client.submit
        history = tuple((row[0] or 0.0, row[1], row[2], row[3]) for row in self.history)
        ahead = submit_epoch_run_begin(self.context, data, self.state, history, begin)
        self.state = None
        flying: deque[tuple[Future[Any], Future[Any]]] = deque()
        planned, epoch = begin, begin
        while True:
            while len(flying) < _EPOCHS_IN_FLIGHT and planned < end:
                epochs = range(planned + 1, min(planned + at_once, end) + 1)
                ahead = submit_epoch_run(
                    self.context, data, ahead, epochs, seed=self.settings.seed, measure=self._measure, times=self.times
                )
                key = f"history-{self.context.attempt}-{epochs[-1]:04d}"
                flying.append((ahead, submit(getattr, ahead, "history", key=key, pure=False)))
                planned = epochs[-1]
            epoch_run, whole_history = flying.popleft()
            added = self.context.client.gather(whole_history)[epoch:]
            for number, rmses in enumerate(added):
                verdict = self._record(rmses, passes=len(added) if number == 0 else 0)
            epoch += len(added)
            if verdict.stop or epoch == end:
                break
        last, best = (state_of_epoch_run(self.context, data, epoch_run, which, epoch) for which in ("last", "best"))
        return (verdict.best_epoch, best) if verdict.best_epoch > begin else None, last, epoch

    def _record(self, rmses: EpochRow, passes: int) -> Verdict:
        """Add the numbers of the next epoch to the history and report them; return the verdict."""
        epoch, (training, stopping, _, _) = len(self.history) + 1, rmses
        if not math.isfinite(training):
            raise self._diverged(epoch)
        self.history.append([*rmses])
        verdict = self._verdict()
        best = verdict.best_epoch == epoch
        self.notify(epoch, self.settings.epochs, (training, stopping), best=best, passes=passes)
        return verdict

    def _diverged(self, epoch: int) -> Diverged:
        return Diverged(
            f"epoch {epoch}: the factors are no longer finite with step {self.steps.step:g} and "
            f"L2 {self.steps.l2:g}; lower train.step (for instance to {self.steps.step / 4:g}), "
            "or omit it for the default rule"
        )

    def times_of(self, last: Checkpoint) -> TimesRecord | None:
        """Write the effects of time of the best epoch as an export takes them, after `run`; None without."""
        if "times" not in last.best:
            return None
        return write_step_times(self.context, self.data, last.best["times"], self.folder, self.calendar)

    @property
    def _measure(self) -> Measure:
        """The measure of every epoch."""
        chosen, grid = self.settings, self.grid
        patience = chosen.patience or patience_for(chosen.biases)
        rule = StoppingRule(patience, chosen.minimum_gain, self.start, waits=chosen.patience is None)
        spread = scaling_of(grid, center=True).deviation if chosen.l2 is None else None
        scored = self.job.stop_on is not None
        # Another method that starts here has a rule of its own.
        mode = chosen.implicit_for(grid.ratings, grid.users + grid.items) if chosen.method == "sgd" else "none"
        implicit = Implicit.of(mode, grid.ratings, grid.users, grid.items)
        return Measure(grid.ratings, self.scale, scored, rule=rule, steps=self.steps, spread=spread, implicit=implicit)

    def steps_of(self, epoch: int) -> StepSizes:
        """Return the numbers of a step in an epoch; epoch 0 has the first ones."""
        return self._measure.steps_of(epoch, self.history) if epoch else self.steps

    def _verdict(self) -> Verdict:
        return self._measure.rule.judge(self.history)
