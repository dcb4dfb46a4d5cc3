"""Train: epochs over the grid until the stopping rule says so, with checkpoints that cut the lineage.

Covers: the loop over epochs, what is kept, when a checkpoint is written, and how a run goes on after an interruption.
Does not cover: the graph of one epoch (sgd_graph.py), the step itself (tasks/training/sgd.py), the rule
(tasks/training/early_stopping.py).
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

from distributed import Future

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.root.manifests import Grid, Training
from funkflow.pipeline.settings.methods import METHODS
from funkflow.pipeline.settings.sections import TrainSettings
from funkflow.pipeline.training import checkpoint as checkpoints
from funkflow.pipeline.training.checkpoint import Checkpoint
from funkflow.pipeline.training.loop import CheckpointedLoop
from funkflow.pipeline.training.manifest import best_rmse, kept_or_trained
from funkflow.pipeline.training.placed_grid import PlacedGrid
from funkflow.pipeline.training.sgd_graph import (
    State,
    first_state,
    loaded_state,
    state_of_epoch_run,
    submit_epoch,
    submit_epoch_run,
    submit_epoch_run_begin,
)
from funkflow.pipeline.training.step_sizes import scaling_of, step_sizes
from funkflow.pipeline.training.warm_start import StartWriter, WarmStart
from funkflow.tasks.errors import Diverged
from funkflow.tasks.grid.default_rule import (
    INITIAL_LENGTH,
    JUDGED_LATE,
    initial_length_for,
    patience_for,
)
from funkflow.tasks.grid.scaling import StepSizes
from funkflow.tasks.training.early_stopping import Rule, Verdict
from funkflow.tasks.training.score import EpochErrors, epoch_rmses
from funkflow.tasks.training.sgd_epochs import Measure, epochs_at_once
from funkflow.tasks.training.sgd_share import ShardStart

_EPOCHS_IN_FLIGHT = JUDGED_LATE


def train(
    context: Context, grid: Grid, scale: tuple[float, float], settings: TrainSettings, run_folder: str,
    streamed: bool = False, warm: WarmStart | None = None,
) -> Training:  # fmt: skip
    """Return the training manifest: where the best shards lie, and the history. Reuse, resume or start as need be.

    Parameters
    ----------
    streamed : read each block whenever it is gone through instead of holding all of them: slower, with the same bits.
    warm : the model to start from; None: from small random numbers.

    Raises
    ------
    Diverged
        A factor became infinite or not a number.
    SettingsError
        The checkpoints were made for another CPU target.
    """
    steps = step_sizes(grid, settings)

    def work() -> dict[str, Any]:
        training = _Training(context, grid, scale, settings, steps, run_folder, streamed, warm=warm)
        last = training.run()
        return {**last.for_manifest(), "steps": asdict(training.steps_of(last.best_epoch))}

    return kept_or_trained(context, grid, run_folder, settings.epochs, streamed, work, _summary)


def _summary(manifest: Training) -> str:
    return f"{manifest.epochs} epochs, best {manifest.best_epoch}, {best_rmse(manifest)}"


@dataclass
class _Training(CheckpointedLoop):
    """The loop over epochs. Futures are held only for what is still needed: the best epoch and those in flight.

    `state` : where the next epoch starts; None while epochs are on their way, so that a checkpoint's shards are not
    held beside what came of them. `warm` : where the first one starts, if not from random numbers.
    """

    unit = METHODS["sgd"].unit

    state: State | None = None
    warm: WarmStart | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.name = self.context.attempt

    def run(self) -> Checkpoint:
        """Train to the end, from the newest whole checkpoint if there is one."""
        data, last = self.load_grid(), self.resume()
        if last is None and self.warm is not None:
            last = self._started(data, self.warm)
        if last is None:
            chosen = self.settings
            # The rule's step and start go together.
            length = INITIAL_LENGTH if chosen.step else initial_length_for(self.grid.ratings)
            start = ShardStart(chosen.rank, chosen.seed, self.grid.shards, length)
            self.state = first_state(self.context, data, start, self.name)
        else:
            self.state = self._load(data, last)
        while last is None or not self._is_over(last.epoch):
            last = self._to_next_checkpoint(data, last)
            self.state = None
            if not self._is_over(last.epoch):
                data = self.grid_after(data, last)
                self.state = self._load(data, last)
        return last

    def _is_over(self, epoch: int) -> bool:
        return self._verdict().stop or epoch >= self.settings.epochs

    def _started(self, data: PlacedGrid, warm: WarmStart) -> Checkpoint:
        """Write the model to start from as the checkpoint of epoch 0, which may turn out to be the best."""
        chosen = (self.settings.seed, self.settings.rank)
        writer = StartWriter(self.context, data, self.steps, self.scale, *chosen, self.folder, self.name)
        self.begin_writing()
        written = writer.write(warm)
        self.start = written.rmse
        return self.write_checkpoint(0, 0, written.held_back, written.as_it_is)

    def _load(self, data: PlacedGrid, last: Checkpoint) -> State:
        name = f"{self.name}-{last.epoch:04d}"
        return loaded_state(self.context, data, self.folder, last.current, self.settings.rank, name)

    def _to_next_checkpoint(self, data: PlacedGrid, last: Checkpoint | None) -> Checkpoint:
        """Run epochs until the next checkpoint is due, and write it."""
        begin = last.epoch if last else 0
        end = min(begin + self.settings.checkpoint_epochs, self.settings.epochs)
        best, state, epoch = self._epochs(data, begin, end)
        self.begin_writing()
        current = self._write(data, state, epoch)
        if best is None:
            assert last is not None
            best_set = last.best
        else:
            best_set = current if best[0] == epoch else self._write(data, best[1], best[0])
        return self.write_checkpoint(epoch, self._verdict().best_epoch, current, best_set)

    def _write(self, data: PlacedGrid, state: State, epoch: int) -> dict[str, Any]:
        """Write all shards of an epoch. Errors are met before steps: what the last steps spoilt shows only here."""
        try:
            return checkpoints.write_state(self.context, self.folder, state, data.of_shares, epoch, self.name)
        except Diverged as cause:
            raise self._diverged(epoch) from cause

    def _epochs(self, data: PlacedGrid, begin: int, end: int) -> tuple[tuple[int, State] | None, State, int]:
        """Run epochs begin + 1 … end, fewer if training stops.

        Return the best state, with its epoch, if it is among them; the last state; and the last epoch.
        The next epoch is submitted before this one is judged, so that no worker waits for the client.
        """
        at_once = epochs_at_once(self.grid.ratings, data.shares)
        if at_once > 1:
            return self._in_runs(data, begin, end, at_once)
        assert self.state is not None
        flying: deque[tuple[int, State, list[Future[Any]]]] = deque()
        best: tuple[int, State] | None = None
        ahead, epoch = self.state, begin
        self.state = None
        while True:
            while len(flying) < _EPOCHS_IN_FLIGHT and epoch + len(flying) < end:
                number = epoch + len(flying) + 1
                ahead, errors = submit_epoch(
                    self.context, data, ahead, number, self.settings.seed, self.steps_of(number), self.scale, self.name
                )
                flying.append((number, ahead, errors))
            epoch, state, errors = flying.popleft()
            shares: list[list[EpochErrors]] = self.context.client.gather(errors)
            errors_of_all = list(itertools.chain(*shares))
            verdict = self._record(epoch_rmses(errors_of_all, self.grid.ratings, self.steps.deviation), passes=1)
            if verdict.best_epoch == epoch:
                best = (epoch, state)
            if verdict.stop or epoch == end:
                return best, state, epoch

    def _in_runs(
        self, data: PlacedGrid, begin: int, end: int, at_once: int
    ) -> tuple[tuple[int, State] | None, State, int]:
        """Run them as `_epochs` does, `at_once` as one task, which judges for itself where to stop."""
        assert self.state is not None
        submit = self.context.client.submit
        history = tuple((row[0] or 0.0, row[1], row[2]) for row in self.history)
        ahead = submit_epoch_run_begin(self.context, data, self.state, history, begin, self.name)
        self.state = None
        flying: deque[tuple[Future[Any], Future[Any]]] = deque()
        planned, epoch = begin, begin
        while True:
            while len(flying) < _EPOCHS_IN_FLIGHT and planned < end:
                epochs = range(planned + 1, min(planned + at_once, end) + 1)
                ahead = submit_epoch_run(
                    self.context, data, ahead, epochs, self.settings.seed, self.steps, self._measure, self.name
                )
                told = submit(getattr, ahead, "history", key=f"history-{self.name}-{epochs[-1]:04d}", pure=False)
                flying.append((ahead, told))
                planned = epochs[-1]
            stretch, told = flying.popleft()
            news = self.context.client.gather(told)[epoch:]
            for number, rmses in enumerate(news):
                verdict = self._record(rmses, passes=len(news) if number == 0 else 0)
            epoch += len(news)
            if verdict.stop or epoch == end:
                break
        last, best = (
            state_of_epoch_run(self.context, data, stretch, which, f"{self.name}-{epoch:04d}")
            for which in ("last", "best")
        )
        return (verdict.best_epoch, best) if verdict.best_epoch > begin else None, last, epoch

    def _record(self, rmses: tuple[float, float | None, float | None], passes: int) -> Verdict:
        """Note and tell what came of the next epoch, and return what follows from it."""
        epoch, (training, stopping, _) = len(self.history) + 1, rmses
        if not math.isfinite(training):
            raise self._diverged(epoch)
        self.history.append([*rmses])
        verdict = self._verdict()
        self.notify(epoch, self.settings.epochs, training, stopping, verdict.best_epoch == epoch, passes)
        return verdict

    def _diverged(self, epoch: int) -> Diverged:
        return Diverged(
            f"epoch {epoch}: the factors are no longer finite with step {self.steps.step:g} and "
            f"L2 {self.steps.l2:g}; set train.step lower (for instance {self.steps.step / 4:g}) "
            "or leave it to the default rule"
        )

    @property
    def _measure(self) -> Measure:
        """What epochs are judged with."""
        chosen, grid = self.settings, self.grid
        patience = chosen.patience or patience_for(chosen.biases)
        rule = Rule(patience, chosen.minimum_gain, self.start, waits=chosen.patience is None)
        spread = scaling_of(grid, center=True).deviation if chosen.l2 is None else None
        return Measure(grid.ratings, self.scale, self.stop_on is not None, rule, spread)

    def steps_of(self, epoch: int) -> StepSizes:
        """Return the step's numbers in an epoch; of epoch 0, the model that training starts from, as they begin."""
        return self._measure.steps_of(epoch, self.steps, self.history) if epoch else self.steps

    def _verdict(self) -> Verdict:
        return self._measure.rule.judge(self.history)
