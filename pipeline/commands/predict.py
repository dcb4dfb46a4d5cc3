"""The command `predict`: ratings of given pairs, with a saved model or the model of a run.

Covers: its options.
Does not cover: the predictions (pipeline/stages/predict.py).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from funkflow.pipeline.commands.options import (
    AsJson,
    ModelFolder,
    Resume,
    RunOptions,
    interrupts,
    missing,
    print_result,
    quoted,
    watching,
)
from funkflow.pipeline.commands.stages import process_began, run_until
from funkflow.pipeline.settings.request import Request
from funkflow.tasks.late import late

if TYPE_CHECKING:
    from funkflow.pipeline.running import saved_model
else:  # the help needs none of them
    saved_model = late("funkflow.pipeline.running.saved_model")


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(predict)


def predict(
    *,
    pairs: Annotated[
        str, typer.Option("--pairs", help="CSV, TSV or Parquet with user and item columns, or qualifying.txt")
    ] = "",
    model: ModelFolder = "",
    out: Annotated[str, typer.Option("--out", help="with --model: folder for the predictions")] = "predictions",
    options: RunOptions,
    resume: Resume = True,
    as_json: AsJson = False,
) -> None:
    """Predict the ratings of given pairs, with a saved model or with the model of a run."""
    if model:
        settings, place = options.beside_model(model)
        with watching() as watcher:
            folder = saved_model.predict_with(settings, place, pairs or missing("--pairs"), out, [interrupts, watcher])
        print_result({"predictions": folder}, as_json, f"predictions in {folder}")
        return
    settings = options.adding(after=[f"predict.pairs={quoted(pairs)}"] if pairs else []).settings()
    if not settings.predict.pairs:
        missing("--pairs")
    run_until(settings, replace(Request.checked("predict", fresh=not resume), began=process_began()), as_json)
