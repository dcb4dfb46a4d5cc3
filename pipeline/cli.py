"""The command `funkflow`: words in, exit codes out.

Covers: which commands there are, how errors look, and the exit codes: 0 done, 1 failed, 2 settings or usage, 3 bad
input data, 4 cannot fit, 75 try again later, 130/143 interrupted and resumable.
Does not cover: what a command takes and does (commands/).
"""

from __future__ import annotations

import signal
import sys
import traceback
from importlib.metadata import version
from typing import Annotated

import typer

from pipeline.commands import compare, gradients, options, plan, recommend, reconstruct, spectrum, stages, where
from tasks.errors import FunkflowError
from tasks.masking import masked

app = typer.Typer(
    name="funkflow",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Factorise a ratings matrix too large for a classical SVD by following gradients, on Dask.",
)
for _commands in (stages, plan, spectrum, reconstruct, recommend, compare, gradients):
    _commands.register(app)
where.offer(app)


@app.callback(invoke_without_command=True)
def _options(show_version: Annotated[bool, typer.Option("--version", help="print the version")] = False) -> None:
    if show_version:
        print(f"funkflow {version('funkflow')}")
        raise typer.Exit


def main() -> None:
    """Run the command and exit with its code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, options.interrupts.take)
    sys.exit(_exit_code(sys.argv[1:] or ["--help"]))


def _exit_code(words: list[str]) -> int:
    try:
        return int(app(words, standalone_mode=False) or 0)
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
    if "--debug" in sys.argv:
        print(masked("".join(traceback.format_exception(error))), end="", file=sys.stderr)
    print(f"funkflow: {masked(message)}", file=sys.stderr)
    return code
