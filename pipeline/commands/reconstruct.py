"""The command `reconstruct`: A_ρ, the model with its ρ strongest factors, in part or whole.

Covers: its options; cells, rows, columns and blocks on standard output as CSV; the whole matrix to files.
Does not cover: the numbers (tasks/model/low_rank.py), writing the whole matrix (pipeline/stages/reconstruct.py).
"""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

import funkflow
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
from funkflow.tasks.errors import SettingsError
from funkflow.tasks.late import late

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from funkflow.pipeline.running import saved_model
    from funkflow.pipeline.stages import reconstruct as stage
    from funkflow.tasks.parsing import pairs as pairs_files
else:  # the help needs none of them
    np = late("numpy")
    pd = late("pandas")
    saved_model = late("funkflow.pipeline.running.saved_model")
    stage = late("funkflow.pipeline.stages.reconstruct")
    pairs_files = late("funkflow.tasks.parsing.pairs")

_Ids = list[str] | None


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(reconstruct)


def reconstruct(
    *,
    model: ModelFolder = "",
    user: Annotated[_Ids, typer.Option("--user", help="raw id of a user, for a row; may be repeated")] = None,
    item: Annotated[_Ids, typer.Option("--item", help="raw id of an item, for a column; may be repeated")] = None,
    pairs: Annotated[
        str, typer.Option("--pairs", help="file of (user, item) pairs, for single cells", show_default=False)
    ] = "",
    rank: Annotated[int | None, typer.Option("--rank", help="number of strongest factors; default: all")] = None,
    clip: Annotated[bool, typer.Option("--clip/--no-clip", help="clip to the scale of the ratings")] = True,
    out: Annotated[
        str,
        typer.Option("--out", help="folder for the whole matrix; keeps the files already there", show_default=False),
    ] = "",
    form: Annotated[Literal["parquet", "zarr"], typer.Option("--form", help="format of the whole matrix")] = "parquet",
    options: RunOptions,
    resume: Resume = True,
    as_json: AsJson = False,
) -> None:
    """Compute cells, rows, columns or a block from the strongest factors, as CSV; or write all to files."""
    in_part = bool(user or item or pairs)
    if in_part == bool(out):
        raise SettingsError("name a part (--user, --item or --pairs), or a folder for the whole matrix (--out)")
    if pairs and (user or item):
        raise SettingsError("--pairs names single cells; leave out --user and --item")
    settings, folder, _ = model_from(options, model, resume)
    if out:
        with watching() as watcher:
            chosen = stage.ReconstructOptions(form, rank, clip)
            manifest = saved_model.reconstruct_with(settings, folder, out, chosen, listeners=[interrupts, watcher])
        content = {name: value for name, value in manifest.content().items() if name != "files"}
        print_result({**content, "folder": out}, as_json, f"{out}: {manifest.users:,} users x {manifest.items:,} items")
        return
    loaded = funkflow.Model.load(folder)
    kinds = loaded.about["id_types"]
    if pairs:
        columns = (settings.ingest.columns.user, settings.ingest.columns.item)
        table = pairs_files.read_pairs(pairs, kinds["user"], kinds["item"], columns, settings.ingest.quoting).table
        users, items = (table[name].to_numpy() for name in ("user", "item"))
        ratings = loaded.reconstruct(users, items, rank, clip, cells=True)
        frame = pd.DataFrame({"user": users, "item": items, "rating": ratings})
    else:
        users = _id_array(user, kinds["user"], "--user") if user else loaded.user_ids
        items = _id_array(item, kinds["item"], "--item") if item else loaded.item_ids
        ratings = loaded.reconstruct(users, items, rank, clip)
        frame = pd.DataFrame(ratings, index=pd.Index(users, name="user"), columns=items).reset_index()
    if as_json:
        print(json.dumps({"users": users.tolist(), "items": items.tolist(), "ratings": ratings.tolist()}))
        return
    text = io.StringIO()
    frame.to_csv(text, index=False, float_format="%.4f")
    print(text.getvalue(), end="")


def _id_array(ids: list[str], kind: str, option: str) -> npt.NDArray[Any]:
    if kind == "string":
        return np.array(ids, dtype=object)
    try:
        return np.array([int(each) for each in ids], dtype=np.int64)
    except ValueError as cause:
        raise SettingsError(f"{option} {', '.join(ids)}: the ids of this model are integers; {cause}") from cause
