"""Export: the trained shards as an open model that other programs can read.

Covers: one task a shard, after one a side that cuts the raw ids by shard; and `model.json`, which says what was
trained, on what, and how well it did.
Does not cover: the form itself (tasks/model/model.py).
"""

from __future__ import annotations

import math
import time
from typing import Any, cast

import numpy as np

from funkflow.pipeline.cluster.context import Context, run_all, spare_memory
from funkflow.pipeline.models.trained_on import places_of_ids
from funkflow.pipeline.progress.events import StageFinished, StageStarted
from funkflow.pipeline.root.store import nothing_half_written
from funkflow.pipeline.training import checkpoint
from funkflow.tasks.dataset.id_pieces import cut_by_shard, read_piece
from funkflow.tasks.grid.factor_shard import read_shard
from funkflow.tasks.model.about import About, PartEntry, Place, read_about, write_about
from funkflow.tasks.model.model import write_factor_table
from funkflow.tasks.storage import files

_STAGE = "export"
_SIDES = ("user", "item")


def export(
    context: Context,
    dataset: dict[str, Any],
    training: dict[str, Any],
    scale: tuple[float, float] | None,
    rank: int,
    about: dict[str, Any],
    run_folder: str,
) -> str:
    """Write the model under `run_folder` and return its folder; one that is there already is kept."""
    folder = files.join(run_folder, "model")
    started = time.monotonic()
    reused = not context.trains_anew and _is_whole(folder)
    if not reused:
        context.tell(StageStarted(_STAGE, len(_SIDES) + sum(len(shards) for shards in training["shards"].values())))
        with spare_memory(context):
            parts = _exported(context, dataset, training, rank, run_folder)
        steps = training["steps"]
        told = {**about, "l2": steps["l2"], "deviation": steps["deviation"]}
        if titles := _titles(context, dataset, folder):
            told["titles"] = titles
        write_about(folder, steps["mean"], scale, rank=rank, parts=parts, about=cast(About, told))
    context.tell(StageFinished(_STAGE, time.monotonic() - started, folder, reused))
    return folder


def _exported(
    context: Context, dataset: dict[str, Any], training: dict[str, Any], rank: int, run_folder: str
) -> dict[str, list[PartEntry]]:
    """Write the parts of both sides; return their entries in `model.json`."""
    scratch = context.store.scratch(f"export-{context.attempt}")
    pieces = [files.join(scratch, f"{side}s.arrow") for side in _SIDES]
    cuts = [
        (place, len(training["shards"][f"{side}s"]), url)
        for side, place, url in zip(_SIDES, places_of_ids(context.store, dataset), pieces, strict=True)
    ]
    with nothing_half_written(temporary=(scratch,)):
        run_all(context, _STAGE, "cut-ids", cut_by_shard, cuts)
        return {
            side: run_all(context, _STAGE, f"export-{side}", export_shard, _jobs(training, side, rank, ids, run_folder))
            for side, ids in zip(_SIDES, pieces, strict=True)
        }


def _titles(context: Context, dataset: dict[str, Any], folder: str) -> dict[str, str] | None:
    """Copy the titles beside the model, where the dataset has them."""
    url = files.join(context.store.dataset(dataset["id"]), "items.parquet")
    items = files.read_table(url, expected_checksum=dataset["id_checksums"]["items"])
    if "title" not in items.column_names:
        return None
    url = files.join(folder, "titles.parquet")
    return {"path": "titles.parquet", "checksum": files.write_table(url, items.select(["raw_id", "title", "year"]))}


def _is_whole(folder: str) -> bool:
    if not files.exists(files.join(folder, "model.json")):
        return False
    about = read_about(folder)
    if "l2" not in about:  # written before models carried what fold_in needs
        return False
    parts = about["parts"]
    there = {side: files.sizes(files.join(folder, f"{side}_factors.parquet")) for side in parts}
    return all(there[side].get(part["path"]) == part["bytes"] for side in parts for part in parts[side])


def _jobs(training: dict[str, Any], side: str, rank: int, ids: str, run_folder: str) -> list[tuple[Any, ...]]:
    source, target = checkpoint.folder_of(run_folder), files.join(run_folder, "model", f"{side}_factors.parquet")
    return [
        (
            (files.join(source, entry["path"]), entry["checksum"]), rank, ids, number, training["steps"]["deviation"],
            files.join(target, f"part.{number:05d}.parquet"),
        )
        for number, entry in enumerate(training["shards"][f"{side}s"])
    ]  # fmt: skip


def export_shard(saved: Place, rank: int, ids: str, number: int, deviation: float, url: str) -> PartEntry:
    """Write one shard with its raw ids, in rating units: biases times the deviation, factors times its square root.

    Parameters
    ----------
    ids : raw ids by shard, as tasks/dataset/id_pieces.py cuts them.
    """
    shard = read_shard(*saved, rank)
    return write_factor_table(
        url,
        read_piece(ids, number).raw_ids,
        shard.biases * np.float32(deviation),
        shard.factors * np.float32(math.sqrt(deviation)),
    )
