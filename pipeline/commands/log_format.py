"""How a command says what it does: the option --log-format of every command.

Covers: the option, its help, and refusing what is no such form.
Does not cover: what the forms look like (pipeline/progress/lines.py), who reads the choice (progress.format_of).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import typer

from funkflow.pipeline.commands.added_options import as_option, commands_with, with_parameters
from funkflow.pipeline.progress.lines import FORMAT_OPTION, FORMAT_VARIABLE, FORMATS

LogFormat = StrEnum("LogFormat", {form.upper(): form for form in FORMATS})  # type: ignore[misc]
_HELP = "what is said on standard error: text, or one JSON object a line"


def offer(app: typer.Typer) -> None:
    """Let every command that takes --debug take this one, too."""
    for command in commands_with(app, "debug"):
        assert command.callback is not None
        command.callback = _with_option(command.callback)


def _with_option(command: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(command)
    def with_option(*args: Any, log_format: str, **rest: Any) -> Any:  # read from the command line
        return command(*args, **rest)

    option = typer.Option(FORMAT_OPTION, envvar=FORMAT_VARIABLE, help=_HELP, show_default=False)
    return with_parameters(with_option, command, [as_option("log_format", LogFormat, FORMATS[0], option)])
