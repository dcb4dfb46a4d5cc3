"""Options that are added to commands, instead of standing in the signature of each.

Covers: the options of RunOptions in a command's signature, --debug and --log-format on every command, and `~` in
paths, which a shell does not expand in --root=~/x.
Does not cover: the options themselves (options.py), home folders (tasks/storage/paths.py), paths in settings
(pipeline/settings/train.py), the format of messages (pipeline/progress/log_format.py).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal, get_origin

import typer
from typer.models import CommandInfo, TyperInfo

from funkflow.pipeline.commands.options import RunOptions
from funkflow.pipeline.progress.log_format import FORMAT_OPTION, FORMAT_VARIABLE
from funkflow.tasks.storage.paths import expand_home

PATHS = frozenset(
    {
        "constants", "item_features", "mapped", "model", "out", "pairs", "ratings", "root", "user_features",
        "validation", "vectors",
    }
)  # fmt: skip
"""Parameters of commands that are paths or URLs."""


def offer(app: typer.Typer) -> None:
    """Add the options to every command of a program and of its groups."""
    for command in _commands(app):
        assert command.callback is not None
        command.callback = _with_options(command.callback)


def _commands(app: typer.Typer) -> Iterator[CommandInfo | TyperInfo]:
    yield from app.registered_commands
    for group in app.registered_groups:
        assert group.typer_instance is not None
        if group.typer_instance.registered_callback is not None:
            yield group.typer_instance.registered_callback
        yield from _commands(group.typer_instance)


def _everywhere(
    *,
    debug: Annotated[bool, typer.Option("--debug", help="show the traceback of an error")] = False,
    log_format: Annotated[
        Literal["text", "json"],
        typer.Option(
            FORMAT_OPTION,
            envvar=FORMAT_VARIABLE,
            help="format of messages on standard error: text, or one JSON object per line",
            show_default=False,
        ),
    ] = "text",
) -> None:
    """Declare the options of every command; the program reads both from the words of the command line."""


def _with_options(command: Callable[..., Any]) -> Callable[..., Any]:
    signature, everywhere = (inspect.signature(each, eval_str=True) for each in (command, _everywhere))
    own = dict(signature.parameters)
    block = _option_parameters(own["options"].annotation) if "options" in own else []

    @functools.wraps(command)
    def with_options(**values: Any) -> Any:
        for name in everywhere.parameters:
            del values[name]
        for name in PATHS & values.keys():
            values[name] = _expand_paths(values[name])
        if block:
            values["options"] = RunOptions(**{each.name: values.pop(each.name) for each in block})
        return command(**values)

    parameters = [one for name, each in own.items() for one in (block if name == "options" else [each])]
    by_name = [
        each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in (*parameters, *everywhere.parameters.values())
    ]
    by_name.sort(key=lambda each: each.name != "conf")  # an argument that comes before any other
    with_options.__signature__ = signature.replace(parameters=by_name)  # type: ignore[attr-defined]
    return with_options


def _option_parameters(annotation: Any) -> list[inspect.Parameter]:
    """Return a parameter for each field of RunOptions, except those in `Annotated[RunOptions, "conf"]`."""
    left_out = annotation.__metadata__ if get_origin(annotation) is Annotated else ()
    fields = inspect.signature(RunOptions, eval_str=True).parameters.values()
    return [each for each in fields if each.name not in left_out]


def _expand_paths(given: Any) -> Any:
    return [expand_home(path) for path in given] if isinstance(given, list) else given and expand_home(given)
