"""The arrays of a saved model that servers map into memory: written once, then found.

Covers: where they lie, one writer at a time, and their manifest.
Does not cover: the files (tasks/serving/mapped_files.py), answers (tasks/serving/mapped_model.py).
"""

from __future__ import annotations

import os
import signal
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

from filelock import FileLock

from funkflow.pipeline.root.disk_errors import as_disk_errors
from funkflow.pipeline.root.model_manifests import MappedFiles
from funkflow.pipeline.root.store import content_id, nothing_half_written
from funkflow.tasks.errors import DamagedFile, SettingsError
from funkflow.tasks.model.about import About, read_about, refuse_missing_parts
from funkflow.tasks.redact import masked
from funkflow.tasks.serving.mapped_files import trained_on_of, write_arrays
from funkflow.tasks.serving.mapped_model import MappedModel
from funkflow.tasks.storage import files
from funkflow.tasks.storage.paths import absolute

_APART_BYTES = 64 * 2**20
"""Arrays of models larger than this are written by another process."""


@dataclass(frozen=True)
class Mapped:
    """A model in memory: `id` of its content, and whether the items that users rated are known."""

    id: str
    model: MappedModel
    knows_rated: bool


def map_model(model_folder: str, place: str = "") -> Mapped:
    """Map the arrays of a saved model into memory; write them first, unless they are there.

    Parameters
    ----------
    place : local folder for the arrays of all models; "": "mapped" in the folder of this one.

    Raises
    ------
    SettingsError
        There is no model, or it is not on a local disk and there is no `place`.
    DamagedFile
        The model is incomplete or damaged.
    CannotFit
        The disk is full.
    """
    about = read_about(model_folder)
    refuse_missing_parts(model_folder, about)
    trained_on = trained_on_of(model_folder)
    data = {"dataset": trained_on.dataset["id"], "split": trained_on.split["id"]} if trained_on else {}
    identity = content_id(what="mapped model", model=about["parts"], **data)
    if not place and "://" in model_folder:
        raise SettingsError(
            f"{masked(model_folder)}: not on a local disk; name a local folder for the model's arrays with --mapped"
        )
    folder = files.join(absolute(place), identity) if place else files.join(model_folder, "mapped")
    with as_disk_errors(folder):
        manifest = _published(folder, identity) or _write(model_folder, about, identity, folder)
    return Mapped(identity, MappedModel.open(folder, about, model_folder), manifest.rated)


def _published(folder: str, identity: str) -> MappedFiles | None:
    """Return the manifest of the arrays of this very model; None: they have to be written."""
    try:
        manifest = MappedFiles.published(folder)
    except DamagedFile:
        return None
    return manifest if manifest and manifest.id == identity else None


def _write(model_folder: str, about: About, identity: str, folder: str) -> MappedFiles:
    is_large = sum(part["bytes"] for side in about["parts"].values() for part in side) > _APART_BYTES
    above = os.path.dirname(folder)
    try:
        os.makedirs(above, exist_ok=True)
        lock = FileLock(f"{folder}.lock").acquire()
    except OSError as cause:
        raise SettingsError(
            f"{above}: the model's arrays cannot be written there ({cause.strerror}); name a local folder for them "
            "with --mapped"
        ) from cause
    with lock:
        if manifest := _published(folder, identity):  # another process wrote them meanwhile
            return manifest
        files.remove_tree(folder)
        with nothing_half_written(folder):
            checksums, knows_rated = (_write_apart if is_large else write_arrays)(model_folder, folder)
            manifest = MappedFiles(folder=folder, id=identity, rated=knows_rated, checksums=checksums)
            return manifest.publish(list(checksums))


def _write_apart(model_folder: str, folder: str) -> tuple[dict[str, str], bool]:
    """Write the arrays by a process of its own, which does not hold up requests, and whose memory ends with it."""
    here = get_context("spawn")
    with ProcessPoolExecutor(1, here, initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_IGN)) as pool:
        return pool.submit(write_arrays, model_folder, folder).result()
