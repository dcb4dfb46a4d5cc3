"""The command `funkflow spectrum`: singular values, and how good a model is with fewer of its factors.

Covers: its options and its table. Does not cover: the numbers (stages/spectrum.py).
"""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from pipeline import flow, saved
from pipeline.commands.options import (
    AsJson,
    Conf,
    Debug,
    Ratings,
    Resume,
    Root,
    Sets,
    Validation,
    interrupts,
    print_result,
    settings_from,
    watching,
)
from pipeline.settings import Settings
from tasks import files
from tasks.errors import SettingsError

ModelFolder = Annotated[str, typer.Option("--model", help="folder of a saved model; then no settings are needed")]


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(spectrum)


def spectrum(
    conf: Conf = "",
    model: ModelFolder = "",
    fold_biases: Annotated[
        bool, typer.Option("--fold-biases", help="of the model with mean and biases as two more ranks, not of U Vᵀ")
    ] = False,
    vectors: Annotated[
        str, typer.Option("--vectors", help="new folder to write U and V to, as Parquet", show_default=False)
    ] = "",
    balanced: Annotated[bool, typer.Option("--balanced", help="with --vectors: U Σ^½ and V Σ^½")] = False,
    ratings: Ratings = None,
    validation: Validation = "",
    root: Root = "",
    sets: Sets = None,
    resume: Resume = True,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Say what each singular value of a model carries, and the validation RMSE with only the strongest of them."""
    if balanced and not vectors:
        raise SettingsError("--balanced says how --vectors are written; name a folder with --vectors")
    settings, folder, grid = model_from(conf, model, ratings, validation, root, sets, resume)
    with watching() as watcher:
        manifest = saved.spectrum_of(settings, folder, grid, fold_biases, vectors, balanced, [interrupts, watcher])
    rows = files.read_table(files.join(folder, manifest["table"])).to_pylist()
    print_result({**manifest, "model": folder, "ranks": rows}, as_json, _table(manifest, rows))


def model_from(
    conf: str, model: str, ratings: list[str] | None, validation: str, root: str, sets: list[str] | None, resume: bool
) -> tuple[Settings, str, str | None]:
    """Return settings, the folder of the model, and that of its grid where the words lead to a run.

    Raises
    ------
    SettingsError
        Both a model and settings that lead to one are named, or neither.
    """
    if model:
        if conf or ratings or validation or root:
            raise SettingsError("--model is all that is needed: leave out CONF, --ratings, --validation and --root")
        return Settings.build({}, sets or [], "command line"), model, None
    settings = settings_from(conf, ratings, validation, root, sets)
    with watching() as watcher:
        paths = flow.run(settings, until="spectrum", fresh=not resume, listeners=[interrupts, watcher]).paths
    return settings, paths["model"], paths["grid"]


def _table(manifest: dict[str, Any], rows: list[dict[str, Any]]) -> Table:
    measured = manifest["ratings"] > 0
    title = f"spectrum of {manifest['of']}" + (f", validation: {manifest['split']}" if measured else "")
    table = Table(title=title, title_justify="left", title_style="bold")
    for name in ("rank", "singular value", "energy", "cumulative", *(("RMSE", "MAE") if measured else ())):
        table.add_column(name, justify="right")
    if measured:
        table.add_row("0", "", "", "", f"{manifest['rmse']:.4f}", f"{manifest['mae']:.4f}")
    best = min((row["rmse"] for row in rows), default=None) if measured else None
    for row in rows:
        energies = (f"{row['energy']:.4f}", f"{row['cumulative_energy']:.4f}")
        scores = (f"{row['rmse']:.4f}", f"{row['mae']:.4f}") if measured else ()
        style = "bold" if measured and row["rmse"] == best else ""
        table.add_row(str(row["rank"]), f"{row['singular_value']:.4f}", *energies, *scores, style=style)
    return table
