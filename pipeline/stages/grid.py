"""Grid: training ratings as P x P block files, with the held-out ratings beside them.

Covers: the scatter and build tasks, and the manifest.
Does not cover: the work of the tasks (tasks/grid/scatter.py, tasks/grid/block.py, tasks/training/score.py), or training
(pipeline/training/methods/sgd.py).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypedDict

from funkflow.pipeline.cluster.context import Context, run_all
from funkflow.pipeline.datasets.known_pairs import KnownPairs, tell
from funkflow.pipeline.progress.events import StageFinished, StageStarted
from funkflow.pipeline.root.index import facts_of_all
from funkflow.pipeline.root.manifests import BlockEntry, Dataset, Grid, HeldOutShards, Split
from funkflow.pipeline.root.records import KnownRecord
from funkflow.pipeline.root.store import Store, content_id, nothing_half_written
from funkflow.pipeline.root.typed_json import FileEntry
from funkflow.pipeline.settings.sections import GridSettings
from funkflow.tasks.errors import BadInput, DamagedFile, SettingsError
from funkflow.tasks.grid.block import BLOCK_FORMAT
from funkflow.tasks.grid.factor_shard import shard_rows
from funkflow.tasks.grid.layout import laid_rows, shards_for_grown
from funkflow.tasks.grid.scatter import Group, build_block, scatter_pairs, scatter_part
from funkflow.tasks.kernels.tiles import TILE_ITEMS, TILE_USERS, tile_grid
from funkflow.tasks.model.about import Place
from funkflow.tasks.storage import files
from funkflow.tasks.training.saved_shards import write_held_out

_STAGE = "grid"


def grid(
    context: Context, dataset: Dataset, split: Split, settings: GridSettings, may_be_equal: bool = False,
    days: bool = False, known: KnownPairs | None = None,
) -> Grid:  # fmt: skip
    """Return the grid for this dataset and split; build it if it does not exist.

    may_be_equal : whether the training ratings may all be equal, as likes are: a ranking learns from the missing ones.
    days : whether the grid has the days of all ratings.
    known : pairs that are known without their rating; None for none.

    Raises
    ------
    BadInput
        No training rating is left, or all of them are equal.
    """
    shards = settings.shards or shards_for_grown(dataset.generations, split.training_ratings)
    if shards > min(dataset.users, dataset.items):
        raise SettingsError(
            f"grid.shards = {shards} exceeds the number of users ({dataset.users:,}) or items ({dataset.items:,}); "
            "lower it, or omit it for the default"
        )
    more = {**({"days": True} if days else {}), **({"known": known.identity} if known else {})}
    grid_id = content_id(dataset=dataset.id, split=split.id, shards=shards, block=BLOCK_FORMAT, **more)
    folder = context.store.grid(grid_id)
    started = time.monotonic()
    made = context.existing(Grid, folder)
    values = 1 if may_be_equal else 2
    reused = made is not None
    if made is None:
        made = _build(context, dataset, split, shards, grid_id, values, days, known)
    if made.known:
        tell(context, made.known, split.validation.ratings)
    _refuse_too_few(made.blocks, made.ratings, made.mean, values)
    kept = f"; {made.written} blocks written, {made.kept} kept" if made.kept else ""
    summary = f"{shards} x {shards} blocks, {made.ratings:,} ratings, {made.bytes / 2**20:,.1f} MiB{kept}"
    context.notify(StageFinished(_STAGE, time.monotonic() - started, summary, reused))
    return made


def _refuse_too_few(blocks: Sequence[BlockEntry], ratings: int, mean: float, values: int) -> None:
    """Raise BadInput unless there are at least so many different ratings, 1 or 2."""
    if len({extreme for block in blocks for extreme in block.extremes or ()}) < values:
        found = f"all {ratings:,} training ratings equal {mean:g}" if ratings else "there are no training ratings"
        raise BadInput(
            f"{found}: nothing to learn; check the ratings column and the split, or, for likes, set "
            "train.goal = ranking"
        )


def _build(
    context: Context, dataset: Dataset, split: Split, shards: int, grid_id: str, values: int, days: bool,
    known: KnownPairs | None,
) -> Grid:  # fmt: skip
    folder, scratch = context.store.grid(grid_id), context.store.scratch(f"grid-{grid_id}")
    filled = {name: part for name, part in split.held_out.items() if part.ratings}
    steps = (1 + days) * (len(dataset.parts) + shards * shards) + shards * len(filled)
    context.notify(StageStarted(_STAGE, steps))
    with nothing_half_written(folder, temporary=(scratch,)):
        files.remove_tree(folder)
        there = known_blocks(context.store, dataset, shards)
        left_out = [split.places(part.parts) for part in filled.values()]
        cells = _scatter(context, dataset, left_out, shards, scratch)
        built = _build_blocks(context, cells, there)
        blocks, kept = [block for block, _ in built], sum(was_there for _, was_there in built)
        of_days = _scatter(context, dataset, left_out, shards, files.join(scratch, "days"), days=True) if days else []
        day_blocks = tuple(block for block, _ in _build_blocks(context, of_days, there))
        further, record = _further_blocks(context, dataset, split, known, shards, scratch) if known else ((), None)
        held_out = {
            name: HeldOutShards(
                ratings=part.ratings,
                shards=_write_held_out(context, split.places(part.parts), name, shards, folder, days),
            )
            for name, part in filled.items()
        }
        ratings = sum(block.rows for block in blocks)
        mean = sum(block.sum for block in blocks) / max(1, ratings)
        mean_square = sum(block.squares for block in blocks) / max(1, ratings)
        _refuse_too_few(blocks, ratings, mean, values)
        made = Grid(
            folder=folder, id=grid_id, dataset=dataset.id, split=split.id, shards=shards, ratings=ratings,
            users=dataset.users, items=dataset.items, mean=mean, mean_square=mean_square,
            variance=_variance(blocks, mean), bytes=sum(block.bytes for block in blocks), held_out=held_out,
            rating_bytes=max(block.rating_bytes for block in blocks), block_format=BLOCK_FORMAT,
            blocks=tuple(blocks), kept=kept, written=len(blocks) - kept, counts=dataset.counts, days=day_blocks,
            further=further, known=record, absent=frozenset(
                {*(() if days else ("days",)), *(() if known else ("further", "known"))}
            ),
        )  # fmt: skip
        return made.publish(_files(made))


def _further_blocks(
    context: Context, dataset: Dataset, split: Split, known: KnownPairs, shards: int, scratch: str
) -> tuple[tuple[BlockEntry, ...], KnownRecord]:
    """Build the blocks of the pairs that are known and have no training rating."""
    places, record = known.find(context, dataset, split, files.join(scratch, "known"))
    urls = [files.join(scratch, f"pairs-{number:05d}.arrow") for number in range(len(places))]
    jobs = [(place, shards, url) for place, url in zip(places, urls, strict=True)]
    cells = _gathered(dataset, shards, urls, run_all(context, _STAGE, "scatter-pairs", scatter_pairs, jobs))
    return tuple(block for block, _ in _build_blocks(context, cells, {})), record


def _variance(blocks: list[BlockEntry], mean: float) -> float:
    """Return the mean square of ratings about their mean.

    It is the sum of the squares about each block's mean and the squares of these means about the total mean (Chan,
    Golub and LeVeque 1983). The difference of mean square and squared mean would lose all digits if the spread is small
    beside the mean.
    """
    filled = [block for block in blocks if block.rows]
    within = sum(block.about_mean for block in filled)
    between = sum(block.rows * (block.sum / block.rows - mean) ** 2 for block in filled)
    return float((within + between) / max(1, sum(block.rows for block in filled)))


def _files(made: Grid) -> list[str]:
    """Return the files of the grid, relative to its folder: blocks by content, and held-out ratings."""
    own = [shard.path for part in made.held_out.values() for shard in part.shards]
    names = {block.checksum for block in (*made.blocks, *made.days, *made.further)}
    return [*(f"../../blocks/{name}.parquet" for name in sorted(names)), *own]


@dataclass
class _Cell:
    """A block to build: its shape, the scratch groups with its ratings, and a fingerprint of these."""

    shape: tuple[int, int]
    laid: tuple[int, int]
    pieces: dict[str, list[int]] = field(default_factory=dict)
    rows: int = 0
    fingerprint: int = 0

    @property
    def mark(self) -> str:
        """Equal for cells whose blocks are the same file: the same ratings in the same rows, and in the same tiles."""
        return f"{self.fingerprint:016x}-{self.rows}-{'x'.join(map(str, tile_grid(self.laid)))}"


def _empty_cells(dataset: Dataset, shards: int) -> list[_Cell]:
    _, users, items = zip(*dataset.generations, strict=True)
    laid = [
        [laid_rows(counts, shards, shard, tile_rows) for shard in range(shards)]
        for counts, tile_rows in ((users, TILE_USERS), (items, TILE_ITEMS))
    ]
    return [
        _Cell(
            (shard_rows(dataset.users, shards, row), shard_rows(dataset.items, shards, column)),
            (laid[0][row], laid[1][column]),
        )
        for row in range(shards)
        for column in range(shards)
    ]


def _scatter(
    context: Context, dataset: Dataset, held_out: list[list[Place]], shards: int, scratch: str, days: bool = False
) -> list[_Cell]:
    """Run the scatter tasks; return the cells, row by row. `held_out` : the places of held-out ratings, by part."""
    urls = [files.join(scratch, f"part-{number:05d}.arrow") for number in range(len(dataset.parts))]
    jobs = [
        (*place, [places[number] for places in held_out], shards, urls[number], dataset.counts, days)
        for number, place in enumerate(dataset.part_places)
    ]
    return _gathered(dataset, shards, urls, run_all(context, _STAGE, "scatter", scatter_part, jobs))


def _gathered(dataset: Dataset, shards: int, urls: Sequence[str], scattered: Sequence[list[Group]]) -> list[_Cell]:
    """Return the cells of what was scattered to files, row by row."""
    cells = _empty_cells(dataset, shards)
    for url, groups in zip(urls, scattered, strict=True):
        for number, group in enumerate(groups):
            cell = cells[group.block]
            cell.pieces.setdefault(url, []).append(number)
            cell.rows += group.rows
            cell.fingerprint = (cell.fingerprint + group.fingerprint) % 2**64
    return cells


def known_blocks(store: Store, dataset: Dataset, shards: int) -> dict[str, BlockEntry]:
    """Return the blocks that may be reused, by their marks; {} if the dataset has no parent.

    They are the blocks of its own grids of P x P blocks, and of its nearest ancestor with such grids, which has those
    of earlier ancestors, except for blocks that changed and changed back.
    """
    known: dict[str, BlockEntry] = {}
    if not dataset.parent:
        return known
    homes: dict[str, list[str]] = {}
    for name, facts in facts_of_all(store, Grid, _grid_facts).items():
        if (facts["shards"], facts["block_format"]) == (shards, BLOCK_FORMAT):
            homes.setdefault(facts["dataset"], []).append(name)
    for name in [*homes.get(dataset.id, []), *_of_nearest_ancestor(store, dataset, homes)]:
        with suppress(DamagedFile):  # an unreadable grid has no block to reuse
            made = Grid.published(store.grid(name))
            blocks = (*made.blocks, *made.days) if made else ()
            known |= {block.mark: block for block in blocks if block.extremes is not None}
    return known


def _of_nearest_ancestor(store: Store, dataset: Dataset, homes: dict[str, list[str]]) -> list[str]:
    parent = dataset.parent
    with suppress(DamagedFile):
        while parent:
            if parent.id in homes:
                return homes[parent.id]
            before = Dataset.unchecked(store.dataset(parent.id))
            parent = before.parent if before else None
    return []


class _GridFacts(TypedDict):
    """Facts of a grid in the index."""

    dataset: str
    shards: int
    block_format: Sequence[int]


def _grid_facts(manifest: Grid) -> _GridFacts:
    return {"dataset": manifest.dataset, "shards": manifest.shards, "block_format": manifest.block_format}


def _build_blocks(context: Context, cells: list[_Cell], known: dict[str, BlockEntry]) -> list[tuple[BlockEntry, bool]]:
    """Build the missing blocks; return all manifest entries, row by row, and whether each existed."""
    jobs = [
        (list(cell.pieces.items()), cell.shape, cell.laid, context.store.blocks)
        for cell in cells
        if cell.mark not in known
    ]
    built = iter(run_all(context, _STAGE, "build-block", build_block, jobs))
    return [
        (known[cell.mark], True) if cell.mark in known else (BlockEntry.read({**next(built), "mark": cell.mark}), False)
        for cell in cells
    ]


def _write_held_out(
    context: Context, parts: list[Place], name: str, shards: int, folder: str, days: bool
) -> tuple[FileEntry, ...]:
    jobs = [(parts, shards, shard, files.join(folder, name, f"{shard:05d}.parquet"), days) for shard in range(shards)]
    written = run_all(context, _STAGE, f"hold-out-{name}", write_held_out, jobs)
    return tuple(map(FileEntry.read, written))
