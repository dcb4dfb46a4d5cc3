"""What a saved model says of itself, and whether its files are there: without loading what it takes to use it.

Covers: `model.json`, where the parts lie, and refusing a model that is not whole.
Does not cover: the parts themselves (parts.py), or the model that they make (model.py).
"""

from __future__ import annotations

from typing import Any

from funkflow.tasks.errors import DamagedFile, SettingsError
from funkflow.tasks.storage import files

MODEL_FORMAT_VERSION = 2

Place = tuple[str, str]
"""A file's URL and its checksum."""


def read_about(folder: str) -> dict[str, Any]:
    """Return the content of `model.json`.

    Raises
    ------
    SettingsError
        There is no model in `folder`.
    DamagedFile
        The file is not that of a model, of another format version, or was changed since it was written.
    """
    url = files.join(folder, "model.json")
    about = files.json_if_there(url)
    if about is None:
        raise SettingsError(f"{folder}: there is no model here (no model.json); name the model folder of a run")
    if (
        not isinstance(about, dict)
        or about.get("kind") != "model"
        or about.get("format_version") != MODEL_FORMAT_VERSION
    ):
        raise DamagedFile(f"{url}: not a funkflow model of format version {MODEL_FORMAT_VERSION}; export it again")
    return files.without_seal(url, about)


def part_files(folder: str, side: str, about: dict[str, Any]) -> list[Place]:
    """Return where the parts of one side ("user", "item") lie."""
    place = files.join(folder, f"{side}_factors.parquet")
    return [(files.join(place, part["path"]), part["checksum"]) for part in about["parts"][side]]


def refuse_missing_parts(folder: str, about: dict[str, Any]) -> None:
    """Raise DamagedFile if a part of the model in `folder` is not there, or not in its full length."""
    for side in ("user", "item"):
        there = files.sizes(files.join(folder, f"{side}_factors.parquet"))
        for part in about["parts"][side]:
            if there.get(part["path"]) != part["bytes"]:
                raise DamagedFile(
                    f"{folder}/{side}_factors.parquet/{part['path']}: "
                    f"{there.get(part['path'], 'missing')} instead of {part['bytes']} bytes, so this model is not "
                    "whole; run its settings again"
                )


def refuse_damaged_parts(folder: str, about: dict[str, Any]) -> None:
    """Raise DamagedFile if a part of the model in `folder` is not what its checksum says; reads all of it."""
    for side in ("user", "item"):
        for url, checksum in part_files(folder, side, about):
            files.read_bytes(url, checksum)
