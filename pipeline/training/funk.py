"""Train in Simon Funk's form: one feature after another, each until held-out ratings say that it is done.

Covers: the loop over features and over looks at one of them, what is kept, checkpoints, and how a run goes on after an
interruption.
Does not cover: the graph of some passes (funk_graph.py), a pass itself (tasks/training/funk.py), the joint form that
production uses (sgd.py).

After S. Funk, "Netflix update: try this at home", 2006: first the baseline is removed, then each feature is found on
what the features before it leave, and never touched again. A feature is looked at every FUNK_ROUND passes; the best
look is kept. The first feature that gains nothing is dropped and ends the run: the next would start from where it did.
A checkpoint is written after each feature: that is the most that an interruption loses.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from funkflow.pipeline.cluster.context import Context, run_all
from funkflow.pipeline.root.manifests import Grid, Training
from funkflow.pipeline.settings.methods import METHODS
from funkflow.pipeline.settings.sections import TrainSettings
from funkflow.pipeline.training.checkpoint import Checkpoint
from funkflow.pipeline.training.funk_graph import FeatureRounds, FeatureState
from funkflow.pipeline.training.loop import CheckpointedLoop
from funkflow.pipeline.training.manifest import STAGE, best_rmse, kept_or_trained
from funkflow.pipeline.training.step_sizes import steps_of_method
from funkflow.tasks.errors import Diverged
from funkflow.tasks.grid.default_rule import FUNK_L2_SHARE, FUNK_ROUND, FUNK_STEP, PATIENCE
from funkflow.tasks.storage import files
from funkflow.tasks.training.early_stopping import judge
from funkflow.tasks.training.funk_files import write_factors
from funkflow.tasks.training.funk_share import write_feature_side


def train_funk(
    context: Context, grid: Grid, scale: tuple[float, float], settings: TrainSettings, run_folder: str,
    streamed: bool = False,
) -> Training:  # fmt: skip
    """Return the training manifest, as `train` does. Reuse, resume or start as need be.

    `epochs` counts passes, as `counted` says; the history has an entry for each kept feature, and `best_epoch` is the
    last of them. Besides, the `passes` of each feature that was begun, and the `reason` for ending.

    Parameters
    ----------
    streamed : read each block whenever it is gone through; residuals stay in memory all the same.

    Raises
    ------
    Diverged
        A feature became infinite or not a number.
    SettingsError
        The checkpoints were made for another CPU target.
    """
    steps = steps_of_method(grid, settings, settings.step or FUNK_STEP, bias_step=0.0, l2_share=FUNK_L2_SHARE)

    def work() -> dict[str, Any]:
        last, shards = _Features(context, grid, scale, settings, steps, run_folder, streamed).run()
        passes = last.current["passes"]
        found = {**last.for_manifest(), "shards": shards, "steps": asdict(steps), "epochs": sum(passes)}
        return {**found, "counted": METHODS["funk"].counted, "passes": passes, "reason": last.current["ended"]}

    return kept_or_trained(context, grid, run_folder, settings.rank, streamed, work, _summary)


def _summary(manifest: Training) -> str:
    kept = f"{manifest.best_epoch} features, {manifest.epochs} passes"
    return f"{kept}, {best_rmse(manifest) if manifest.history else 'biases alone'}; {manifest.reason}"


@dataclass
class _Features(CheckpointedLoop):
    """The loop over features: the history has those kept, `passes` all begun, `entries` the files of those kept."""

    unit = METHODS["funk"].unit

    passes: list[int] = field(default_factory=list)
    entries: dict[str, list[dict[str, str]]] = field(default_factory=lambda: {"users": [], "items": []})

    def __post_init__(self) -> None:
        super().__post_init__()
        self.held_out = self.grid.held_out[self.stop_on].ratings if self.stop_on else 0

    def run(self) -> tuple[Checkpoint, dict[str, Any]]:
        """Find features to the end, after those of the newest whole checkpoint; return the last one, and the shards."""
        data = self.load_grid()
        self.rounds = FeatureRounds(
            self.context, self.grid, data, self.steps, self.scale, self.settings.biases, self.settings.seed
        )
        last = self.resume()
        if last is not None:
            self._take_over(last)
        self.least = self._stopping_rmse()
        while last is None or last.current["ended"] is None:
            last = self._next_feature()
            now = self.grid_after(data, last)
            if now is not data:
                data = now
                self.rounds.take(data)
        return last, self._shards()

    def _take_over(self, last: Checkpoint) -> None:
        self.passes = list(last.current["passes"])
        self.entries = {side: list(last.current[side]) for side in self.entries}
        for number in range(len(self.history)):
            self._finish(number)

    def _stopping_rmse(self) -> float:
        """Return the RMSE of what is finished on the stopping ratings; infinite where there are none."""
        return math.sqrt(self.rounds.stopping_squares() / self.held_out) if self.held_out else math.inf

    def _next_feature(self) -> Checkpoint:
        """Find one more feature, keep it if it gains, and write a checkpoint that says so."""
        number = len(self.history) + 1
        found, training, stopping = self._best_look(number)
        gains = stopping is None or stopping < self.least
        if gains:
            self._keep(found, number)
            self.history.append([training, stopping])
            self.least = math.inf if stopping is None else stopping
            ended = "all features found" if number == self.settings.rank else None
        else:
            ended = f"feature {number} gained nothing"
        self.notify(number, self.settings.rank, training, stopping, gains, self.passes[-1])
        return self._checkpoint(ended)

    def _best_look(self, feature: int) -> tuple[FeatureState, float, float | None]:
        """Go over the ratings until looks at the feature no longer gain; return the best one, with its RMSEs."""
        state, most, done = self.rounds.start, self.settings.epochs, 0
        looks: list[tuple[float, float | None]] = []
        best: tuple[FeatureState, float, float | None] | None = None
        while done < most:
            count = min(FUNK_ROUND, most - done)
            state, (training_squares, stopping_squares) = self.rounds.passes(state, done + 1, count)
            done += count
            training = math.sqrt(training_squares / self.grid.ratings) * self.steps.deviation
            if not math.isfinite(training):
                raise self._diverged(feature)
            looks.append((training, math.sqrt(stopping_squares / self.held_out) if self.held_out else None))
            verdict = judge(
                [stopping for _, stopping in looks if stopping is not None], self.settings.patience or PATIENCE, 0.0
            )
            if verdict.best_epoch in (0, len(looks)):  # 0: with nothing to judge by, the last look is the best
                best = (state, *looks[-1])
            if verdict.stop:
                break
        self.passes.append(done)
        assert best is not None
        return best

    def _keep(self, found: FeatureState, number: int) -> None:
        """Write a finished feature, and go on with what it leaves."""
        name = f"shards-feature-{number:04d}"
        jobs = [(files.join(self.folder, f"{name}/{side}.npy"), side, *getattr(found, side)) for side in self.entries]
        try:
            checksums = run_all(self.context, STAGE, "save-feature", write_feature_side, jobs)
        except Diverged as cause:
            raise self._diverged(number) from cause
        for side, checksum in zip(self.entries, checksums, strict=True):
            self.entries[side].append({"path": f"{name}/{side}.npy", "checksum": checksum})
        self._finish(number - 1)

    def _finish(self, number: int) -> None:
        users, items = (self._located(entries[number]) for entries in self.entries.values())
        self.rounds.finish(users, items)

    def _located(self, entry: dict[str, str]) -> tuple[str, str]:
        return files.join(self.folder, entry["path"]), entry["checksum"]

    def _diverged(self, feature: int) -> Diverged:
        step = self.steps.step
        return Diverged(
            f"feature {feature}: its numbers are no longer finite with step {step:g} and L2 {self.steps.l2:g}; "
            f"set train.step lower (for instance {step / 4:g}) or leave it to the default rule"
        )

    def _checkpoint(self, ended: str | None) -> Checkpoint:
        current = {**self.entries, "passes": self.passes, "ended": ended}
        return self.write_checkpoint(len(self.passes), len(self.history), current, self.entries)

    def _shards(self) -> dict[str, Any]:
        """Put the model's shards together from biases and features; return their manifest entry."""
        written: dict[str, Any] = {}
        for side, sizes, biases in zip(self.entries, self.rounds.sizes, self.rounds.biases, strict=True):
            features = [self._located(entry) for entry in self.entries[side]]
            paths = [f"shards-{len(self.passes):05d}/{side[:-1]}-{number:05d}.npy" for number in range(len(sizes))]
            jobs = [
                (files.join(self.folder, path), biases[n], self.steps, self.settings.rank, features, sizes, n)
                for n, path in enumerate(paths)
            ]
            checksums = run_all(self.context, STAGE, f"save-{side}", write_factors, jobs)
            written[side] = [{"path": p, "checksum": checksum} for p, checksum in zip(paths, checksums, strict=True)]
        return written
