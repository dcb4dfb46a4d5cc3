"""The base class of the training loops that have checkpoints.

Covers: resuming from a checkpoint and writing one, progress events, and workers that join and leave.
Does not cover: the loops (methods/), the files of a checkpoint (checkpoint.py).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import ClassVar

from funkflow.pipeline.cluster.open import one_cpu_target
from funkflow.pipeline.progress.events import CheckpointWritten, EpochFinished, Noticed, StageAdvanced
from funkflow.pipeline.root.records import ShardFiles
from funkflow.pipeline.training import checkpoint as checkpoints
from funkflow.pipeline.training.checkpoint import Checkpoint, ResumePoint
from funkflow.pipeline.training.job import TrainingJob
from funkflow.pipeline.training.manifest import STAGE
from funkflow.pipeline.training.placed_grid import PlacedGrid, load_grid
from funkflow.tasks.grid.scaling import StepSizes


@dataclass
class CheckpointedLoop:
    """The state of a loop.

    `unit` : epoch, step or factor. `history`, `start` : see `Checkpoint`. `seconds_before` : of earlier attempts.
    """

    unit: ClassVar[str]

    job: TrainingJob
    steps: StepSizes
    history: list[list[float | None]] = field(default_factory=list)
    seconds_before: float = 0.0
    start: float | None = None

    def __post_init__(self) -> None:
        job = self.job
        self.context, self.grid, self.scale, self.settings = job.context, job.grid, job.scale, job.settings
        self.cpu_target = one_cpu_target(self.context.client)
        self.folder = checkpoints.folder_of(job.run_folder)
        self.started = time.monotonic()
        self.passes_run = 0
        self.writing_since: float | None = None

    def load_grid(self) -> PlacedGrid:
        """Load the grid on the present workers."""
        return load_grid(self.context, self.job.source, self.context.attempt, before=self.job.placed)

    def grid_after(self, data: PlacedGrid, last: Checkpoint) -> PlacedGrid:
        """Return the grid as it lies after a checkpoint: as before, unless workers joined or left.

        The order of blocks does not depend on the workers, so the bits do not either.
        """
        name = f"{self.context.attempt}-from-{last.epoch:04d}"
        now = load_grid(self.context, self.job.source, name, before=data)
        if now is not data:
            workers = f"{len(now.workers)} workers instead of {len(data.workers)}"
            self.context.notify(Noticed(f"{workers} from {self.unit} {last.epoch + 1} on"))
        return now

    def resume(self) -> Checkpoint | None:
        """Restore the state from the newest whole checkpoint and return it; None if there is none.

        Raises
        ------
        SettingsError
            It was made for another CPU target.
        """
        last = checkpoints.newest_whole(self.context, self.job.run_folder)
        if last is not None:
            last.refuse_other_target(self.cpu_target, self.job.run_folder)
            self.history, self.seconds_before = list(last.history), last.seconds
            self.start = last.start
            if last.epoch:
                self.context.notify(Noticed(f"resuming after {self.unit} {last.epoch}"))
        return last

    def write_checkpoint(self, number: int, best: int, current: ResumePoint, best_files: ShardFiles) -> Checkpoint:
        """Write a checkpoint after unit `number`, of which `best` is the best so far, and return it."""
        self.begin_writing()
        seconds = self.seconds_before + time.monotonic() - self.started
        written = Checkpoint(
            epoch=number, best_epoch=best, history=self.history, current=current, best=best_files,
            cpu_target=self.cpu_target, seconds=seconds, start=self.start,
        )  # fmt: skip
        checkpoints.write(self.job.run_folder, written)
        assert self.writing_since is not None
        self.context.notify(CheckpointWritten(number, time.monotonic() - self.writing_since))
        self.writing_since = None
        return written

    def begin_writing(self) -> None:
        """Note when the files of a checkpoint begin to be written."""
        if self.writing_since is None:
            self.writing_since = time.monotonic()

    def notify(
        self, number: int, most: int, rmses: tuple[float, float | None], *, best: bool, passes: int,
        ndcg: float | None = None,
    ) -> None:  # fmt: skip
        """Report unit `number` of at most `most`: its training and validation RMSE, and its passes over the ratings."""
        # Over the whole attempt: several units are in flight, so the time between two ends has no meaning.
        self.passes_run += passes
        rate = self.passes_run * self.grid.ratings / max(1e-9, time.monotonic() - self.started)
        training, stopping = rmses
        self.context.notify(
            EpochFinished(
                epoch=number, epochs=most, training_rmse=training, stopping_rmse=stopping, ratings_per_second=rate,
                best=best, counted=self.unit, passes=passes, stopping_ndcg=ndcg,
                places=self.job.ranked.length if self.job.ranked else 0,
            )
        )  # fmt: skip
        self.context.notify(StageAdvanced(STAGE, number, most, "epoch"))
