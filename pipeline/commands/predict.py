"""The commands `predict`, for the pairs of a file, and `serve`, for requests over HTTP.

Covers: their options, and the error if a package of the extra `serve` is missing.
Does not cover: the predictions (pipeline/stages/predict.py), the server (pipeline/running/serving/).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from funkflow.pipeline.commands.options import (
    AsJson,
    ModelFolder,
    Resume,
    Root,
    RunOptions,
    default_root,
    interrupts,
    missing,
    print_result,
    quoted,
    watching,
)
from funkflow.pipeline.commands.stages import process_began, run_until
from funkflow.pipeline.settings.request import Request
from funkflow.tasks.errors import SettingsError
from funkflow.tasks.late import late

if TYPE_CHECKING:
    from funkflow.pipeline.running import saved_model
    from funkflow.pipeline.running.serving import follower, server
else:  # the help needs none of them
    saved_model = late("funkflow.pipeline.running.saved_model")
    follower = late("funkflow.pipeline.running.serving.follower")
    server = late("funkflow.pipeline.running.serving.server")

_IN_USE = "current"
_PACKAGES = ("fastapi", "httptools", "starlette", "uvicorn", "uvloop")


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    for command in (predict, serve):
        app.command()(command)


def predict(
    *,
    pairs: Annotated[
        str, typer.Option("--pairs", help="CSV, TSV or Parquet with user and item columns, or qualifying.txt")
    ] = "",
    model: ModelFolder = "",
    out: Annotated[str, typer.Option("--out", help="with --model: folder for the predictions")] = "predictions",
    intervals: Annotated[
        bool,
        typer.Option("--intervals", help="with deviations and intervals, by the draws of train.method = bayes"),
    ] = False,
    options: RunOptions,
    resume: Resume = True,
    as_json: AsJson = False,
) -> None:
    """Predict the ratings of given pairs, with a saved model or with the model of a run."""
    words = ["predict.intervals=true"] if intervals else []
    if model:
        settings, place = options.adding(after=words).beside_model(model)
        with watching() as watcher:
            folder = saved_model.predict_with(settings, place, pairs or missing("--pairs"), out, [interrupts, watcher])
        print_result({"predictions": folder}, as_json, f"predictions in {folder}")
        return
    words += [f"predict.pairs={quoted(pairs)}"] if pairs else []
    settings = options.adding(after=words).settings()
    if not settings.predict.pairs:
        missing("--pairs")
    run_until(settings, replace(Request.checked("predict", fresh=not resume), began=process_began()), as_json)


def serve(
    *,
    model: Annotated[
        str,
        typer.Option("--model", help="folder of a saved model; current: the model in use, and those that follow it"),
    ] = _IN_USE,
    root: Root = "",
    goal: Annotated[
        Literal["ratings", "ranking"],
        typer.Option("--goal", help="with --model current: of the models in use, that for ratings or that which ranks"),
    ] = "ranking",
    host: Annotated[str, typer.Option("--host", help="address to listen on")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", help="port to listen on; 0: any that is free", min=0, max=65535)
    ] = 8000,
    mapped: Annotated[
        str,
        typer.Option(
            "--mapped",
            help="local folder for the arrays that are mapped into memory; default: beside the model",
            show_default=False,
        ),
    ] = "",
) -> None:
    """Answer requests over HTTP: predictions, recommendations, similar items, somebody new."""
    if model != _IN_USE and root:
        raise SettingsError(f"--model takes the place of --root, which goes only with --model {_IN_USE}")
    try:
        in_use = model == _IN_USE
        choose = follower.chosen_in_use(root or default_root(), goal) if in_use else follower.chosen_folder(model)
        server.serve(choose, host, port, mapped, watching())
    except ModuleNotFoundError as cause:
        missing = (cause.name or "").split(".")[0]
        if missing not in _PACKAGES:
            raise
        raise SettingsError(f"funkflow serve needs the package {missing}: pip install 'funkflow[serve]'") from cause
