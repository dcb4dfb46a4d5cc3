"""Train in Simon Funk's form: one feature after another, each until early stopping.

Covers: the loop over features, the scores of one feature, the best of them, checkpoints, and resuming.
Does not cover: the graph of passes (funk_graph.py), a pass (tasks/training/funk.py), the joint form of production
(sgd.py).

After S. Funk, "Netflix update: try this at home", 2006: the baseline is removed first, then each feature is found on
the remainder of the earlier ones, and stays as it is. A feature is scored every FUNK_ROUND passes, and its best state
counts. The first feature without gain is dropped and ends the run, as the next would have the same start. A checkpoint
follows each feature, so an interruption loses one feature at most.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from funkflow.pipeline.cluster.context import run_all
from funkflow.pipeline.root.manifests import Training
from funkflow.pipeline.root.records import ShardFiles
from funkflow.pipeline.root.typed_json import FileEntry
from funkflow.pipeline.settings.methods import METHODS
from funkflow.pipeline.training.checkpoint import Checkpoint, ResumePoint, array_entries
from funkflow.pipeline.training.job import TrainingJob
from funkflow.pipeline.training.loop import CheckpointedLoop
from funkflow.pipeline.training.manifest import STAGE, best_score, reuse_or_train
from funkflow.pipeline.training.methods.funk_graph import FeatureRounds, FeatureState
from funkflow.pipeline.training.step_sizes import steps_of_method
from funkflow.tasks.errors import Diverged
from funkflow.tasks.grid.default_rule import FUNK_L2_SHARE, FUNK_ROUND, FUNK_STEP, PATIENCE
from funkflow.tasks.storage import files
from funkflow.tasks.training.early_stopping import judge
from funkflow.tasks.training.funk_files import write_features_as_shard
from funkflow.tasks.training.funk_share import write_feature_side


def train_funk(job: TrainingJob) -> Training:
    """Train as `sgd.train` does; with streamed blocks, residuals stay in memory nevertheless.

    In the manifest, `epochs` counts passes, the history has an entry for each feature of the model, `best_epoch` is the
    number of the last, and `passes` those of every feature that began.

    Raises
    ------
    Diverged
        A feature became infinite or not a number.
    SettingsError
        The checkpoints were made for another CPU target.
    """
    step = job.settings.step or FUNK_STEP
    steps = steps_of_method(job.grid, job.settings, step, bias_step=0.0, l2_share=FUNK_L2_SHARE)

    def work() -> Training:
        last, shards = _FeatureLoop(job, steps).run()
        passes, reason = last.current.passes, last.current.ended or ""
        found = replace(last.training(job, steps), shards=shards, epochs=sum(passes), passes=passes)
        return replace(found, counted=METHODS["funk"].counted, reason=reason)

    return reuse_or_train(job, job.settings.rank, work, _summary_of_funk)


def _summary_of_funk(manifest: Training) -> str:
    counts = f"{manifest.best_epoch} features, {manifest.epochs} passes"
    return f"{counts}, {best_score(manifest) if manifest.history else 'bias baseline'}; {manifest.reason}"


@dataclass
class _FeatureLoop(CheckpointedLoop):
    """The loop over features. `passes` : of every feature that began; `entries` : files of the model's features."""

    unit = METHODS["funk"].unit

    passes: list[int] = field(default_factory=list)
    entries: dict[str, list[FileEntry]] = field(default_factory=lambda: {"users": [], "items": []})

    def __post_init__(self) -> None:
        super().__post_init__()
        self.held_out = self.grid.held_out[self.job.stop_on].ratings if self.job.stop_on else 0

    def run(self) -> tuple[Checkpoint, ShardFiles]:
        """Find features to the end, from the newest whole checkpoint on; return the last checkpoint, and the shards."""
        data = self.load_grid()
        self.rounds = FeatureRounds(self.job, data, self.steps)
        last = self.resume()
        if last is not None:
            self._restore(last.current)
        self.least = self._stopping_rmse()
        while last is None or last.current.ended is None:
            last = self._next_feature()
            now = self.grid_after(data, last)
            if now is not data:
                data = now
                self.rounds.place(data)
        return last, self._write_shards()

    def _restore(self, point: ResumePoint) -> None:
        self.passes = list(point.passes)
        self.entries = {side: list(entries) for side, entries in point.entries.items()}
        for number in range(len(self.history)):
            self._finish(number)

    def _stopping_rmse(self) -> float:
        """Return the validation RMSE of the finished features; infinite without validation ratings."""
        return math.sqrt(self.rounds.stopping_squares() / self.held_out) if self.held_out else math.inf

    def _next_feature(self) -> Checkpoint:
        """Find one more feature, add it to the model if it gains, and write a checkpoint."""
        number = len(self.history) + 1
        found, training, stopping = self._best_state(number)
        gains = stopping is None or stopping < self.least
        if gains:
            self._add(found, number)
            self.history.append([training, stopping])
            self.least = math.inf if stopping is None else stopping
            ended = "all features found" if number == self.settings.rank else None
        else:
            ended = f"feature {number} gained nothing"
        self.notify(number, self.settings.rank, (training, stopping), best=gains, passes=self.passes[-1])
        return self._checkpoint(ended)

    def _best_state(self, feature: int) -> tuple[FeatureState, float, float | None]:
        """Make passes until the feature no longer gains; return its best state, with the RMSEs."""
        state, most, done = self.rounds.start, self.settings.epochs, 0
        scores: list[tuple[float, float | None]] = []
        best: tuple[FeatureState, float, float | None] | None = None
        while done < most:
            count = min(FUNK_ROUND, most - done)
            state, (training_squares, stopping_squares) = self.rounds.passes(state, done + 1, count)
            done += count
            training = math.sqrt(training_squares / self.grid.ratings) * self.steps.deviation
            if not math.isfinite(training):
                raise self._diverged(feature)
            scores.append((training, math.sqrt(stopping_squares / self.held_out) if self.held_out else None))
            verdict = judge(
                [stopping for _, stopping in scores if stopping is not None], self.settings.patience or PATIENCE, 0.0
            )
            if verdict.best_epoch in (0, len(scores)):  # 0: without validation ratings, the last state is the best
                best = (state, *scores[-1])
            if verdict.stop:
                break
        self.passes.append(done)
        assert best is not None
        return best

    def _add(self, found: FeatureState, number: int) -> None:
        """Write a finished feature, and subtract it from the remainders."""
        name = f"shards-feature-{number:04d}"
        jobs = [(files.join(self.folder, f"{name}/{side}.npy"), side, *getattr(found, side)) for side in self.entries]
        try:
            checksums = run_all(self.context, STAGE, "save-feature", write_feature_side, jobs)
        except Diverged as cause:
            raise self._diverged(number) from cause
        for side, checksum in zip(self.entries, checksums, strict=True):
            self.entries[side].append(FileEntry.array(f"{name}/{side}.npy", checksum))
        self._finish(number - 1)

    def _finish(self, number: int) -> None:
        users, items = (entries[number].place(self.folder) for entries in self.entries.values())
        self.rounds.finish(users, items)

    def _diverged(self, feature: int) -> Diverged:
        step = self.steps.step
        return Diverged(
            f"feature {feature}: its values are no longer finite with step {step:g} and L2 {self.steps.l2:g}; "
            f"lower train.step (for instance to {step / 4:g}), or omit it for the default rule"
        )

    def _checkpoint(self, ended: str | None) -> Checkpoint:
        entries = {side: tuple(of_side) for side, of_side in self.entries.items()}
        current = ResumePoint.of(entries, passes=self.passes, ended=ended)
        return self.write_checkpoint(len(self.passes), len(self.history), current, entries)

    def _write_shards(self) -> ShardFiles:
        """Write the model's shards from biases and features."""
        written = {}
        for side, sizes, biases in zip(self.entries, self.rounds.sizes, self.rounds.biases, strict=True):
            features = [entry.place(self.folder) for entry in self.entries[side]]
            paths = [f"shards-{len(self.passes):05d}/{side[:-1]}-{number:05d}.npy" for number in range(len(sizes))]
            jobs = [
                (files.join(self.folder, path), biases[n], self.steps, self.settings.rank, features, sizes, n)
                for n, path in enumerate(paths)
            ]
            checksums = run_all(self.context, STAGE, f"save-{side}", write_features_as_shard, jobs)
            written[side] = array_entries(paths, checksums)
        return written
