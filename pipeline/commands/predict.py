"""The command that predicts: given pairs, with a saved model or with the one that settings lead to.

Covers: its options.
Does not cover: the predictions themselves (pipeline/stages/predict.py).
"""

from __future__ import annotations

from typing import Annotated

import typer

from funkflow.pipeline.commands.options import (
    AsJson,
    Conf,
    Debug,
    ModelFolder,
    Ratings,
    Resume,
    Root,
    Sets,
    Validation,
    interrupts,
    missing,
    print_result,
    quoted,
    run_until,
    settings_beside_model,
    settings_from,
    watching,
)
from funkflow.pipeline.running import saved_model
from funkflow.pipeline.settings.request import Request


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(predict)


def predict(
    conf: Conf = "",
    pairs: Annotated[
        str, typer.Option("--pairs", help="CSV, TSV or Parquet with user and item columns, or qualifying.txt")
    ] = "",
    model: ModelFolder = "",
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
        settings, place = settings_beside_model(conf, model, ratings, validation, root, sets)
        with watching() as watcher:
            folder = saved_model.predict_with(settings, place, pairs or missing("--pairs"), out, [interrupts, watcher])
        print_result({"predictions": folder}, as_json, f"predictions in {folder}")
        return
    words = [*(sets or []), *([f"predict.pairs={quoted(pairs)}"] if pairs else [])]
    settings = settings_from(conf, ratings, validation, root, words)
    if not settings.predict.pairs:
        missing("--pairs")
    run_until(settings, Request.checked("predict", fresh=not resume), as_json)
