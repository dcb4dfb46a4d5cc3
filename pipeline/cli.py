"""The command `funkflow`: words in, exit codes out.

Covers: the form of errors, and the exit codes: 0 done, 1 failed, 2 settings or usage, 3 bad input data, 4 cannot fit, 5
model refused by its gate, 75 try again later, 130/143 interrupted and resumable.
Does not cover: the list of commands (pipeline/commands/names.py), the commands (commands/).
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from importlib import import_module
from typing import Annotated, Any

import typer

from funkflow.pipeline.commands.interrupts import interrupts
from funkflow.pipeline.commands.names import COMMANDS
from funkflow.pipeline.progress import streams
from funkflow.pipeline.progress.log_format import JSON, format_of, json_line
from funkflow.tasks.errors import FunkflowError
from funkflow.tasks.garbage import search_no_more
from funkflow.tasks.redact import masked

_COMPLETE = "_FUNKFLOW_COMPLETE"
"""The variable by which a shell asks for completion."""
_HELP = "Factorise ratings matrices that are too large for a classical SVD, by gradient descent on Dask."
_EPILOGUE = (
    "Begin with: funkflow run demo, or funkflow run --ratings FILE. Help for a command: funkflow COMMAND --help."
)


def program(word: str = "") -> typer.Typer:
    """Return the whole program; given a command's name, import that command alone."""
    # --help and --install-completion stand before a command. Typer checks even that they are absent, with pydantic.
    app = _bare(before_command=word not in COMMANDS or _COMPLETE in os.environ)
    modules = (COMMANDS[word].module,) if word in COMMANDS else dict.fromkeys(each.module for each in COMMANDS.values())
    for module in modules:
        import_module(f"funkflow.pipeline.commands.{module}").register(app)
    import_module("funkflow.pipeline.commands.shared_options").offer(app)
    return app


def listing() -> typer.Typer:
    """Return the program for its help and a shell's completion: every name, and no command imported."""
    app = _bare()
    for name, listed in COMMANDS.items():
        app.command(name, help=listed.line, rich_help_panel=listed.panel)(_not_imported)
    return app


def _bare(*, before_command: bool = True) -> typer.Typer:
    app = typer.Typer(
        name="funkflow",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        help=_HELP,
        epilog=_EPILOGUE,
        add_completion=before_command,
        add_help_option=before_command,
    )
    app.callback(invoke_without_command=True)(_options)
    return app


def _not_imported() -> None:
    """Stand for a command that is listed but not imported."""


def _options(show_version: Annotated[bool, typer.Option("--version", help="print the version")] = False) -> None:
    if show_version:
        print(f"funkflow {import_module('importlib.metadata').version('funkflow')}")
        raise typer.Exit


def run_program() -> None:
    """Run the command and exit with its code."""
    streams.make_output_safe()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, interrupts.take)
    code = _exit_code(sys.argv[1:] or ["--help"])
    search_no_more()
    sys.exit(code)


def _exit_code(words: list[str]) -> int:
    try:
        word = _word(words)
        app = program(word) if word in COMMANDS else listing()
        return int(app(words, standalone_mode=False, prog_name="funkflow") or 0)
    except FunkflowError as error:
        return _print_failure(error, error.exit_code, error.message)
    except typer.Abort:
        return 130
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        usage = getattr(error, "format_message", None)
        if usage is not None:
            return _print_failure(error, 2, _usage(usage(), getattr(error, "ctx", None)))
        first_line = str(error).splitlines()[0] if str(error) else ""
        return _print_failure(error, 1, f"unexpected {type(error).__name__}: {first_line}; --debug shows where")


def _word(words: list[str]) -> str:
    """Return the name of the command on this line, or on the line that a shell completes."""
    for variable in ("COMP_WORDS", "_TYPER_COMPLETE_ARGS"):
        if variable in os.environ and _COMPLETE in os.environ:
            return next(iter(os.environ[variable].split()[1:]), "")
    return words[0]


def _usage(reason: str, context: Any) -> str:
    """Return the message for wrong words, with the help to read."""
    path = context.command_path if context is not None else "funkflow"
    reason = reason.rstrip(".")
    return f"{reason}{' See' if reason.endswith('?') else '; see'} {path} --help"


def _print_failure(error: Exception, code: int, message: str) -> int:
    trace = masked("".join(traceback.format_exception(error))) if "--debug" in sys.argv else ""
    if format_of(sys.argv[1:]) == JSON:
        content = {"event": "Failed", "message": masked(message), "exit_code": code}
        print(json_line(content | ({"traceback": trace} if trace else {})), end="", file=sys.stderr)
    else:
        print(f"{trace}funkflow: {masked(message)}", file=sys.stderr)
    return code
