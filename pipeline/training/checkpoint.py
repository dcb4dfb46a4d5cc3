"""Checkpoints of a run: shards written by the workers that hold them, and a manifest that makes them count.

Covers: writing, finding the newest whole one, and removing those no longer needed.
Does not cover: when one is due (sgd.py), or the shard's file (tasks/grid/factor_shard.py).

    <run>/checkpoints/epoch-00010.json        names two sets of shards: of epoch 10, and of the best epoch so far
    <run>/checkpoints/shards-00010/user-00000.npy, …
"""

from __future__ import annotations

import itertools
import re
from dataclasses import asdict, dataclass
from typing import Any

from funkflow.pipeline.cluster.context import Context, run_all
from funkflow.pipeline.progress.events import Noticed
from funkflow.pipeline.root.store import FORMAT_VERSION
from funkflow.pipeline.training.on_worker import on_threads
from funkflow.pipeline.training.sgd_graph import State
from funkflow.tasks.errors import DamagedFile, SettingsError
from funkflow.tasks.grid.factor_shard import verify_shard
from funkflow.tasks.storage import files
from funkflow.tasks.training.sgd_share import write_item_shards, write_user_shards

_KEPT = 2


@dataclass(frozen=True)
class Checkpoint:
    """What a run needs to go on as if it had never stopped.

    `history` : [training RMSE, stopping RMSE or None] for each epoch so far, in rating units; where the stopping rule
    goes by what factors carry, that is the third number.
    `current`, `best` : {"users": [{path, checksum}, …], "items": […]}, paths relative to the checkpoints folder.
    `start` : stopping RMSE of the model that the run started from, if it did.
    `cpu_target` : what the kernels were compiled for; other targets may round differently.
    """

    epoch: int
    best_epoch: int
    history: list[list[float | None]]
    current: dict[str, Any]
    best: dict[str, Any]
    cpu_target: str
    seconds: float
    start: float | None = None

    def for_manifest(self) -> dict[str, Any]:
        """Return what the training manifest takes from the last checkpoint."""
        return {
            "epochs": self.epoch,
            "best_epoch": self.best_epoch,
            "history": [row[:2] for row in self.history],
            "start": self.start,
            "shards": self.best,
            "seconds": self.seconds,
            "cpu_target": self.cpu_target,
        }

    def refuse_other_target(self, cpu_target: str, run_folder: str) -> None:
        """Raise SettingsError if the workers compile for another CPU target than those that made this."""
        if self.cpu_target != cpu_target:
            raise SettingsError(
                f"{run_folder}: checkpoints were made by kernels for {self.cpu_target}, the workers compile for "
                f"{cpu_target}, which may round differently; go on where they were made, or start anew with --fresh"
            )


def folder_of(run_folder: str) -> str:
    """Return where a run's checkpoints lie."""
    return files.join(run_folder, "checkpoints")


def write_state(
    context: Context, folder: str, state: State, of_shares: list[slice], epoch: int, name: str
) -> dict[str, Any]:
    """Have every shard written by the worker that holds it, and wait; return the manifest entry of the set.

    `of_shares` : which shards each share of the state has.

    Raises
    ------
    Diverged
        A shard holds numbers that are not finite.
    """
    set_name = f"shards-{epoch:05d}"
    submit, at = context.client.submit, f"{name}-{epoch:04d}"
    writes = {
        side: [
            submit(on_threads, write_side, 1, share, folder, set_name, mine.start, key=f"save-{side}-{at}-{number}",
                   pure=False)
            for number, (share, mine) in enumerate(zip(shares, of_shares, strict=True))
        ]
        for side, write_side, shares in (
            ("users", write_user_shards, state.users), ("items", write_item_shards, state.items)
        )
    }  # fmt: skip
    written: dict[str, Any] = context.client.gather(writes)
    return {side: list(itertools.chain(*shares)) for side, shares in written.items()}


def write(run_folder: str, checkpoint: Checkpoint) -> None:
    """Publish a checkpoint, then remove what the last two manifests no longer name."""
    folder = folder_of(run_folder)
    files.write_sealed(
        files.join(folder, _manifest_name(checkpoint.epoch)), {**asdict(checkpoint), "format_version": FORMAT_VERSION}
    )
    # Manifests of later epochs are those that were found damaged: keeping them would prune what was just written.
    kept = [epoch for epoch in _epochs(folder) if epoch <= checkpoint.epoch][:_KEPT]
    for epoch in set(_epochs(folder)) - set(kept):
        files.remove_tree(files.join(folder, _manifest_name(epoch)))
    needed = {entry["path"].split("/")[0] for epoch in kept for entry in _entries_of(folder, epoch)}
    for name in files.names(folder):
        if name.startswith("shards-") and name not in needed:
            files.remove_tree(files.join(folder, name))


def newest_epoch(run_folder: str) -> int | None:
    """Return the epoch of the newest checkpoint, without a look at its files; None if there is none."""
    return next(iter(_epochs(folder_of(run_folder))), None)


def newest_whole(context: Context, run_folder: str) -> Checkpoint | None:
    """Return the newest checkpoint whose files all match their checksums; a damaged one is said and passed over."""
    folder = folder_of(run_folder)
    for epoch in _epochs(folder):
        try:
            checkpoint = _read(folder, epoch)
            jobs = [(files.join(folder, entry["path"]), entry["checksum"]) for entry in _entries(checkpoint)]
            run_all(context, "verify", "verify-checkpoint", verify_shard, jobs)
        except DamagedFile as damage:
            context.notify(
                Noticed(
                    f"checkpoint of epoch {epoch} is damaged, falling back to the one before: {damage}", warning=True
                )
            )
        else:
            return checkpoint
    return None


def _entries_of(folder: str, epoch: int) -> list[dict[str, str]]:
    try:
        return _entries(_read(folder, epoch))
    except DamagedFile:
        return []


def _entries(checkpoint: Checkpoint) -> list[dict[str, str]]:
    both = [
        entry for part in (checkpoint.current, checkpoint.best) for side in ("users", "items") for entry in part[side]
    ]
    return list({entry["path"]: entry for entry in both}.values())


def _manifest_name(epoch: int) -> str:
    return f"epoch-{epoch:05d}.json"


def _epochs(folder: str) -> list[int]:
    """Epochs that have a manifest, newest first."""
    found = [re.fullmatch(r"epoch-(\d+)\.json", name) for name in files.names(folder)]
    return sorted((int(match[1]) for match in found if match), reverse=True)


def _read(folder: str, epoch: int) -> Checkpoint:
    url = files.join(folder, _manifest_name(epoch))
    content = files.read_json(url)
    try:
        if content["format_version"] != FORMAT_VERSION:
            raise DamagedFile(
                f"{url}: format version {content['format_version']}, this funkflow reads {FORMAT_VERSION}"
            )
        whole = files.without_seal(url, content)
        del whole["format_version"]
        return Checkpoint(**whole)
    except (TypeError, KeyError, AttributeError) as cause:
        raise DamagedFile(f"{url}: not a checkpoint manifest") from cause
