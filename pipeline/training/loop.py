"""What the loops of the methods by gradients share, whatever they do in an epoch, a step or a feature.

Covers: going on from a checkpoint and writing one, telling of progress, and workers that come and go.
Does not cover: the loops (sgd.py, batch.py, funk.py), what a checkpoint is
(checkpoint.py), or what surrounds every method (manifest.py).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, ClassVar

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.cluster.open import one_cpu_target
from funkflow.pipeline.progress.events import CheckpointWritten, EpochFinished, Noticed, StageAdvanced
from funkflow.pipeline.root.manifests import Grid
from funkflow.pipeline.settings.sections import TrainSettings
from funkflow.pipeline.training import checkpoint as checkpoints
from funkflow.pipeline.training.checkpoint import Checkpoint
from funkflow.pipeline.training.manifest import STAGE
from funkflow.pipeline.training.placed_grid import PlacedGrid, load_grid, with_those_who_came
from funkflow.tasks.grid.scaling import StepSizes


@dataclass
class CheckpointedLoop:
    """The state of such a loop.

    `unit` : what it counts; `history` : [training RMSE, stopping RMSE or None] for each of them so far, and what else
    the stopping rule goes by; `start` : stopping RMSE of the model that it started from, if it did; `seconds_before` :
    spent by earlier attempts.
    """

    unit: ClassVar[str]

    context: Context
    grid: Grid
    scale: tuple[float, float]
    settings: TrainSettings
    steps: StepSizes
    run_folder: str
    streamed: bool
    history: list[list[float | None]] = field(default_factory=list)
    seconds_before: float = 0.0
    start: float | None = None

    def __post_init__(self) -> None:
        self.cpu_target = one_cpu_target(self.context.client)
        self.stop_on = None if self.settings.stop_on == "nothing" else self.settings.stop_on
        self.folder = checkpoints.folder_of(self.run_folder)
        self.started = time.monotonic()
        self.passes_run = 0
        self.writing_since: float | None = None

    def load_grid(self) -> PlacedGrid:
        """Load the grid on the workers that are there."""
        return load_grid(self.context, self.grid, self.stop_on, self.context.attempt, self.streamed)

    def grid_after(self, data: PlacedGrid, last: Checkpoint) -> PlacedGrid:
        """Return the grid for what follows a checkpoint: the same, unless workers came or went."""
        return with_those_who_came(self.context, self.grid, self.stop_on, self.streamed, data, last.epoch, self.unit)

    def resume(self) -> Checkpoint | None:
        """Return the newest whole checkpoint, having taken over what it knows; None where there is none.

        Raises
        ------
        SettingsError
            It was made for another CPU target.
        """
        last = checkpoints.newest_whole(self.context, self.run_folder)
        if last is not None:
            last.refuse_other_target(self.cpu_target, self.run_folder)
            self.history, self.seconds_before = list(last.history), last.seconds
            self.start = last.start
            if last.epoch:
                self.context.notify(Noticed(f"resuming after {self.unit} {last.epoch}"))
        return last

    def write_checkpoint(self, number: int, best: int, current: dict[str, Any], best_set: dict[str, Any]) -> Checkpoint:
        """Write a checkpoint after number `number`, of which `best` is the best so far, and return it."""
        self.begin_writing()
        seconds = self.seconds_before + time.monotonic() - self.started
        written = Checkpoint(number, best, self.history, current, best_set, self.cpu_target, seconds, self.start)
        checkpoints.write(self.run_folder, written)
        assert self.writing_since is not None
        self.context.notify(CheckpointWritten(number, time.monotonic() - self.writing_since))
        self.writing_since = None
        return written

    def begin_writing(self) -> None:
        """Note that what a checkpoint is made of is about to be written."""
        if self.writing_since is None:
            self.writing_since = time.monotonic()

    def notify(self, number: int, most: int, training: float, stopping: float | None, best: bool, passes: int) -> None:
        """Tell what came of number `number` of at most `most`, for which the ratings were gone over `passes` times."""
        # Over all of this attempt: with several in flight, the time between the ends of two says nothing.
        self.passes_run += passes
        rate = self.passes_run * self.grid.ratings / max(1e-9, time.monotonic() - self.started)
        self.context.notify(EpochFinished(number, most, training, stopping, rate, best, self.unit, passes))
        self.context.notify(StageAdvanced(STAGE, number, most, "epoch"))
