"""Train by full-batch gradient descent: steps along the whole gradient until it vanishes or validation says so.

Covers: the loop over steps, what is kept, when a checkpoint is written, and how a run goes on after an interruption.
Does not cover: the rule that chooses a step (tasks/training/gradient_descent.py), the graph of one look at the
objective (batch_graph.py), stochastic descent (sgd.py).

What stands in a manifest as an epoch is here a step. A checkpoint holds, in float64, the point and the direction of the
last step; every stretch between two checkpoints begins with reading one, so an interrupted run goes on to the same
bits, and no task hangs on those of the stretch before.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from funkflow.pipeline.cluster.context import Context, run_all
from funkflow.pipeline.root.manifests import Grid, Training
from funkflow.pipeline.settings.methods import METHODS
from funkflow.pipeline.settings.sections import TrainSettings
from funkflow.pipeline.training.batch_graph import GridObjective, ShardedRows
from funkflow.pipeline.training.checkpoint import Checkpoint
from funkflow.pipeline.training.loop import CheckpointedLoop
from funkflow.pipeline.training.manifest import STAGE, best_rmse, kept_or_trained
from funkflow.pipeline.training.step_sizes import steps_of_method
from funkflow.tasks.errors import Diverged
from funkflow.tasks.storage import files
from funkflow.tasks.training import batch
from funkflow.tasks.training.early_stopping import Verdict, judge_history
from funkflow.tasks.training.gradient_descent import DescentState, Iterate, Reason, Rule, follow


def train_batch(
    context: Context, grid: Grid, scale: tuple[float, float], settings: TrainSettings, run_folder: str,
    streamed: bool = False,
) -> Training:  # fmt: skip
    """Return the training manifest, as `train` does, and why descent ended. Reuse, resume or start as need be.

    Parameters
    ----------
    streamed : read each block whenever it is gone through instead of holding all of them: slower, with the same bits.

    Raises
    ------
    Diverged
        With a fixed step, the objective grew without end.
    SettingsError
        The checkpoints were made for another CPU target.
    """
    step = settings.batch.step or 0.0  # 0: looked for
    steps = steps_of_method(grid, settings, step, bias_step=step)

    def work() -> dict[str, Any]:
        last, reason = _Descent(context, grid, scale, settings, steps, run_folder, streamed).run()
        return {**last.for_manifest(), "steps": asdict(steps), "counted": METHODS["batch"].counted, "reason": reason}

    return kept_or_trained(context, grid, run_folder, settings.batch.steps, streamed, work, _summary)


def _summary(manifest: Training) -> str:
    kept = f"{manifest.epochs} steps, best {manifest.best_epoch}, {best_rmse(manifest)}"
    return f"{kept}; {manifest.reason}"


@dataclass
class _Descent(CheckpointedLoop):
    """The loop over steps. `best` : the best point as long as it is not written, with its number."""

    unit = METHODS["batch"].unit

    best: tuple[int, ShardedRows] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        chosen = self.settings.batch
        # The factor 2 of the gradient is absorbed in the step that the settings name.
        self.rule = Rule(chosen.step and chosen.step / 2.0, chosen.momentum, chosen.steps, chosen.tolerance)

    def run(self) -> tuple[Checkpoint, str]:
        """Descend to the end, from the newest whole checkpoint if there is one; return the last one, and the reason."""
        data = self.load_grid()
        self.objective = GridObjective(self.context, data, self.steps, self.settings.biases)
        last = self.resume()
        while last is None or last.current["search"]["ended"] is None:
            last = self._to_next_checkpoint(last)
            now = self.grid_after(data, last)
            if now is not data:
                data = now
                self.objective.take(data)
        return last, last.current["search"]["ended"]

    def _to_next_checkpoint(self, last: Checkpoint | None) -> Checkpoint:
        """Take steps until a checkpoint is due or descent ends, and write it, with the reason if it ended."""
        first = last.epoch if last else 0
        point, state = self._begin(last)
        for place in follow(self.objective, point, self.rule, state):
            reason = self._end_of(place)
            if place.state.number > len(self.history) or (reason and not self.history):
                self._record(place)
                reason = reason or self._judged()
            if reason or place.state.number - first >= self.settings.batch.checkpoint_steps:
                break
        return self._write(place, last, reason)

    def _begin(self, last: Checkpoint | None) -> tuple[ShardedRows, DescentState[ShardedRows] | None]:
        if last is None:
            return self.objective.first_point(self.settings.rank, self.settings.seed), None
        point, direction = (self.objective.stored(self.folder, last.current, number) for number in range(2))
        search = last.current["search"]
        state: DescentState[ShardedRows] = DescentState(
            **{**search["trail"], "values": tuple(search["trail"]["values"])}
        )
        return point, replace(state, direction=direction)

    def _end_of(self, place: Iterate[ShardedRows]) -> str | None:
        """Return why the rule ends here; raise if the steps diverge."""
        if place.reason is Reason.DIVERGED:
            step = self.settings.batch.step or place.state.step
            raise Diverged(
                f"step {place.state.number}: the objective rose from {place.state.first_value:.4g} to "
                f"{place.value:.4g} with train.batch.step = {step:g}; set it lower (for instance {step / 10:.2g}) or "
                "leave it out, and each step's length is looked for"
            )
        return place.reason and place.reason.value

    def _judged(self) -> str | None:
        return "validation has stopped improving" if self._verdict().stop else None

    def _verdict(self) -> Verdict:
        return judge_history(self.history, self.settings.batch.patience, self.settings.minimum_gain)

    def _record(self, place: Iterate[ShardedRows]) -> None:
        """Measure the place that a step led to, keep it if it is the best, and tell."""
        training = math.sqrt(self.objective.squared_error / self.grid.ratings) * self.steps.deviation
        stopping = None if self.stop_on is None else self.objective.errors(place.point, self.scale).rmse
        self.history.append([training, stopping])
        number, verdict = len(self.history), self._verdict()
        if verdict.best_epoch == number:
            self.best = (number, place.point)
        passes = self.objective.evaluations - self.passes_run  # a step may have been refused, and looked for again
        self.notify(number, self.settings.batch.steps, training, stopping, verdict.best_epoch == number, passes)

    def _write(self, place: Iterate[ShardedRows], last: Checkpoint | None, reason: str | None) -> Checkpoint:
        self.begin_writing()
        number = len(self.history)
        numbers = {name: value for name, value in vars(place.state).items() if name != "direction"}
        direction = place.state.direction or place.gradient
        current: dict[str, Any] = {
            **self._written(
                batch.write_rows, "save-rows", f"shards-{number:05d}/{{}}-rows.npy", place.point, direction
            ),
            "search": {"trail": numbers, "ended": reason},
        }
        if self.best is None:
            assert last is not None
            best = last.best
        else:
            best = self._written(batch.write_as_shard, "save-best", f"shards-{self.best[0]:05d}/{{}}.npy", self.best[1])
        self.best = None
        return self.write_checkpoint(number, self._verdict().best_epoch, current, best)

    def _written(self, write: Any, doing: str, path: str, *rows: ShardedRows) -> dict[str, Any]:
        """Have every shard written by a worker that holds it; return the entries of the set."""
        written: dict[str, Any] = {}
        for side in ("users", "items"):
            shards = list(zip(*(getattr(each, side) for each in rows), strict=True))
            paths = [path.format(f"{side[:-1]}-{number:05d}") for number in range(len(shards))]
            jobs = [(files.join(self.folder, path), *each) for path, each in zip(paths, shards, strict=True)]
            checksums = run_all(self.context, STAGE, f"{doing}-{side}", write, jobs)
            written[side] = [
                {"path": path, "checksum": checksum} for path, checksum in zip(paths, checksums, strict=True)
            ]
        return written
