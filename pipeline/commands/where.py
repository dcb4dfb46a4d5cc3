"""Where a command's tasks run: options that every command with settings takes.

Covers: --scheduler, --scheduler-file and --cluster, and the settings that they stand for.
Does not cover: what comes before what (pipeline/cluster/open.py: where_to_run).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import typer

from funkflow.pipeline.commands.added_options import as_option, commands_with, with_parameters
from funkflow.pipeline.commands.options import quoted
from funkflow.tasks.errors import SettingsError

_OPTIONS = {
    "scheduler": ("--scheduler", "scheduler", "address of a running Dask scheduler, which is left as it is"),
    "scheduler_file": ("--scheduler-file", "scheduler_file", "file that a Dask scheduler writes its address to"),
    "cluster": (
        "--cluster",
        "preset",
        "a cluster (local, ssh, slurm, kubernetes, gateway) or the path of a .toml file",
    ),
}
"""By parameter: the option, the setting of [cluster] that it stands for, and its help; in order of precedence."""


def offer(app: typer.Typer) -> None:
    """Let every command that takes --set take these options, too."""
    for command in commands_with(app, "sets"):
        assert command.callback is not None
        command.callback = _with_options(command.callback)


def words_for(scheduler: str = "", scheduler_file: str = "", cluster: str = "") -> list[str]:
    """Return the `cluster.key=value` words that these options stand for; a scheduler comes before a cluster file.

    Raises
    ------
    SettingsError
        Two schedulers are named.
    """
    if scheduler and scheduler_file:
        raise SettingsError("--scheduler and --scheduler-file each name a scheduler: keep one of them")
    named = {"scheduler": scheduler, "scheduler_file": scheduler_file, "cluster": cluster}
    chosen = next((name for name, value in named.items() if value), None)
    if chosen is None:
        return []
    values = {setting: named[name] if name == chosen else "" for name, (_, setting, _) in _OPTIONS.items()}
    return ["cluster.environment=false", *(f"cluster.{setting}={quoted(value)}" for setting, value in values.items())]


def _with_options(command: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(command)
    def with_options(*, sets: list[str] | None, **rest: Any) -> Any:
        named = {name: rest.pop(name) for name in _OPTIONS}
        return command(sets=[*words_for(**named), *(sets or [])], **rest)

    added = [
        as_option(name, str, "", typer.Option(option, help=text, show_default=False))
        for name, (option, _, text) in _OPTIONS.items()
    ]
    return with_parameters(with_options, command, added)
