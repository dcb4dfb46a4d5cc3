"""The command `funkflow`: words in, exit codes out.

Covers: commands and options, how errors look, and the exit codes: 0 done, 1 failed, 2 settings or usage, 3 bad input
data, 4 cannot fit, 75 try again later, 130/143 interrupted and resumable.
Does not cover: what a run does (flow.py), how tables and plans are laid out (tables.py, plan.py).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from importlib.metadata import version
from types import FrameType
from typing import Annotated, Any

import typer
from rich.console import Console

from pipeline import flow, tables
from pipeline.plan import plan_of
from pipeline.runtime.events import Event, Noticed
from pipeline.runtime.progress import Watcher
from pipeline.settings import Settings
from tasks.errors import FunkflowError, SettingsError

app = typer.Typer(
    name="funkflow",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Factorise a ratings matrix too large for a classical SVD by following gradients, on Dask.",
)

Conf = Annotated[
    str,
    typer.Argument(
        metavar="[CONF]",
        help="a preset (demo, movielens-1m, movielens-100k, netflix) or the path of a .toml file",
        show_default=False,
    ),
]
Ratings = Annotated[
    list[str] | None,
    typer.Option(
        "--ratings",
        help="ratings to read instead of, or without, a settings file: "
        "file, folder, archive, glob or URL; may be repeated",
    ),
]
Validation = Annotated[
    str,
    typer.Option("--validation", help="file of pairs or ratings to validate on, such as probe.txt", show_default=False),
]
Root = Annotated[str, typer.Option("--root", help="folder or URL that everything is written under", show_default=False)]
Sets = Annotated[
    list[str] | None, typer.Option("--set", help="override one setting, as in --set train.rank=128; may be repeated")
]
Resume = Annotated[
    bool, typer.Option("--resume/--fresh", help="go on from the last good checkpoint, or forget it and train anew")
]
AsJson = Annotated[bool, typer.Option("--json", help="print one JSON object as the last line on stdout")]
Debug = Annotated[bool, typer.Option("--debug", help="show a traceback with an error")]


def _run_command(name: str, until: str, what: str) -> None:
    def command(
        conf: Conf = "",
        ratings: Ratings = None,
        validation: Validation = "",
        root: Root = "",
        sets: Sets = None,
        resume: Resume = True,
        as_json: AsJson = False,
        debug: Debug = False,
    ) -> None:
        _run(until, _settings(conf, ratings, validation, root, sets), resume, as_json)

    app.command(name, help=what)(command)


_run_command("run", "predict", "Take raw ratings to a trained, validated model: every stage that is not done yet.")
for _stage, _what in {
    "ingest": "Read raw ratings into Parquet with dense ids",
    "split": "Set validation ratings apart",
    "grid": "Cut the training ratings to a grid of blocks",
    "train": "Follow the gradients to a factor model",
    "evaluate": "Measure RMSE and MAE on the validation ratings",
    "export": "Write the trained model in its open form",
}.items():
    _run_command(_stage, _stage, f"{_what} (and what it needs, unless it is there already).")


@app.command()
def synth(
    conf: Conf = "",
    shape: Annotated[
        str, typer.Option("--shape", help="demo, or netflix: 480,189 users x 17,770 films, 100,480,507 ratings")
    ] = "",
    fraction: Annotated[
        float | None,
        typer.Option("--fraction", help="part of the shape's ratings, users and films", show_default=False),
    ] = None,
    root: Root = "",
    sets: Sets = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Write synthetic ratings in Netflix form, with a probe, around a planted model whose error is known."""
    words = [f"synth.{name}={value}" for name, value in (("shape", shape), ("fraction", fraction)) if value]
    _run("synth", _settings(conf or "demo", None, "", root, [*words, *(sets or [])]), True, as_json)


@app.command()
def predict(
    conf: Conf = "",
    pairs: Annotated[
        str, typer.Option("--pairs", help="CSV, TSV or Parquet with user and item columns, or qualifying.txt")
    ] = "",
    model: Annotated[str, typer.Option("--model", help="folder of a saved model; then no settings are needed")] = "",
    out: Annotated[str, typer.Option("--out", help="folder for the predictions, with --model")] = "predictions",
    ratings: Ratings = None,
    validation: Validation = "",
    root: Root = "",
    sets: Sets = None,
    resume: Resume = True,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Predict the ratings of given pairs, with a saved model or with the one that the settings lead to."""
    if model:
        if conf or ratings or validation or root:
            raise SettingsError("--model is all that is needed: leave out CONF, --ratings, --validation and --root")
        settings = Settings.build({}, sets or [], "command line")
        with _watcher() as watcher:
            folder = flow.predict_with(settings, model, pairs or _missing("--pairs"), out, [_interrupts, watcher])
        _print_result({"predictions": folder}, as_json, f"predictions in {folder}")
        return
    words = [*(sets or []), *([f"predict.pairs={_quoted(pairs)}"] if pairs else [])]
    settings = _settings(conf, ratings, validation, root, words)
    if not settings.predict.pairs:
        _missing("--pairs")
    _run("predict", settings, resume, as_json)


@app.command()
def plan(
    conf: Conf = "",
    ratings: Ratings = None,
    validation: Validation = "",
    root: Root = "",
    sets: Sets = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Say what a run would do and need; refuse, with both numbers, what cannot fit."""
    planned = plan_of(_settings(conf, ratings, validation, root, sets))
    _print_result(planned.to_dict(), as_json, tables.plan_table(planned))
    planned.refuse()


@app.callback(invoke_without_command=True)
def _options(show_version: Annotated[bool, typer.Option("--version", help="print the version")] = False) -> None:
    if show_version:
        print(f"funkflow {version('funkflow')}")
        raise typer.Exit


def main() -> None:
    """Run the command and exit with its code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, _interrupts.take)
    sys.exit(_exit_code(sys.argv[1:] or ["--help"]))


class _Interrupts:
    """Ctrl-C stops the run in good order; a second one stops it at once.

    It is also a listener: an interrupt that is raised where Python cannot pass it on (in a garbage collection, for
    instance) is lost, so it is raised again at the run's next event.
    """

    def __init__(self) -> None:
        self.asked = False

    def __call__(self, event: Event) -> None:
        if self.asked and not isinstance(event, Noticed):
            raise KeyboardInterrupt

    def take(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked:
            os._exit(130)
        self.asked = True
        raise KeyboardInterrupt


_interrupts = _Interrupts()


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
        traceback.print_exception(error)
    print(f"funkflow: {message}", file=sys.stderr)
    return code


def _settings(conf: str, ratings: list[str] | None, validation: str, root: str, sets: list[str] | None) -> Settings:
    if not conf and not ratings:
        raise SettingsError("nothing to run: name a settings file or preset (funkflow run demo), or --ratings PATH")
    words = [
        *([f"root={_quoted(root)}"] if root else []),
        *([f"ingest.ratings={_quoted(ratings)}"] if ratings else []),
    ]
    if validation:
        words += ["split.kind=file", f"split.file={_quoted(validation)}"]
    words += sets or []
    if conf and ratings:
        return Settings.load_with_ratings(conf, words, validation=bool(validation))
    return Settings.load(conf, words) if conf else Settings.build({}, words, "command line")


def _quoted(value: str | list[str]) -> str:
    """Write a value as TOML, which refuses the surrogate pairs of plain JSON."""
    return json.dumps(value, ensure_ascii=False)


def _missing(option: str) -> str:
    raise SettingsError(f"{option} is missing: name a file of (user, item) pairs")


def _watcher() -> Watcher:
    return Watcher(Console(stderr=True))


def _run(until: str, settings: Settings, resume: bool, as_json: bool) -> None:
    with _watcher() as watcher:
        result = flow.run(settings, until=until, fresh=not resume, listeners=[_interrupts, watcher])
    _print_result(result.to_dict(), as_json, tables.result_table(result))


def _print_result(content: dict[str, Any], as_json: bool, table: Any) -> None:
    if as_json:
        print(json.dumps(content))
    else:
        Console().print(table, soft_wrap=True, highlight=False)
