"""Commands that take ratings through stages: run, one for each stage, and synth.

Covers: their options.
Does not cover: what a run does (pipeline/flow.py), predictions (predict.py), how tables are laid out
(pipeline/results/tables.py).
"""

from __future__ import annotations

from typing import Annotated

import typer

from funkflow.pipeline.commands.options import (
    AsJson,
    Conf,
    Date,
    Debug,
    Force,
    IfNew,
    Ratings,
    Resume,
    Root,
    Sets,
    Validation,
    Wait,
    run_until,
    settings_from,
)
from funkflow.pipeline.settings.request import STAGES, Request

_STAGES = {
    "ingest": "Read raw ratings into Parquet with dense ids",
    "split": "Set validation ratings apart",
    "grid": "Cut the training ratings to a grid of blocks",
    "train": "Follow the gradients to a factor model",
    "evaluate": "Measure RMSE and MAE on the validation ratings",
    "export": "Write the trained model in its open form",
    "ranking": "Measure precision, recall and NDCG on the validation ratings",
}
NAMES = ("run", *_STAGES, "synth")
"""The commands of this file."""


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    _stage(app, "run", STAGES[-1], "Take raw ratings to a trained, validated model: every stage not done yet.")
    for name, what in _STAGES.items():
        _stage(app, name, name, f"{what} (and what it needs, unless it is there already).")
    app.command()(synth)


def _stage(app: typer.Typer, name: str, until: str, what: str) -> None:
    def command(
        conf: Conf = "",
        ratings: Ratings = None,
        validation: Validation = "",
        root: Root = "",
        sets: Sets = None,
        resume: Resume = True,
        date: Date = "",
        wait: Wait = 0.0,
        force: Force = False,
        if_new: IfNew = False,
        as_json: AsJson = False,
        debug: Debug = False,
    ) -> None:
        request = Request.checked(until, date, not resume, force, wait, if_new=if_new)
        run_until(settings_from(conf, ratings, validation, root, sets), request, as_json)

    app.command(name, help=what)(command)


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
    settings = settings_from(conf or "demo", None, "", root, [*words, *(sets or [])])
    run_until(settings, Request.checked("synth"), as_json)
