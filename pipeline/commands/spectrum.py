"""The command `spectrum`: singular values of a model, and its error with fewer factors.

Covers: its options and its table. Does not cover: the numbers (pipeline/stages/spectrum.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from funkflow.pipeline.commands.options import (
    AsJson,
    ModelFolder,
    Resume,
    RunOptions,
    interrupts,
    model_from,
    print_result,
    watching,
)
from funkflow.tasks.digits import rounded
from funkflow.tasks.errors import SettingsError
from funkflow.tasks.late import late

if TYPE_CHECKING:
    from rich.table import Table

    from funkflow.pipeline.results import tables
    from funkflow.pipeline.root.model_manifests import Spectrum
    from funkflow.pipeline.running import saved_model
    from funkflow.tasks.storage import files
else:  # the help needs none of them
    tables = late("funkflow.pipeline.results.tables")
    saved_model = late("funkflow.pipeline.running.saved_model")
    files = late("funkflow.tasks.storage.files")


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(spectrum)


def spectrum(
    *,
    model: ModelFolder = "",
    fold_biases: Annotated[
        bool, typer.Option("--fold-biases", help="decompose the model with mean and biases as two more ranks, not U Vᵀ")
    ] = False,
    vectors: Annotated[
        str, typer.Option("--vectors", help="new folder for U and V, as Parquet", show_default=False)
    ] = "",
    balanced: Annotated[bool, typer.Option("--balanced", help="with --vectors: write U Σ^½ and V Σ^½")] = False,
    options: RunOptions,
    resume: Resume = True,
    as_json: AsJson = False,
) -> None:
    """Show the energy of each singular value of a model, and the validation RMSE with the strongest ones alone."""
    if balanced and not vectors:
        raise SettingsError("--balanced goes with --vectors: name a folder with --vectors")
    settings, folder, grid = model_from(options, model, resume)
    with watching() as watcher:
        manifest = saved_model.spectrum_of(
            settings, folder, grid, fold_biases, vectors, balanced=balanced, listeners=[interrupts, watcher]
        )
    table = manifest.table
    rows = files.read_table(files.join(folder, table), None, manifest.checksums[table]).to_pylist()
    print_result({**manifest.content(), "model": folder, "ranks": rows}, as_json, _spectrum_table(manifest, rows))


def _spectrum_table(manifest: Spectrum, rows: list[dict[str, float]]) -> Table:
    measured = manifest.ratings > 0
    beside = (manifest.rmse, manifest.mae) if measured else ()
    title = f"spectrum of {manifest.of}" + (f", validation: {manifest.split}" if measured else "")
    heads = ("rank", "singular value", "energy", "cumulative", *(("RMSE", "MAE") if measured else ()))
    shown = []
    if measured:
        shown.append(("0", "", "", "", *(rounded(each, *beside) for each in beside)))
    strongest = max((row["singular_value"] for row in rows), default=0.0)
    best = min((row["rmse"] for row in rows), default=None) if measured else None
    for row in rows:
        energies = (f"{row['energy']:.4f}", f"{row['cumulative_energy']:.4f}")
        scores = [rounded(row[name], *beside) for name in ("rmse", "mae")] if measured else []
        shown.append((str(row["rank"]), rounded(row["singular_value"], strongest), *energies, *scores))
    strong = [str(row["rank"]) for row in rows if measured and row["rmse"] == best]
    return tables.text_table(heads, shown, title, right_from=0, bold=strong)
