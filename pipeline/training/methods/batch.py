"""Train by full-batch gradient descent: steps along the whole gradient, until it vanishes or early stopping.

Covers: the loop over steps, the best step, checkpoints, and resuming.
Does not cover: the step rule (tasks/training/gradient_descent.py), the graph of an evaluation (batch_graph.py),
stochastic descent (sgd.py).

An epoch of the manifest is here a step. A checkpoint holds, in float64, the point and the direction of the last step.
After each checkpoint the loop reads it back, so a resumed run has the same bits, and no task depends on those before
the checkpoint.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from funkflow.pipeline.root.manifests import Training
from funkflow.pipeline.root.records import ShardFiles
from funkflow.pipeline.settings.methods import METHODS
from funkflow.pipeline.training.checkpoint import Checkpoint, ResumePoint, Search
from funkflow.pipeline.training.job import TrainingJob
from funkflow.pipeline.training.loop import CheckpointedLoop
from funkflow.pipeline.training.manifest import best_score, reuse_or_train
from funkflow.pipeline.training.methods.batch_graph import GridObjective
from funkflow.pipeline.training.sharded_rows import ShardedRows, write_sides
from funkflow.pipeline.training.step_sizes import steps_of_method
from funkflow.tasks.errors import Diverged
from funkflow.tasks.training import batch
from funkflow.tasks.training.early_stopping import Verdict, judge_history
from funkflow.tasks.training.gradient_descent import DescentState, Iterate, Reason, Rule, follow


def train_batch(job: TrainingJob) -> Training:
    """Train as `sgd.train` does; the manifest also has the reason for ending.

    Raises
    ------
    Diverged
        With a fixed step, the objective grew without end.
    SettingsError
        The checkpoints were made for another CPU target.
    """
    step = job.settings.batch.step or 0.0  # 0: line search
    steps = steps_of_method(job.grid, job.settings, step, bias_step=step)

    def work() -> Training:
        last, reason = _StepLoop(job, steps).run()
        return replace(last.training(job, steps), counted=METHODS["batch"].counted, reason=reason)

    return reuse_or_train(job, job.settings.batch.steps, work, _summary_of_batch)


def _summary_of_batch(manifest: Training) -> str:
    return f"{manifest.epochs} steps, best {manifest.best_epoch}, {best_score(manifest)}; {manifest.reason}"


@dataclass
class _StepLoop(CheckpointedLoop):
    """The loop over steps. `best` : the best point with its number, until it is written."""

    unit = METHODS["batch"].unit

    best: tuple[int, ShardedRows] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        chosen = self.settings.batch
        # The step of the settings includes the factor 2 of the gradient.
        self.rule = Rule(chosen.step and chosen.step / 2.0, chosen.momentum, chosen.steps, chosen.tolerance)

    def run(self) -> tuple[Checkpoint, str]:
        """Descend to the end, from the newest whole checkpoint if there is one; return the last one, and the reason."""
        data = self.load_grid()
        self.objective = GridObjective(self.context, data, self.steps, self.settings.biases)
        last = self.resume()
        while last is None or _search_of(last).ended is None:
            last = self._to_next_checkpoint(last)
            now = self.grid_after(data, last)
            if now is not data:
                data = now
                self.objective.place(data)
        return last, _search_of(last).ended or ""

    def _to_next_checkpoint(self, last: Checkpoint | None) -> Checkpoint:
        """Take steps until a checkpoint is due or descent ends, and write it, with the reason if it ended."""
        first = last.epoch if last else 0
        point, state = self._begin(last)
        for iterate in follow(self.objective, point, self.rule, state):
            reason = self._end_of(iterate)
            if iterate.state.number > len(self.history) or (reason and not self.history):
                self._record(iterate)
                reason = reason or ("validation stopped improving" if self._verdict().stop else None)
            if reason or iterate.state.number - first >= self.settings.batch.checkpoint_steps:
                break
        return self._write(iterate, last, reason)

    def _begin(self, last: Checkpoint | None) -> tuple[ShardedRows, DescentState[ShardedRows] | None]:
        if last is None:
            return self.objective.first_point(self.settings.rank, self.settings.seed), None
        places = [entry.place(self.folder) for entry in (*last.current.users, *last.current.items)]
        point, direction = (self.objective.stored(places, number) for number in range(2))
        trail = _search_of(last).trail
        return point, DescentState(**{**trail, "values": tuple(trail["values"]), "direction": direction})

    def _end_of(self, iterate: Iterate[ShardedRows]) -> str | None:
        """Return the reason if the rule ends here; raise if the steps diverge."""
        if iterate.reason is Reason.DIVERGED:
            step = self.settings.batch.step or iterate.state.step
            raise Diverged(
                f"step {iterate.state.number}: the objective rose from {iterate.state.first_value:.4g} to "
                f"{iterate.value:.4g} with train.batch.step = {step:g}; lower it (for instance to {step / 10:.2g}), or "
                "omit it for a line search"
            )
        return iterate.reason and iterate.reason.value

    def _verdict(self) -> Verdict:
        return judge_history(self.history, self.settings.batch.patience, self.settings.minimum_gain)

    def _record(self, iterate: Iterate[ShardedRows]) -> None:
        """Measure the iterate after a step, remember it if it is the best, and report it."""
        training = math.sqrt(self.objective.squared_error / self.grid.ratings) * self.steps.deviation
        stopping = None if self.job.stop_on is None else self.objective.errors(iterate.point, self.scale).rmse
        self.history.append([training, stopping])
        number, verdict = len(self.history), self._verdict()
        if verdict.best_epoch == number:
            self.best = (number, iterate.point)
        passes = self.objective.evaluations - self.passes_run  # the line search may refuse steps
        best = verdict.best_epoch == number
        self.notify(number, self.settings.batch.steps, (training, stopping), best=best, passes=passes)

    def _write(self, iterate: Iterate[ShardedRows], last: Checkpoint | None, reason: str | None) -> Checkpoint:
        self.begin_writing()
        number, rows = len(self.history), (iterate.point, iterate.state.direction or iterate.gradient)
        written = self._write_all(batch.write_rows, "save-rows", f"shards-{number:05d}/{{}}-rows.npy", *rows)
        numbers = {name: value for name, value in vars(iterate.state).items() if name != "direction"}
        current = ResumePoint.of(written, search=Search(trail=numbers, ended=reason))
        if self.best is None:
            assert last is not None
            best = last.best
        else:
            path = f"shards-{self.best[0]:05d}/{{}}.npy"
            best = self._write_all(batch.write_as_shard, "save-best", path, self.best[1])
        self.best = None
        return self.write_checkpoint(number, self._verdict().best_epoch, current, best)

    def _write_all(self, write: Callable[..., str], doing: str, path: str, *rows: ShardedRows) -> ShardFiles:
        return write_sides(
            self.context, self.folder, doing, path, write=write,
            arguments=lambda side: zip(*(getattr(each, side) for each in rows), strict=True),
        )  # fmt: skip


def _search_of(last: Checkpoint) -> Search:
    """Return the state of the descent at a checkpoint."""
    assert last.current.search is not None
    return last.current.search
