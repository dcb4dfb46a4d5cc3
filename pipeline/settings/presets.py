"""Settings and cluster files: shipped ones by name, and the user's own by path.

Covers: finding and reading them, on disk or in an object store.
Does not cover: their valid content (sections.py, cluster_preset.py).
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Sequence
from importlib import resources
from typing import Any

from funkflow.tasks.errors import BadInput, SettingsError
from funkflow.tasks.redact import masked
from funkflow.tasks.storage.filesystems import opened
from funkflow.tasks.storage.paths import expand_home

SETTINGS, CLUSTERS = "funkflow.conf", "funkflow.conf.clusters"
"""Packages of the shipped files."""


def presets(folder: str = SETTINGS) -> list[str]:
    """Return the names of the shipped files of a package."""
    return sorted(
        entry.name.removesuffix(".toml") for entry in resources.files(folder).iterdir() if entry.name.endswith(".toml")
    )


def read_settings(name_or_path: str, folder: str = SETTINGS) -> tuple[dict[str, Any], str]:
    """Return the content of a settings or cluster file, and its name in messages.

    Raises
    ------
    SettingsError
        No such preset or file, or not TOML.
    """
    text, where = _find(name_or_path, folder)
    try:
        return tomllib.loads(text), where
    except tomllib.TOMLDecodeError as cause:
        raise SettingsError(f"{where}: not valid TOML: {cause}") from cause


def refuse_missing_data(name: str, ratings: Sequence[str]) -> None:
    """Raise BadInput if the data of a preset are missing; its first line says where to get them.

    Parameters
    ----------
    name : name of a preset; the function checks nothing for the path of a file.
    ratings : paths of the ratings; the function checks nothing if they are not the preset's.
    """
    if name not in presets():
        return
    text, where = _find(name, SETTINGS)
    if list(ratings) == tomllib.loads(text).get("ingest", {}).get("ratings"):
        for path in ratings:
            if not os.path.exists(path):
                raise BadInput(f"{path}: no such file or folder. {text.splitlines()[0].removeprefix('# ')} ({where})")


def is_path(name_or_path: str) -> bool:
    """Return whether this is the path of a file, instead of the name of a shipped one."""
    return "/" in name_or_path or name_or_path.endswith(".toml")


def _find(name_or_path: str, folder: str) -> tuple[str, str]:
    if is_path(name_or_path):
        where = masked(expand_home(name_or_path))
        try:
            with opened(name_or_path) as content:
                return content.read().decode(), where
        except (OSError, UnicodeDecodeError) as cause:
            raise SettingsError(f"{where}: cannot read these settings: {cause}") from cause
    if name_or_path in presets(folder):
        file = resources.files(folder).joinpath(f"{name_or_path}.toml")
        return file.read_text(encoding="utf-8"), f"{folder.replace('.', '/')}/{name_or_path}.toml"
    kind = "preset" if folder == SETTINGS else "cluster"
    raise SettingsError(
        f"no {kind} is called {name_or_path!r}: give a path to a .toml file, or one of {', '.join(presets(folder))}"
    )
