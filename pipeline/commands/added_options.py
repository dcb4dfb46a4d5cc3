"""Options that are added to many commands at once, instead of standing in the signature of each.

Covers: a command's signature with more parameters, and which commands a program has.
Does not cover: which options (where.py, log_format.py).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any

import typer
from typer.models import CommandInfo, OptionInfo, TyperInfo

Command = Callable[..., Any]


def commands_with(app: typer.Typer, parameter: str) -> Iterator[CommandInfo | TyperInfo]:
    """Yield the commands of a program, and of its groups, that have such a parameter."""
    every: list[CommandInfo | TyperInfo] = [*app.registered_commands]
    if app.registered_callback is not None:
        every.append(app.registered_callback)
    for command in every:
        if command.callback is not None and parameter in inspect.signature(command.callback).parameters:
            yield command
    for group in app.registered_groups:
        if group.typer_instance is not None:
            yield from commands_with(group.typer_instance, parameter)


def as_option(name: str, kind: Any, default: Any, option: OptionInfo) -> inspect.Parameter:
    """Return a parameter that Typer offers as this option."""
    annotation = Annotated[kind, option]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def with_parameters(wrapper: Command, command: Command, added: Sequence[inspect.Parameter]) -> Command:
    """Return `wrapper` with the signature of `command` and the parameters that are added, all by keyword."""
    signature = inspect.signature(command, eval_str=True)
    own = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in signature.parameters.values()]
    wrapper.__signature__ = signature.replace(parameters=[*own, *added])  # type: ignore[attr-defined]
    return wrapper
