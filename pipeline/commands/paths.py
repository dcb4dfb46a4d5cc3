"""Paths that a command is given: `~` is a home folder in all of them.

Covers: which options name paths. A shell expands most, but neither --root=~/x nor what a program passes on.
Does not cover: what `~` stands for (tasks/storage/paths.py), paths in settings (pipeline/settings/train.py: Place).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import typer

from funkflow.pipeline.commands.added_options import commands_with, with_parameters
from funkflow.tasks.storage.paths import expand_home

NAMES = frozenset({"constants", "model", "out", "pairs", "ratings", "root", "validation", "vectors"})
"""Parameters of commands that are a path or URL, or several. Those that stand for settings are expanded as such."""


def offer(app: typer.Typer) -> None:
    """Have every command get its paths expanded."""
    for name in NAMES:
        for command in commands_with(app, name):
            assert command.callback is not None
            command.callback = _with_expanded(command.callback, name)


def _with_expanded(command: Callable[..., Any], name: str) -> Callable[..., Any]:
    @functools.wraps(command)
    def with_expanded(**options: Any) -> Any:
        given = options[name]
        whole = [expand_home(path) for path in given] if isinstance(given, list) else given and expand_home(given)
        return command(**{**options, name: whole})

    return with_parameters(with_expanded, command, [])
