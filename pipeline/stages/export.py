"""Export: the trained shards as a model in an open form, for other programs.

Covers: a task for each side that cuts the raw ids by shard, a task for each shard, and `model.json`.
Does not cover: the form (tasks/model/model.py).
"""

from __future__ import annotations

import math
import time
from typing import Any

from funkflow.pipeline.cluster.context import Context, run_all, spare_memory
from funkflow.pipeline.progress.events import StageFinished, StageStarted
from funkflow.pipeline.root.manifests import Dataset, Training
from funkflow.pipeline.root.store import nothing_half_written
from funkflow.tasks.dataset.id_pieces import cut_by_shard
from funkflow.tasks.model.about import About, PartEntry, read_about, write_about
from funkflow.tasks.storage import files
from funkflow.tasks.training.saved_shards import export_shard

_STAGE = "export"
_SIDES = ("user", "item")


def export(context: Context, dataset: Dataset, training: Training, rank: int, about: About) -> str:
    """Write the model beside its training, unless it exists; return its folder."""
    folder = files.join(training.run_folder, "model")
    started = time.monotonic()
    reused = not context.trains_anew and _has_model(folder, about)
    if not reused:
        context.notify(StageStarted(_STAGE, len(_SIDES) + sum(len(shards) for shards in training.shards.values())))
        with spare_memory(context):
            parts = _export_parts(context, dataset, training, rank, folder)
        steps = training.steps
        content: About = {**about, "l2": steps.l2, "deviation": steps.deviation}
        if training.common_user:
            content["common_user"] = [math.sqrt(steps.deviation) * each for each in training.common_user]
        if titles := _copy_titles(dataset, folder):
            content["titles"] = titles
        write_about(folder, steps.mean, dataset.bounds, rank=rank, parts=parts, about=content)
    context.notify(StageFinished(_STAGE, time.monotonic() - started, folder, reused))
    return folder


def _export_parts(
    context: Context, dataset: Dataset, training: Training, rank: int, folder: str
) -> dict[str, list[PartEntry]]:
    """Write the parts of both sides; return their entries in `model.json`."""
    scratch = context.store.scratch(f"export-{context.attempt}")
    pieces = [files.join(scratch, f"{side}s.arrow") for side in _SIDES]
    cuts = [
        (place, len(training.shards[f"{side}s"]), url)
        for side, place, url in zip(_SIDES, dataset.id_places, pieces, strict=True)
    ]
    with nothing_half_written(temporary=(scratch,)):
        run_all(context, _STAGE, "cut-ids", cut_by_shard, cuts)
        return {
            side: run_all(
                context, _STAGE, f"export-{side}", export_shard, _shard_jobs(training, side, rank, ids, folder)
            )
            for side, ids in zip(_SIDES, pieces, strict=True)
        }


def _copy_titles(dataset: Dataset, folder: str) -> dict[str, str] | None:
    """Copy the titles beside the model, if the dataset has them."""
    url, checksum = dataset.id_place("item")
    items = files.read_table(url, expected_checksum=checksum)
    if "title" not in items.column_names:
        return None
    url = files.join(folder, "titles.parquet")
    return {"path": "titles.parquet", "checksum": files.write_table(url, items.select(["raw_id", "title", "year"]))}


def _has_model(folder: str, wanted: About) -> bool:
    if not files.exists(files.join(folder, "model.json")):
        return False
    about = read_about(folder)
    if "l2" not in about or about.get("alpha") != wanted.get("alpha"):  # an older model without the fields for fold_in
        return False
    parts = about["parts"]
    there = {side: files.sizes(files.join(folder, f"{side}_factors.parquet")) for side in parts}
    return all(there[side].get(part["path"]) == part["bytes"] for side in parts for part in parts[side])


def _shard_jobs(training: Training, side: str, rank: int, ids: str, folder: str) -> list[tuple[Any, ...]]:
    target = files.join(folder, f"{side}_factors.parquet")
    return [
        (
            place, rank, ids, number, training.steps.deviation, files.join(target, f"part.{number:05d}.parquet"),
        )
        for number, place in enumerate(training.shard_places(f"{side}s"))
    ]  # fmt: skip
