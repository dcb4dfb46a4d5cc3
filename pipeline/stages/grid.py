"""Grid: training ratings into P x P block files, held-out ratings beside them, fixed by data and settings.

Covers: which scatter and build tasks run, and the grid's manifest.
Does not cover: what the tasks do (tasks/scatter.py, tasks/blocks.py, tasks/score.py), or training on the grid
(train.py).
"""

from __future__ import annotations

import time
from collections import defaultdict
from typing import Any

import numpy as np

from pipeline.runtime.context import Context, run_all
from pipeline.runtime.events import StageFinished, StageStarted
from pipeline.runtime.store import content_id, nothing_half_written, publish
from pipeline.settings import GridSettings
from tasks import files
from tasks.blocks import BLOCK_FORMAT, shards_for
from tasks.errors import BadInput, SettingsError
from tasks.factors import shard_rows
from tasks.scatter import build_block, scatter_part
from tasks.score import held_out_table

_STAGE = "grid"


def grid(context: Context, dataset: dict[str, Any], split: dict[str, Any], settings: GridSettings) -> dict[str, Any]:
    """Return the manifest of the grid for this dataset and split; build it unless it is there already.

    Raises
    ------
    BadInput
        No training rating is left, or all of them are equal.
    """
    shards = settings.shards or shards_for(split["training_ratings"], dataset["users"], dataset["items"])
    if shards > min(dataset["users"], dataset["items"]):
        raise SettingsError(
            f"grid.shards = {shards} is more than there are users ({dataset['users']:,}) "
            f"or items ({dataset['items']:,}); lower it, or leave it to the default"
        )
    grid_id = content_id(dataset=dataset["id"], split=split["id"], shards=shards, block=BLOCK_FORMAT)
    folder = context.store.grid(grid_id)
    started = time.monotonic()
    manifest = context.found(folder, "grid")
    reused = manifest is not None
    if manifest is None:
        manifest = _build(context, dataset, split, shards, grid_id)
    summary = f"{shards} x {shards} blocks, {manifest['ratings']:,} ratings, {manifest['bytes'] / 2**20:,.1f} MiB"
    context.tell(StageFinished(_STAGE, time.monotonic() - started, summary, reused))
    return manifest


def _build(
    context: Context, dataset: dict[str, Any], split: dict[str, Any], shards: int, grid_id: str
) -> dict[str, Any]:
    folder, scratch = context.store.grid(grid_id), context.store.scratch(f"grid-{grid_id}")
    steps = len(dataset["parts"]) + shards * shards + sum(shards for name in _held_out(split))
    context.tell(StageStarted(_STAGE, steps))
    with nothing_half_written(folder, temporary=(scratch,)):
        files.remove_tree(folder)
        pieces = _scatter(context, dataset, split, shards, scratch)
        blocks = _build_blocks(context, dataset, pieces, shards)
        held_out = {name: _hold_out(context, split, name, shards, folder) for name in _held_out(split)}
        ratings = sum(block["rows"] for block in blocks)
        mean = sum(block["sum"] for block in blocks) / max(1, ratings)
        mean_square = sum(block["squares"] for block in blocks) / max(1, ratings)
        if not ratings or mean_square - mean**2 <= 1e-12 * max(1.0, mean_square):
            raise BadInput(
                f"{ratings} training ratings, mean {mean:g}, no two of them different: nothing to learn; "
                "check the ratings column and the split"
            )
        return publish(
            folder, "grid", id=grid_id, files=_files(blocks, held_out), dataset=dataset["id"], split=split["id"],
            shards=shards, ratings=ratings, users=dataset["users"], items=dataset["items"], mean=mean,
            mean_square=mean_square, bytes=sum(block["bytes"] for block in blocks), held_out=held_out,
            rating_bytes=max(block["rating_bytes"] for block in blocks),
            blocks=[{key: block[key] for key in ("checksum", "rows", "bytes")} for block in blocks],
        )  # fmt: skip


def _files(blocks: list[dict[str, Any]], held_out: dict[str, Any]) -> list[str]:
    """Return what must lie there for the grid to count, seen from its folder: blocks by content, held-out ratings."""
    own = [shard["path"] for part in held_out.values() for shard in part["shards"]]
    return [*sorted({f"../../blocks/{block['checksum']}.parquet" for block in blocks}), *own]


def _held_out(split: dict[str, Any]) -> list[str]:
    """Names of the held-out parts of a split that have any rating."""
    return [name for name in ("validation", "slice") if split[name] and split[name]["ratings"]]


def _scatter(
    context: Context, dataset: dict[str, Any], split: dict[str, Any], shards: int, scratch: str
) -> dict[int, list[tuple[str, int]]]:
    """Run the scatter tasks; return for each block number the scratch groups that hold its ratings."""
    dataset_folder, split_folder = context.store.dataset(dataset["id"]), context.store.split(split["id"])
    jobs = []
    for number, part in enumerate(dataset["parts"]):
        removed = [
            (files.join(split_folder, split[name]["parts"][number]["path"]), split[name]["parts"][number]["checksum"])
            for name in _held_out(split)
        ]
        url = files.join(scratch, f"part-{number:05d}.arrow")
        jobs.append((files.join(dataset_folder, part["path"]), part["checksum"], removed, shards, url))
    pieces = defaultdict(list)
    for job, numbers in zip(jobs, run_all(context, _STAGE, "scatter", scatter_part, jobs), strict=True):
        for group, number in enumerate(numbers):
            pieces[number].append((job[-1], group))
    return pieces


def _build_blocks(
    context: Context, dataset: dict[str, Any], pieces: dict[int, list[tuple[str, int]]], shards: int
) -> list[dict[str, Any]]:
    jobs = [
        (
            pieces.get(row * shards + column, []),
            (shard_rows(dataset["users"], shards, row), shard_rows(dataset["items"], shards, column)),
            context.store.blocks,
        )
        for row in range(shards)
        for column in range(shards)
    ]
    return run_all(context, _STAGE, "build-block", build_block, jobs)


def _hold_out(context: Context, split: dict[str, Any], name: str, shards: int, folder: str) -> dict[str, Any]:
    parts = [
        (files.join(context.store.split(split["id"]), part["path"]), part["checksum"]) for part in split[name]["parts"]
    ]
    jobs = [(parts, shards, shard, files.join(folder, name, f"{shard:05d}.parquet")) for shard in range(shards)]
    written = run_all(context, _STAGE, f"hold-out-{name}", write_held_out, jobs)
    return {"ratings": split[name]["ratings"], "shards": written}


def write_held_out(parts: list[tuple[str, str]], shards: int, shard: int, url: str) -> dict[str, Any]:
    """Write one user shard's held-out ratings from all split parts; return its manifest entry."""
    tables = [
        files.read_table(part, ["user", "item", "rating"], expected_checksum=checksum) for part, checksum in parts
    ]
    users, items, ratings = (
        np.concatenate([table[column].to_numpy() for table in tables] or [np.empty(0)])
        for column in ("user", "item", "rating")
    )
    table = held_out_table(users.astype(np.int64), items.astype(np.int64), ratings.astype(np.float32), shards, shard)
    return {
        "path": url.rsplit("/", 2)[-2] + "/" + url.rsplit("/", 1)[-1],
        "rows": table.num_rows,
        "checksum": files.write_table(url, table),
    }
