"""What commands share: the words that many of them take, the settings these lead to, and how a result is printed.

Covers: common options, progress, and running stages up to one of them.
Does not cover: the commands themselves (beside this file), exit codes (pipeline/cli.py), how tables look
(pipeline/results/tables.py).
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from importlib.metadata import version
from typing import Annotated, Any

import psutil
import typer
from rich.console import Console

import funkflow
from funkflow.pipeline.commands.interrupts import interrupts as interrupts
from funkflow.pipeline.progress.events import Noticed
from funkflow.pipeline.progress.lines import Lines, format_of
from funkflow.pipeline.progress.terminal import watcher
from funkflow.pipeline.results import tables
from funkflow.pipeline.root.model_in_use import in_use, model_of
from funkflow.pipeline.root.result import RunResult
from funkflow.pipeline.running.execution import Execution, execute
from funkflow.pipeline.settings.presets import refuse_missing_data
from funkflow.pipeline.settings.request import Request
from funkflow.pipeline.settings.sections import Settings
from funkflow.tasks.errors import ModelRefused, SettingsError
from funkflow.tasks.redact import masked, masked_content

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
ModelFolder = Annotated[
    str,
    typer.Option(
        "--model",
        help="folder of a saved model, instead of CONF; current: the one in use under --root",
        show_default=False,
    ),
]
Date = Annotated[
    str,
    typer.Option(
        "--date", metavar="YYYY-MM-DD", help="the logical date, {date} in paths; empty: today, UTC", show_default=False
    ),
]
Wait = Annotated[
    float, typer.Option("--wait", metavar="SECONDS", help="wait so long for another run under this root to end")
]
IfNew = Annotated[
    bool,
    typer.Option(
        "--if-new", help="end at once, with 0, if no input came or changed since these settings last ended well"
    ),
]
Force = Annotated[bool, typer.Option("--force", help="redo every stage, but for the raw data")]
AsJson = Annotated[bool, typer.Option("--json", help="print one JSON object as the last line on stdout")]
Debug = Annotated[bool, typer.Option("--debug", help="show a traceback with an error")]

_IN_USE = "current"


def settings_from(conf: str, ratings: list[str] | None, validation: str, root: str, sets: list[str] | None) -> Settings:
    """Return the settings that the words of a command line lead to.

    Raises
    ------
    SettingsError
        Nothing says what to run, or a setting is wrong.
    """
    if not conf and not ratings:
        raise SettingsError("nothing to run: name a settings file or preset (funkflow run demo), or --ratings PATH")
    words = [
        *([f"root={quoted(root)}"] if root else []),
        *([f"ingest.ratings={quoted(ratings)}"] if ratings else []),
    ]
    if validation:
        words += ["split.kind=file", f"split.file={quoted(validation)}"]
    words += sets or []
    if conf and ratings:
        return Settings.load_with_ratings(conf, words, validation=bool(validation))
    settings = Settings.load(conf, words) if conf else Settings.build({}, words, "command line")
    refuse_missing_data(conf, settings.ingest.ratings)
    return settings


def settings_beside_model(
    conf: str, model: str, ratings: list[str] | None, validation: str, root: str, sets: list[str] | None
) -> tuple[Settings, str]:
    """Return the settings of a command that is given a model's folder, and that folder.

    Words that lead to another model are refused; `current` is the model in use under the root.
    """
    if conf or ratings or validation or (root and model != _IN_USE):
        raise SettingsError(
            "--model is all that is needed: leave out CONF, --ratings and --validation, and --root but with "
            f"--model {_IN_USE}"
        )
    if model == _IN_USE:
        place = root or default_root()
        model = model_of(place, in_use(place).run_id)
    return Settings.build({}, sets or [], "command line"), model


def default_root() -> str:
    """Return where everything is written under unless something else is said."""
    return str(Settings.model_fields["root"].default)


def model_from(
    conf: str, model: str, ratings: list[str] | None, validation: str, root: str, sets: list[str] | None, resume: bool,
    until: str = "spectrum",
) -> tuple[Settings, str, str | None]:  # fmt: skip
    """Return settings, the folder of the model, and that of its grid where the words lead to a run.

    until : the last stage of that run.

    Raises
    ------
    SettingsError
        Both a model and settings that lead to one are named, or neither.
    """
    if model:
        return *settings_beside_model(conf, model, ratings, validation, root, sets), None
    settings = settings_from(conf, ratings, validation, root, sets)
    with watching() as shown:
        paths = funkflow.run(settings, until=until, fresh=not resume, listeners=[interrupts, shown]).paths
    return settings, paths["model"], paths["grid"]


def quoted(value: str | list[str]) -> str:
    """Write a value as TOML, which refuses the surrogate pairs of plain JSON."""
    return json.dumps(value, ensure_ascii=False)


def missing(option: str) -> str:
    """Refuse a command without the option that names its file of pairs."""
    raise SettingsError(f"{option} is missing: name a file of (user, item) pairs")


def watching() -> Lines:
    """Return the listener that shows progress on standard error."""
    return watcher(Console(stderr=True), format_of(sys.argv[1:]))


def run_until(settings: Settings, request: Request, as_json: bool) -> None:
    """Run every stage asked for that is not done yet, and print the result, that of a refused model too."""
    begun: list[Execution] = []
    request = replace(request, began=process_began())

    def work(execution: Execution) -> RunResult:
        begun.append(execution)
        return funkflow.work(execution)

    def show(result: RunResult, root: str = "") -> None:
        print_result(result.to_dict(), as_json, tables.result_table(result, root))

    try:
        with watching() as shown:
            shown(Noticed(f"funkflow {version('funkflow')}: up to {request.until}, root {masked(settings.root)}"))
            result = execute(settings, request, [interrupts, shown], work)
    except ModelRefused:
        show(begun[0].result)
        raise
    show(result, settings.root if "model" in result.paths and request.reaches("report") else "")


def process_began() -> float:
    """Return when this process began, by the monotonic clock: a user's seconds count from there, imports included."""
    return time.monotonic() - (time.time() - psutil.Process().create_time())


def print_result(content: dict[str, Any], as_json: bool, table: Any) -> None:
    """Print a result as one line of JSON, or as a table."""
    if as_json:
        print(json.dumps(masked_content(content)))
    else:
        Console().print(table, soft_wrap=True, highlight=False)
