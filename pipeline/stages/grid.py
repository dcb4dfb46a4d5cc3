"""Grid: training ratings into P x P block files, held-out ratings beside them, fixed by data and settings.

Covers: which scatter and build tasks run, and the grid's manifest.
Does not cover: what the tasks do (tasks/grid/scatter.py, tasks/grid/block.py, tasks/training/score.py), or training on
the grid (pipeline/training/sgd.py).
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from funkflow.pipeline.cluster.context import Context, run_all
from funkflow.pipeline.models.trained_on import HELD_OUT
from funkflow.pipeline.progress.events import StageFinished, StageStarted
from funkflow.pipeline.root.index import Facts, facts_of_all
from funkflow.pipeline.root.store import Store, content_id, manifest_of, nothing_half_written, publish, published
from funkflow.pipeline.settings.sections import GridSettings
from funkflow.tasks.errors import BadInput, DamagedFile, SettingsError
from funkflow.tasks.grid.block import BLOCK_FORMAT
from funkflow.tasks.grid.factor_shard import shard_rows
from funkflow.tasks.grid.layout import laid_rows, lineage_shards
from funkflow.tasks.grid.scatter import build_block, scatter_part
from funkflow.tasks.kernels.tiles import TILE_ITEMS, TILE_USERS, tile_grid
from funkflow.tasks.storage import files
from funkflow.tasks.training.score import held_out_table

_STAGE = "grid"


def grid(context: Context, dataset: dict[str, Any], split: dict[str, Any], settings: GridSettings) -> dict[str, Any]:
    """Return the manifest of the grid for this dataset and split; build it unless it is there already.

    Raises
    ------
    BadInput
        No training rating is left, or all of them are equal.
    """
    shards = settings.shards or lineage_shards(_lineage(dataset), split["training_ratings"])
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
    kept = f"; {manifest['written']} blocks written, {manifest['kept']} kept" if manifest["kept"] else ""
    size = f"{manifest['bytes'] / 2**20:,.1f} MiB"
    summary = f"{shards} x {shards} blocks, {manifest['ratings']:,} ratings, {size}{kept}"
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
        cells = _scatter(context, dataset, split, shards, scratch)
        built = _build_blocks(context, cells, known_blocks(context.store, dataset, shards))
        blocks, kept = [block for block, _ in built], sum(was_there for _, was_there in built)
        held_out = {name: _hold_out(context, split, name, shards, folder) for name in _held_out(split)}
        ratings = sum(block["rows"] for block in blocks)
        mean = sum(block["sum"] for block in blocks) / max(1, ratings)
        mean_square = sum(block["squares"] for block in blocks) / max(1, ratings)
        if len({extreme for block in blocks for extreme in block["extremes"]}) < 2:
            raise BadInput(
                f"{ratings} training ratings, mean {mean:g}, no two of them different: nothing to learn; "
                "check the ratings column and the split"
            )
        return publish(
            folder, "grid", id=grid_id, files=_files(blocks, held_out), dataset=dataset["id"], split=split["id"],
            shards=shards, ratings=ratings, users=dataset["users"], items=dataset["items"], mean=mean,
            mean_square=mean_square, variance=_variance(blocks, mean), bytes=sum(block["bytes"] for block in blocks),
            held_out=held_out,
            rating_bytes=max(block["rating_bytes"] for block in blocks), block_format=BLOCK_FORMAT,
            blocks=blocks, kept=kept, written=len(blocks) - kept,
        )  # fmt: skip


def _variance(blocks: list[dict[str, Any]], mean: float) -> float:
    """Return the mean square of ratings about their mean.

    The squares about each block's own mean add up with those of these means about that of all (Chan, Golub and LeVeque
    1983): the difference of mean square and squared mean has no digit left where the spread is small beside the mean.
    """
    filled = [block for block in blocks if block["rows"]]
    within = sum(block["about_mean"] for block in filled)
    between = sum(block["rows"] * (block["sum"] / block["rows"] - mean) ** 2 for block in filled)
    return float((within + between) / max(1, sum(block["rows"] for block in filled)))


def _files(blocks: list[dict[str, Any]], held_out: dict[str, Any]) -> list[str]:
    """Return what must lie there for the grid to count, seen from its folder: blocks by content, held-out ratings."""
    own = [shard["path"] for part in held_out.values() for shard in part["shards"]]
    return [*sorted({f"../../blocks/{block['checksum']}.parquet" for block in blocks}), *own]


def _held_out(split: dict[str, Any]) -> list[str]:
    """Names of the held-out parts of a split that have any rating."""
    return [name for name in HELD_OUT if split.get(name) and split[name]["ratings"]]


@dataclass
class _Cell:
    """One block to be: what tells it from others, its shape, and the scratch groups that hold its ratings."""

    shape: tuple[int, int]
    laid: tuple[int, int]
    pieces: list[tuple[str, int]] = field(default_factory=list)
    rows: int = 0
    fingerprint: int = 0

    @property
    def mark(self) -> str:
        """Equal for cells whose blocks are the same file: the same ratings in the same rows, and in the same tiles."""
        return f"{self.fingerprint:016x}-{self.rows}-{'x'.join(map(str, tile_grid(self.laid)))}"


def _lineage(dataset: dict[str, Any]) -> list[list[int]]:
    return dataset.get("lineage") or [[dataset["ratings"], dataset["users"], dataset["items"]]]


def _cells(dataset: dict[str, Any], shards: int) -> list[_Cell]:
    _, users, items = zip(*_lineage(dataset), strict=True)
    laid = [
        [laid_rows(counts, shards, shard, tile_rows) for shard in range(shards)]
        for counts, tile_rows in ((users, TILE_USERS), (items, TILE_ITEMS))
    ]
    return [
        _Cell(
            (shard_rows(dataset["users"], shards, row), shard_rows(dataset["items"], shards, column)),
            (laid[0][row], laid[1][column]),
        )
        for row in range(shards)
        for column in range(shards)
    ]


def _scatter(
    context: Context, dataset: dict[str, Any], split: dict[str, Any], shards: int, scratch: str
) -> list[_Cell]:
    """Run the scatter tasks; return the cells, row by row, with what each has."""
    dataset_folder, split_folder = context.store.dataset(dataset["id"]), context.store.split(split["id"])
    jobs = []
    for number, part in enumerate(dataset["parts"]):
        removed = [
            (files.join(split_folder, split[name]["parts"][number]["path"]), split[name]["parts"][number]["checksum"])
            for name in _held_out(split)
        ]
        url = files.join(scratch, f"part-{number:05d}.arrow")
        jobs.append((files.join(dataset_folder, part["path"]), part["checksum"], removed, shards, url))
    cells = _cells(dataset, shards)
    for job, groups in zip(jobs, run_all(context, _STAGE, "scatter", scatter_part, jobs), strict=True):
        for place, group in enumerate(groups):
            cell = cells[group.block]
            cell.pieces.append((job[-1], place))
            cell.rows += group.rows
            cell.fingerprint = (cell.fingerprint + group.fingerprint) % 2**64
    return cells


def known_blocks(store: Store, dataset: dict[str, Any], shards: int) -> dict[str, dict[str, Any]]:
    """Return the blocks that may be used again, where the dataset grew from another, by what tells them apart.

    They are those of its own grids of P x P blocks, and of the nearest dataset before it that has any: that one has
    what those before it had, but for what changed and was changed back.
    """
    known: dict[str, dict[str, Any]] = {}
    if not dataset.get("parent"):
        return known
    homes: dict[str, list[str]] = {}
    for name, facts in facts_of_all(store, "grid", _facts_of).items():
        if (facts["shards"], facts["block_format"]) == (shards, BLOCK_FORMAT):
            homes.setdefault(facts["dataset"], []).append(name)
    for name in [*homes.get(dataset["id"], []), *_of_nearest_ancestor(store, dataset, homes)]:
        with suppress(DamagedFile):  # what cannot be read has no block to keep
            manifest = published(store.grid(name), "grid") or {}
            known |= {block["mark"]: block for block in manifest.get("blocks", []) if "extremes" in block}
    return known


def _of_nearest_ancestor(store: Store, dataset: dict[str, Any], homes: dict[str, list[str]]) -> list[str]:
    parent = dataset.get("parent")
    with suppress(DamagedFile):
        while parent:
            if parent["id"] in homes:
                return homes[parent["id"]]
            parent = (manifest_of(store.dataset(parent["id"]), "dataset") or {}).get("parent")
    return []


def _facts_of(manifest: dict[str, Any]) -> Facts:
    return {name: manifest.get(name) for name in ("dataset", "shards", "block_format")}


def _build_blocks(
    context: Context, cells: list[_Cell], known: dict[str, dict[str, Any]]
) -> list[tuple[dict[str, Any], bool]]:
    """Build the blocks that are not there already; return all manifest entries, row by row, and which were there."""
    jobs = [(cell.pieces, cell.shape, cell.laid, context.store.blocks) for cell in cells if cell.mark not in known]
    built = iter(run_all(context, _STAGE, "build-block", build_block, jobs))
    return [
        (known[cell.mark], True) if cell.mark in known else ({**next(built), "mark": cell.mark}, False)
        for cell in cells
    ]


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
