"""The command `funkflow`: words in, exit codes out.

Covers: which commands there are, how errors look, and the exit codes: 0 done, 1 failed, 2 settings or usage, 3 bad
input data, 4 cannot fit, 5 model refused by its gate, 75 try again later, 130/143 interrupted and resumable.
Does not cover: what a command takes and does (commands/).
"""

from __future__ import annotations

import signal
import sys
import traceback
from importlib import import_module
from importlib.metadata import version
from typing import Annotated

import typer

from pipeline.commands import log_format, options, paths, stages, streams, where
from pipeline.runtime.progress import JSON, format_of, json_line
from tasks.errors import FunkflowError
from tasks.masking import masked

MODULES: dict[str, str] = {
    **dict.fromkeys(stages.NAMES, "stages"),
    "runs": "runs",
    **dict.fromkeys(("plan", "calibrate"), "plan"),
    **dict.fromkeys(("recommend", "similar", "factors"), "recommend"),
    **dict.fromkeys(("current", "promote", "rollback"), "current"),
    **dict.fromkeys(("schedule", "backfill"), "schedule"),
    "check-gradients": "gradients",
    **{name: name for name in ("predict", "spectrum", "reconstruct", "compare", "forget", "report")},
}
"""Of each command the module in commands/ that has it."""
_LIGHT = "--version"
"""Needs none of them."""


def program(word: str = "") -> typer.Typer:
    """Return the command with all it can do; given its first word, no more is loaded than that word needs.

    Dask, numba and Bokeh take seconds to import.
    """
    app = typer.Typer(
        name="funkflow",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        help="Factorise a ratings matrix too large for a classical SVD by following gradients, on Dask.",
    )
    app.callback(invoke_without_command=True)(_options)
    named = () if word == _LIGHT else (MODULES[word],) if word in MODULES else dict.fromkeys(MODULES.values())
    for module in named:
        import_module(f"pipeline.commands.{module}").register(app)
    paths.offer(app)
    where.offer(app)
    log_format.offer(app)
    return app


def _options(show_version: Annotated[bool, typer.Option("--version", help="print the version")] = False) -> None:
    if show_version:
        print(f"funkflow {version('funkflow')}")
        raise typer.Exit


def main() -> None:
    """Run the command and exit with its code."""
    streams.lose_no_run_to_output()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, options.interrupts.take)
    sys.exit(_exit_code(sys.argv[1:] or ["--help"]))


def _exit_code(words: list[str]) -> int:
    try:
        return int(program(words[0])(words, standalone_mode=False) or 0)
    except FunkflowError as error:
        return _failed(error, error.exit_code, error.message)
    except typer.Abort:
        return 130
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        usage = getattr(error, "format_message", None)
        if usage is not None:
            return _failed(error, 2, f"{usage()}; see funkflow --help")
        first_line = str(error).splitlines()[0] if str(error) else ""
        return _failed(error, 1, f"unexpected {type(error).__name__}: {first_line}; --debug shows where")


def _failed(error: Exception, code: int, message: str) -> int:
    trace = masked("".join(traceback.format_exception(error))) if "--debug" in sys.argv else ""
    if format_of(sys.argv[1:]) == JSON:
        said = {"event": "Failed", "message": masked(message), "exit_code": code}
        print(json_line(said | ({"traceback": trace} if trace else {})), end="", file=sys.stderr)
    else:
        print(f"{trace}funkflow: {masked(message)}", file=sys.stderr)
    return code
