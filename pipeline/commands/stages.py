"""The commands `run` and `synth`, and one for each stage.

Covers: their options.
Does not cover: the run (pipeline/flow.py), predictions (predict.py), the form of tables (pipeline/results/tables.py).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from funkflow.pipeline.commands.options import AsJson, Date, Force, IfNew, Resume, RunOptions, Wait, run_until
from funkflow.pipeline.settings.request import STAGES, Request

_STAGES = {
    "ingest": "Read raw ratings into Parquet with dense ids",
    "split": "Hold out the validation ratings",
    "grid": "Divide the training ratings into a grid of blocks",
    "train": "Train the factors of the model",
    "evaluate": "Measure RMSE and MAE on the validation ratings",
    "export": "Write the trained model in open formats",
    "ranking": "Measure how lists of items match the validation ratings: precision, recall, NDCG and more",
}
NAMES = ("run", *_STAGES, "synth")
"""The commands of this file."""


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    _stage(app, "run", STAGES[-1], "Train and validate a model on raw ratings: run every stage that is not done yet.")
    for name, what in _STAGES.items():
        _stage(app, name, name, f"{what}, after the stages that this needs, unless they are done.")
    app.command()(synth)


def _stage(app: typer.Typer, name: str, until: str, what: str) -> None:
    def command(
        *,
        options: RunOptions,
        resume: Resume = True,
        date: Date = "",
        wait: Wait = 0.0,
        force: Force = False,
        if_new: IfNew = False,
        as_json: AsJson = False,
    ) -> None:
        request = Request.checked(until, date, fresh=not resume, force=force, wait_seconds=wait, if_new=if_new)
        run_until(options.settings(), request, as_json)

    app.command(name, help=what)(command)


def synth(
    *,
    shape: Annotated[
        str, typer.Option("--shape", help="demo, or netflix: 480,189 users x 17,770 films, 100,480,507 ratings")
    ] = "",
    fraction: Annotated[
        float | None,
        typer.Option("--fraction", help="fraction of the ratings, users and films of the shape", show_default=False),
    ] = None,
    options: Annotated[RunOptions, "ratings", "validation"],
    as_json: AsJson = False,
) -> None:
    """Write synthetic ratings in Netflix form, with a probe file, around a planted model of known error."""
    words = [f"synth.{name}={value}" for name, value in (("shape", shape), ("fraction", fraction)) if value]
    chosen = replace(options, conf=options.conf or "demo").adding(before=words)
    run_until(chosen.settings(), Request.checked("synth"), as_json)
