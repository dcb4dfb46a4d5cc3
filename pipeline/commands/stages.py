"""The commands `run` and `synth`, and one for each stage; `export` also writes a saved model in another form.

Covers: their options.
Does not cover: the run (pipeline/flow.py), predictions (predict.py), the form of tables (pipeline/results/tables.py),
the other forms of a model (pipeline/models/saved_forms.py).
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

import typer

import funkflow
from funkflow.pipeline.commands.options import (
    AsJson,
    Date,
    Force,
    Goal,
    IfNew,
    ModelFolder,
    Resume,
    RunOptions,
    Wait,
    interrupts,
    model_from,
    print_result,
    watching,
)
from funkflow.pipeline.settings.request import STAGES, Request
from funkflow.tasks.errors import ModelRefused, SettingsError
from funkflow.tasks.late import late
from funkflow.tasks.redact import masked

if TYPE_CHECKING:
    import psutil

    from funkflow.pipeline.cluster import one_process
    from funkflow.pipeline.models import saved_forms
    from funkflow.pipeline.progress import events
    from funkflow.pipeline.results import tables
    from funkflow.pipeline.root.result import RunResult
    from funkflow.pipeline.running import execution as executions
    from funkflow.pipeline.settings.sections import Settings
    from funkflow.tasks.storage import arrow_arrays
else:  # the help of a command needs none of them
    psutil, events = late("psutil"), late("funkflow.pipeline.progress.events")
    tables, executions = late("funkflow.pipeline.results.tables"), late("funkflow.pipeline.running.execution")
    arrow_arrays = late("funkflow.tasks.storage.arrow_arrays")
    one_process = late("funkflow.pipeline.cluster.one_process")
    saved_forms = late("funkflow.pipeline.models.saved_forms")

_STAGES = {
    "ingest": "Read raw ratings into Parquet with dense ids",
    "split": "Hold out the validation ratings",
    "grid": "Divide the training ratings into a grid of blocks",
    "train": "Train the factors of the model",
    "evaluate": "Measure RMSE and MAE on the validation ratings",
    "ranking": "Measure how lists of items match the validation ratings: precision, recall, NDCG and more",
}


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    _stage(app, "run", STAGES[-1], "Train and validate a model on raw ratings: run every stage that is not done yet.")
    for name, what in _STAGES.items():
        _stage(app, name, name, f"{what}, after the stages that this needs, unless they are done.")
    for command in (export, synth):
        app.command()(command)


def _stage(app: typer.Typer, name: str, until: str, what: str) -> None:
    def command(
        *,
        options: RunOptions,
        goal: Goal = None,
        resume: Resume = True,
        date: Date = "",
        wait: Wait = 0.0,
        force: Force = False,
        if_new: IfNew = False,
        as_json: AsJson = False,
    ) -> None:
        request = Request.checked(until, date, fresh=not resume, force=force, wait_seconds=wait, if_new=if_new)
        run_for(options.settings_for(goal), request, as_json)

    app.command(name, help=what)(command)


def export(
    *,
    model: ModelFolder = "",
    form: Annotated[
        Literal["npz", "safetensors", "onnx"] | None,
        typer.Option("--form", help="with --out: form for another program", show_default=False),
    ] = None,
    out: Annotated[str, typer.Option("--out", help="with --form: the file to write", show_default=False)] = "",
    options: RunOptions,
    goal: Goal = None,
    resume: Resume = True,
    date: Date = "",
    wait: Wait = 0.0,
    force: Force = False,
    if_new: IfNew = False,
    as_json: AsJson = False,
) -> None:
    """Write the trained model in open formats, after the stages that this needs, unless they are done.

    With --form and --out, write the model of CONF, or a saved one (--model), as one file for another program.
    """
    if not (model or form or out):
        request = Request.checked("export", date, fresh=not resume, force=force, wait_seconds=wait, if_new=if_new)
        run_for(options.settings_for(goal), request, as_json)
        return
    if form is None or not out:
        raise SettingsError("--form and --out go together: name a form (npz, safetensors or onnx) and a file")
    if date or wait or force or if_new or goal == "both":
        raise SettingsError(
            "--date, --wait, --force, --if-new and --goal both are for a run alone: leave them out, or --form and --out"
        )
    wanted = options.adding(after=[f"train.goal={goal}"] if goal and not model else [])
    _, folder, _ = model_from(wanted, model, resume, until="export", goal=goal or "ratings")
    content = saved_forms.write_form(folder, form, out)
    size = f"{content['users']:,} users x {content['items']:,} items, rank {content['rank']}"
    print_result({"model": folder, "file": out, **content}, as_json, f"{masked(out)}: {size}")


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
    run_for([chosen.settings()], Request.checked("synth"), as_json)


def run_for(chosen: Sequence[Settings], request: Request, as_json: bool) -> None:
    """Run every requested stage that is not done yet, once for each of the settings.

    After a model that its gate refuses, the next one has its run all the same.

    Raises
    ------
    ModelRefused
        A gate refused a model: the first one.
    """
    refusals: list[ModelRefused] = []
    began = process_began()
    for settings in chosen:
        try:
            run_until(settings, replace(request, began=began), as_json)
        except ModelRefused as refusal:
            refusals.append(refusal)
        began = time.monotonic()
    if refusals:
        raise refusals[0]


def run_until(settings: Settings, request: Request, as_json: bool) -> None:
    """Run every requested stage that is not done yet, and print the result, even if the gate refuses the model."""
    begun: list[executions.Execution] = []

    def work(execution: executions.Execution) -> RunResult:
        begun.append(execution)
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # as in worker processes; before Arrow is loaded
        arrow_arrays.leave_pandas_out()
        one_process.allocate_sparingly()
        return funkflow.work(execution)

    def show(result: RunResult, root: str = "") -> None:
        print_result(result.to_dict(), as_json, tables.result_table(result, root))

    try:
        with watching() as shown:
            what = f"up to {request.until}, root {masked(settings.root)}"
            shown(events.Noticed(f"funkflow {funkflow.__version__}: {what}"))
            result = executions.execute(settings, request, [interrupts, shown], work)
    except ModelRefused:
        show(begun[0].result)
        raise
    show(result, settings.root if "model" in result.paths and request.reaches("report") else "")


def process_began() -> float:
    """Return the start of this process on the monotonic clock, so that a run's seconds include imports."""
    return time.monotonic() - (time.time() - psutil.Process().create_time())
