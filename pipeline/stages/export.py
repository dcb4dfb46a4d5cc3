"""Export: the trained shards as an open model that other programs can read.

Covers: one task a shard, and `model.json` that says what was trained, on what, and how well it did.
Does not cover: the form itself (tasks/model.py).
"""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np

from pipeline.runtime import checkpoint
from pipeline.runtime.context import Context, run_all
from pipeline.runtime.events import StageFinished, StageStarted
from tasks import files
from tasks.factors import read_shard
from tasks.model import write_about, write_factors
from tasks.model_about import read_about

_STAGE = "export"


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
        sides = {"user": training["shards"]["users"], "item": training["shards"]["items"]}
        context.tell(StageStarted(_STAGE, sum(len(shards) for shards in sides.values())))
        parts = {
            side: run_all(
                context,
                _STAGE,
                f"export-{side}",
                export_shard,
                _jobs(context, dataset, training, side, rank, run_folder),
            )
            for side in sides
        }
        steps = training["steps"]
        told = {**about, "l2": steps["l2"], "deviation": steps["deviation"]}
        if titles := _titles(context, dataset, folder):
            told["titles"] = titles
        write_about(folder, steps["mean"], scale, rank, parts, told)
    context.tell(StageFinished(_STAGE, time.monotonic() - started, folder, reused))
    return folder


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


def _jobs(
    context: Context, dataset: dict[str, Any], training: dict[str, Any], side: str, rank: int, run_folder: str
) -> list[tuple[Any, ...]]:
    shards = training["shards"][f"{side}s"]
    ids = files.join(context.store.dataset(dataset["id"]), f"{side}s.parquet")
    source, target = checkpoint.folder_of(run_folder), files.join(run_folder, "model", f"{side}_factors.parquet")
    return [
        (
            files.join(source, entry["path"]),
            entry["checksum"],
            rank,
            ids,
            dataset["id_checksums"][f"{side}s"],
            number,
            len(shards),
            training["steps"]["deviation"],
            files.join(target, f"part.{number:05d}.parquet"),
        )
        for number, entry in enumerate(shards)
    ]


def export_shard(
    shard_url: str,
    checksum: str,
    rank: int,
    ids_url: str,
    ids_checksum: str,
    number: int,
    shards: int,
    deviation: float,
    url: str,
) -> dict[str, Any]:
    """Write one shard with its raw ids, in rating units: biases times the deviation, factors times its square root."""
    shard = read_shard(shard_url, checksum, rank)
    raw_ids = files.read_table(ids_url, ["raw_id"], ids_checksum)["raw_id"].combine_chunks()[number::shards]
    return write_factors(
        url, raw_ids, shard.biases * np.float32(deviation), shard.factors * np.float32(math.sqrt(deviation))
    )
