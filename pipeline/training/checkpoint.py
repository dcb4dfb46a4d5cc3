"""Checkpoints of a run: shards written by the workers that hold them, and a manifest.

Covers: writing a checkpoint, finding the newest whole one, and removing old ones.
Does not cover: when one is due (methods/sgd.py), a shard's file (tasks/grid/factor_shard.py).

    <run>/checkpoints/epoch-00010.json        names two sets of shards: of epoch 10, and of the best epoch so far
    <run>/checkpoints/shards-00010/user-00000.npy, …
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from funkflow.pipeline.cluster.context import Context, run_all
from funkflow.pipeline.progress.events import Noticed
from funkflow.pipeline.root.manifests import Training
from funkflow.pipeline.root.records import KeptDraw, ShardFiles
from funkflow.pipeline.root.store import FORMAT_VERSION
from funkflow.pipeline.root.typed_json import Entry, FileEntry
from funkflow.pipeline.training.job import TrainingJob
from funkflow.tasks.errors import DamagedFile, SettingsError
from funkflow.tasks.grid.factor_shard import verify_shard
from funkflow.tasks.grid.scaling import StepSizes
from funkflow.tasks.storage import files

_MOST_CHECKPOINTS = 2


@dataclass(frozen=True, kw_only=True)
class Search(Entry):
    """The state of batch descent: the numbers of a `DescentState`, and the reason for ending, if it ended."""

    trail: Mapping[str, Any]
    ended: str | None


@dataclass(frozen=True, kw_only=True)
class DrawState(Entry):
    """The state of sampling beside its files (methods/bayes_graph.py).

    `noise_...` : tau and nu of each chain; `squares` : of what the pairs say (tasks/training/posterior/sweep_parts.py);
    `time_levels` : precisions of effects of time of each chain, () without.
    """

    noise_precisions: tuple[float, ...]
    noise_shapes: tuple[float, ...]
    draws: int
    kept: tuple[KeptDraw, ...]
    lost: float = 0.0
    whole: float = 0.0
    noise_variances: float = 0.0
    squares: tuple[tuple[float, ...], ...] = ()
    time_levels: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True, kw_only=True)
class ResumePoint(Entry):
    """The state from which training resumes; files have paths from the checkpoints' folder.

    `users`, `items` : of sgd and batch, a file a shard; of funk, a file a factor. `search` : of batch only.
    `passes`, `ended` : of funk only, the passes for each factor, and the reason for ending. `sampling` : of bayes only.
    `times` : of sgd, a file a user shard, where time has effects.
    """

    users: tuple[FileEntry, ...]
    items: tuple[FileEntry, ...]
    search: Search | None = None
    passes: tuple[int, ...] = ()
    ended: str | None = None
    sampling: DrawState | None = None
    times: tuple[FileEntry, ...] = ()

    @classmethod
    def of(
        cls, entries: ShardFiles, *, search: Search | None = None, passes: Sequence[int] = (), ended: str | None = None,
        sampling: DrawState | None = None,
    ) -> Self:  # fmt: skip
        """Return the resume point; a method writes its own fields only."""
        others = ([] if search else ["search"]) + ([] if passes else ["passes", "ended"])
        point = cls(
            users=entries["users"], items=entries["items"], search=search, passes=tuple(passes), ended=ended,
            sampling=sampling, times=tuple(entries.get("times", ())),
        )  # fmt: skip
        return point.without(*others, *([] if sampling else ["sampling"]), *([] if point.times else ["times"]))

    @property
    def entries(self) -> ShardFiles:
        return {"users": self.users, "items": self.items, **({"times": self.times} if self.times else {})}


@dataclass(frozen=True, kw_only=True)
class Checkpoint(Entry):
    """The state of a training that can resume, to the same bits.

    `history` : [training RMSE, validation RMSE or None] for each epoch so far, in rating units; with stochastic
    descent, the RMS of the factors' part of the predictions is the third number; with row solves, the objective per
    rating and the length of the gradient are the third and fourth, and the NDCG, if it decides, the fifth. `best` :
    files of the best epoch.
    `start` : validation RMSE of the model that the run started from, if it did; its NDCG, where that decides.
    `cpu_target` : the kernels were compiled for it; other targets may round differently.
    """

    epoch: int
    best_epoch: int
    history: list[list[float | None]]
    current: ResumePoint
    best: ShardFiles
    cpu_target: str
    seconds: float
    start: float | None = None

    def training(self, job: TrainingJob, steps: StepSizes) -> Training:
        """Return the training manifest of a job that ended with this checkpoint."""
        return Training(
            folder=job.folder,
            grid=job.grid.id,
            epochs=self.epoch,
            best_epoch=self.best_epoch,
            history=tuple((row[0] or 0.0, row[1]) for row in self.history),
            start=self.start,
            shards={side: self.best[side] for side in ("users", "items")},
            seconds=self.seconds,
            cpu_target=self.cpu_target,
            steps=steps,
        )

    def refuse_other_target(self, cpu_target: str, run_folder: str) -> None:
        """Raise SettingsError if the workers compile for another CPU target than those that wrote the checkpoint."""
        if self.cpu_target != cpu_target:
            raise SettingsError(
                f"{run_folder}: kernels for {self.cpu_target} wrote the checkpoints, and the workers have kernels for "
                f"{cpu_target}, which may round differently; resume on workers like the former, or train from scratch "
                "with --fresh"
            )


def folder_of(run_folder: str) -> str:
    """Return the folder of a run's checkpoints."""
    return files.join(run_folder, "checkpoints")


def array_entries(paths: Iterable[str], checksums: Iterable[str]) -> tuple[FileEntry, ...]:
    """Return the entries of arrays that were written."""
    return tuple(FileEntry.array(path, checksum) for path, checksum in zip(paths, checksums, strict=True))


def write(run_folder: str, checkpoint: Checkpoint) -> None:
    """Publish a checkpoint, then remove all files that the last two manifests do not name."""
    folder = folder_of(run_folder)
    content = {**checkpoint.content(), "format_version": FORMAT_VERSION}
    files.write_sealed(files.join(folder, _manifest_name(checkpoint.epoch)), content)
    # Manifests of later epochs are damaged: with them among the last two, the new files would be removed.
    last = [epoch for epoch in _epochs(folder) if epoch <= checkpoint.epoch][:_MOST_CHECKPOINTS]
    for epoch in set(_epochs(folder)) - set(last):
        files.remove_tree(files.join(folder, _manifest_name(epoch)))
    needed = {entry.path.split("/")[0] for epoch in last for entry in _entries_of(folder, epoch)}
    for name in files.names(folder):
        if name.startswith("shards-") and name not in needed:
            files.remove_tree(files.join(folder, name))


def newest_epoch(run_folder: str) -> int | None:
    """Return the epoch of the newest checkpoint, without checking its files; None if there is none."""
    return next(iter(_epochs(folder_of(run_folder))), None)


def newest_whole(context: Context, run_folder: str) -> Checkpoint | None:
    """Return the newest checkpoint whose files all match their checksums; report damaged ones and skip them."""
    folder = folder_of(run_folder)
    for epoch in _epochs(folder):
        try:
            checkpoint = _read_checkpoint(folder, epoch)
            jobs = [entry.place(folder) for entry in _distinct_entries(checkpoint)]
            run_all(context, "verify", "verify-checkpoint", verify_shard, jobs)
        except DamagedFile as damage:
            context.notify(
                Noticed(f"checkpoint of epoch {epoch} is damaged, so the one before is used: {damage}", warning=True)
            )
        else:
            return checkpoint
    return None


def _entries_of(folder: str, epoch: int) -> list[FileEntry]:
    try:
        return _distinct_entries(_read_checkpoint(folder, epoch))
    except DamagedFile:
        return []


def _distinct_entries(checkpoint: Checkpoint) -> list[FileEntry]:
    sampling = checkpoint.current.sampling
    kept = [{"users": draw.users, "items": draw.items} for draw in (sampling.kept if sampling else ())]
    parts = (checkpoint.current.entries, checkpoint.best, *kept)
    return list({entry.path: entry for part in parts for side in part.values() for entry in side}.values())


def _manifest_name(epoch: int) -> str:
    return f"epoch-{epoch:05d}.json"


def _epochs(folder: str) -> list[int]:
    """Return the epochs that have a manifest, newest first."""
    found = [re.fullmatch(r"epoch-(\d+)\.json", name) for name in files.names(folder)]
    return sorted((int(match[1]) for match in found if match), reverse=True)


def _read_checkpoint(folder: str, epoch: int) -> Checkpoint:
    url = files.join(folder, _manifest_name(epoch))
    content = files.read_json(url)
    try:
        if content["format_version"] != FORMAT_VERSION:
            raise DamagedFile(
                f"{url}: format version {content['format_version']}, this funkflow reads {FORMAT_VERSION}"
            )
        whole = files.without_seal(url, content)
        del whole["format_version"]
        return Checkpoint.read(whole)
    except (TypeError, KeyError, AttributeError) as cause:
        raise DamagedFile(f"{url}: not a checkpoint manifest") from cause
