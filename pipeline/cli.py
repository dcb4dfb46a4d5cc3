"""The command `funkflow`: words in, exit codes out.

Covers: how errors look, and the exit codes: 0 done, 1 failed, 2 settings or usage, 3 bad input data, 4 cannot fit, 5
model refused by its gate, 75 try again later, 130/143 interrupted and resumable.
Does not cover: which commands there are (pipeline/commands/names.py), what a command takes and does (commands/).
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any

import typer

from funkflow.pipeline.commands.interrupts import interrupts
from funkflow.pipeline.commands.names import COMMANDS
from funkflow.pipeline.progress import streams
from funkflow.pipeline.progress.lines import JSON, format_of, json_line
from funkflow.tasks.errors import FunkflowError
from funkflow.tasks.redact import masked

_HELP = "Factorise a ratings matrix too large for a classical SVD by following gradients, on Dask."
_EPILOGUE = (
    "Begin with: funkflow run demo, or funkflow run --ratings FILE. All about a command: funkflow COMMAND --help."
)


def program(word: str = "") -> typer.Typer:
    """Return the command with all it can do; given its first word, no more is loaded than that word needs."""
    app = _bare()
    modules = (COMMANDS[word].module,) if word in COMMANDS else dict.fromkeys(each.module for each in COMMANDS.values())
    for module in modules:
        import_module(f"funkflow.pipeline.commands.{module}").register(app)
    import_module("funkflow.pipeline.commands.shared_options").offer(app)
    return app


def listing() -> typer.Typer:
    """Return the command as its help and a shell's completion list it: every name, and nothing loaded."""
    app = _bare()
    for name, listed in COMMANDS.items():
        app.command(name, help=listed.line, rich_help_panel=listed.panel)(_nothing)
    return app


def _bare() -> typer.Typer:
    app = typer.Typer(
        name="funkflow", no_args_is_help=True, pretty_exceptions_enable=False, help=_HELP, epilog=_EPILOGUE
    )
    app.callback(invoke_without_command=True)(_options)
    return app


def _nothing() -> None:
    """Stand for a command that is listed and not loaded."""


def _options(show_version: Annotated[bool, typer.Option("--version", help="print the version")] = False) -> None:
    if show_version:
        print(f"funkflow {version('funkflow')}")
        raise typer.Exit


def main() -> None:
    """Run the command and exit with its code."""
    streams.lose_no_run_to_output()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, interrupts.take)
    sys.exit(_exit_code(sys.argv[1:] or ["--help"]))


def _exit_code(words: list[str]) -> int:
    try:
        word = _word(words)
        app = program(word) if word in COMMANDS else listing()
        return int(app(words, standalone_mode=False, prog_name="funkflow") or 0)
    except FunkflowError as error:
        return _failed(error, error.exit_code, error.message)
    except typer.Abort:
        return 130
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        usage = getattr(error, "format_message", None)
        if usage is not None:
            return _failed(error, 2, _usage(usage(), getattr(error, "ctx", None)))
        first_line = str(error).splitlines()[0] if str(error) else ""
        return _failed(error, 1, f"unexpected {type(error).__name__}: {first_line}; --debug shows where")


def _word(words: list[str]) -> str:
    """Return the command on this line, or on the line that a shell completes."""
    for variable in ("COMP_WORDS", "_TYPER_COMPLETE_ARGS"):
        if variable in os.environ and "_FUNKFLOW_COMPLETE" in os.environ:
            return next(iter(os.environ[variable].split()[1:]), "")
    return words[0]


def _usage(said: str, context: Any) -> str:
    """Return what is wrong with the words, and whose help to read."""
    path = context.command_path if context is not None else "funkflow"
    said = said.rstrip(".")
    return f"{said}{' See' if said.endswith('?') else '; see'} {path} --help"


def _failed(error: Exception, code: int, message: str) -> int:
    trace = masked("".join(traceback.format_exception(error))) if "--debug" in sys.argv else ""
    if format_of(sys.argv[1:]) == JSON:
        said = {"event": "Failed", "message": masked(message), "exit_code": code}
        print(json_line(said | ({"traceback": trace} if trace else {})), end="", file=sys.stderr)
    else:
        print(f"{trace}funkflow: {masked(message)}", file=sys.stderr)
    return code
