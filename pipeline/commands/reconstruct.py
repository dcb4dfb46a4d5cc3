"""The commands `reconstruct`, A_ρ in part or whole, and `index`, the items for approximate search.

Covers: their options; cells, rows, columns and blocks on standard output as CSV; the whole matrix or an index to files.
Does not cover: the numbers (tasks/model/low_rank.py), writing the whole matrix (pipeline/stages/reconstruct.py), or the
index (pipeline/models/item_index.py).
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

    from funkflow.pipeline.models import item_index
    from funkflow.pipeline.running import saved_model
    from funkflow.pipeline.stages import reconstruct as stage
    from funkflow.tasks.parsing import pairs as pairs_files
    from funkflow.tasks.storage import faiss_index
else:  # the help needs none of them
    np = late("numpy")
    pd = late("pandas")
    item_index = late("funkflow.pipeline.models.item_index")
    saved_model = late("funkflow.pipeline.running.saved_model")
    stage = late("funkflow.pipeline.stages.reconstruct")
    faiss_index = late("funkflow.tasks.storage.faiss_index")
    pairs_files = late("funkflow.tasks.parsing.pairs")

_Ids = list[str] | None


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    for command in (reconstruct, index):
        app.command()(command)


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


def index(
    *,
    model: ModelFolder = "",
    out: Annotated[str, typer.Option("--out", help="folder for the index", show_default=False)] = "",
    recall: Annotated[
        float, typer.Option("--recall", help="part of the 100 best items that a search finds, at least; 1: all")
    ] = 0.99,
    users: Annotated[int, typer.Option("--users", help="sampled users to measure the recall on")] = 1000,
    options: RunOptions,
    resume: Resume = True,
    as_json: AsJson = False,
) -> None:
    """Write the items as an index of faiss, for approximate search by inner product, with raw ids beside it."""
    if not out:
        raise SettingsError("--out is missing: name a folder for the index")
    if not 0 < recall <= 1:
        raise SettingsError(f"--recall {recall}: must be above 0 and at most 1")
    if users < 2:
        raise SettingsError(f"--users {users}: half of them choose and half measure, so ask for at least 2")
    faiss_index.require_faiss()
    _, folder, _ = model_from(options, model, resume, until="export", goal="ranking")
    manifest, times = item_index.write_item_index(folder, out, recall, users)
    content = {name: value for name, value in manifest.content().items() if name not in ("files", "checksums")}
    found = ", ".join(f"recall@{count} {value:.4f}" for count, value in manifest.recall.items())
    words = f"{out}: {manifest.items:,} items, {manifest.probed:,} of {manifest.lists:,} lists a search; {found}"
    words += f", {manifest.users:,} users"
    if times:
        content["milliseconds"] = {"index": times.index, "exact": times.exact}
        words += f"; {times.index:.2f} ms a search, {times.exact:.2f} ms among all items"
    print_result({**content, "folder": out}, as_json, words)


def _id_array(ids: list[str], kind: str, option: str) -> npt.NDArray[Any]:
    if kind == "string":
        return np.array(ids, dtype=object)
    try:
        return np.array([int(each) for each in ids], dtype=np.int64)
    except ValueError as cause:
        raise SettingsError(f"{option} {', '.join(ids)}: the ids of this model are integers; {cause}") from cause
