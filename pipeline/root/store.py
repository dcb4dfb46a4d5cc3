"""The layout of a root: ids, folders and manifests.

Covers: content addresses, folders, publication (manifest.json is written last) and cleaning up after a failure.
Does not cover: reading and writing single files (tasks/storage/files.py), checkpoints
(pipeline/training/checkpoint.py), run records (run_record.py).
"""

from __future__ import annotations

import json
import os
import posixpath
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from funkflow.tasks.errors import DamagedFile, SettingsError
from funkflow.tasks.parsing.sources.layouts import INPUTS
from funkflow.tasks.redact import masked
from funkflow.tasks.storage import files

FORMAT_VERSION = 3
"""The version in every manifest; folders of other versions are refused."""


def content_id(**parts: Any) -> str:
    """Return a 16-digit id of the inputs of a folder: equal parts give equal ids on any machine."""
    text = json.dumps({**parts, "format_version": FORMAT_VERSION}, sort_keys=True)
    return files.checksum(text.encode())[:16]


def in_seconds(when: datetime | None = None) -> str:
    """Write a moment (default: now) for records: to the second, with its distance from UTC."""
    return (when or datetime.now(UTC)).isoformat(timespec="seconds")


SCRATCH = ".funkflow-scratch"
"""This folder is emptied without asking, so its name is one that no user gives to a folder."""


@dataclass(frozen=True)
class Store:
    """The folders under one root (a local folder or any fsspec URL)."""

    root: str

    def dataset(self, dataset_id: str) -> str:
        return files.join(self.root, "datasets", dataset_id)

    def split(self, split_id: str) -> str:
        return files.join(self.root, "splits", split_id)

    def grid(self, grid_id: str) -> str:
        return files.join(self.root, "grids", grid_id)

    @property
    def blocks(self) -> str:
        """Rating blocks by checksum, shared by all grids that hold the same block."""
        return files.join(self.root, "blocks")

    def inputs(self, inputs_id: str) -> str:
        """Ratings that were given in memory, as files."""
        return files.join(self.root, INPUTS, inputs_id)

    @property
    def forgotten(self) -> str:
        """The list of erased users and items."""
        return files.join(self.root, "forgotten.json")

    def run(self, run_id: str) -> str:
        return files.join(self.root, "runs", run_id)

    def sweep(self) -> None:
        """Remove files of killed writers under a local root; the caller must hold the root."""
        for folder in ("datasets", "splits", "grids", "blocks", "runs", "ledger", "receipts", "index", INPUTS):
            sweep(files.join(self.root, folder))

    def scratch(self, name: str) -> str:
        """Return a folder for the temporary files of one stage."""
        return files.join(self.root, SCRATCH, name)


def existing_root(root: str) -> str:
    """Return `root`, for commands that need an existing one.

    Raises
    ------
    SettingsError
        The root does not exist; it may be mistyped, so it is not made.
    """
    if not files.exists(root):
        raise SettingsError(f"{masked(root)}: there is no such root, no run has made it; name the --root of your runs")
    return root


def sweep(folder: str) -> None:
    """Remove files of killed writers in a local folder; object stores keep nothing of an interrupted write."""
    if "://" not in folder:
        for path in files.unfinished_files(folder):
            os.remove(path)


def published(folder: str, kind: str) -> dict[str, Any] | None:
    """Return the manifest of a complete folder; None if there is none, or a file is missing or cut short.

    Raises
    ------
    DamagedFile
        The manifest is unreadable, of another kind or format version, or was changed since it was written.
    """
    manifest = manifest_of(folder, kind)
    if manifest is None:
        return None
    expected = manifest.get("files", {})
    return manifest if _bytes_of(folder, list(expected)) == expected else None


def manifest_of(folder: str, kind: str) -> dict[str, Any] | None:
    """Return the manifest of a folder, as `published` does, without checking its files."""
    url = files.join(folder, "manifest.json")
    manifest = files.json_if_there(url)
    if manifest is None:
        return None
    if not isinstance(manifest, dict) or manifest.get("kind") != kind:
        raise DamagedFile(f"{url}: not the manifest of {kind}, so this folder is something else's; use another")
    if manifest.get("format_version") != FORMAT_VERSION:
        raise DamagedFile(
            f"{url}: format version {manifest.get('format_version')}, this funkflow reads {FORMAT_VERSION}; "
            f"delete {folder} and run again"
        )
    return files.without_seal(url, manifest)


def _bytes_of(folder: str, paths: list[str]) -> dict[str, int | None]:
    """Return the size of each file, by its path from `folder`; None for a missing one."""
    scheme, separator, place = folder.rpartition("://")
    parted = {path: posixpath.split(posixpath.normpath(posixpath.join(place, path))) for path in paths}
    homes = {home: files.sizes(f"{scheme}{separator}{home}") for home in {home for home, _ in parted.values()}}
    return {path: homes[home].get(name) for path, (home, name) in parted.items()}


def notes(url: str, name: str) -> dict[str, Any]:
    """Return a part of a file of notes; {} if the file is gone, damaged or of another version.

    Notes are copies of facts that can be found again.
    """
    try:
        content = files.json_if_there(url)
    except DamagedFile:
        return {}
    if not isinstance(content, dict) or content.get("format_version") != FORMAT_VERSION:
        return {}
    known = content.get(name)
    return known if isinstance(known, dict) else {}


def publish(folder: str, kind: str, **content: Any) -> dict[str, Any]:
    """Write the manifest that completes `folder`, the last write of a stage; return it.

    `files`, if given : the files of a complete folder, relative to `folder`.
    """
    sizes = _bytes_of(folder, content.pop("files", []))
    manifest = {**content, "files": sizes, "kind": kind, "format_version": FORMAT_VERSION}
    files.write_sealed(files.join(folder, "manifest.json"), manifest)
    return manifest


@contextmanager
def nothing_half_written(*folders: str, temporary: tuple[str, ...] = ()) -> Iterator[None]:
    """Remove `folders` if the body fails, and `temporary` ones in any case.

    Workers whose scheduler is gone may still write there. Their files have no manifest, so they do not count, and the
    next run removes them. A failed removal therefore does not hide the error of the body.
    """
    try:
        yield
    except BaseException:
        _try_to_remove(folders)
        raise
    finally:
        _try_to_remove(temporary)


def _try_to_remove(folders: Iterable[str]) -> None:
    for folder in folders:
        with suppress(OSError):
            files.remove_tree(folder)
