"""From raw files that arrive bit by bit to a grid: only what has new ratings is written again.

Covers: splits and grids of datasets that grew, blocks that stay what they are when shards grow, and P of a lineage.
Does not cover: the datasets (test_growing.py), or training on the grids.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import Heard
from distributed import Client
from growing import HEADER, Row, lines, made
from hypothesis import given
from hypothesis import strategies as st
from ingesting import ingest, settings
from raw_forms import attempt

from bench.daily import cut_by_time, go_through, table
from chaos.object_store import ObjectStore
from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.progress.events import StageFinished
from funkflow.pipeline.root.manifests import Dataset, Grid, Split
from funkflow.pipeline.root.store import Store
from funkflow.pipeline.settings.sections import GridSettings, SplitSettings
from funkflow.pipeline.stages.grid import grid
from funkflow.pipeline.stages.split import split
from funkflow.tasks.grid.block import RatingBlock, read_block, write_block
from funkflow.tasks.grid.layout import laid_rows, shards_for, shards_for_grown
from funkflow.tasks.kernels.tiles import TILE_ITEMS, TILE_USERS
from funkflow.tasks.storage import files

SPLIT = SplitSettings(fraction=0.2)


def taken_to_grid(
    context: Context, folder: Path, shards: int = 8, chosen: SplitSettings = SPLIT
) -> tuple[Dataset, Split, Grid]:
    ingest_settings = settings(folder / "*.csv", incremental=True, partition_ratings=1000)
    dataset = ingest(context, ingest_settings)
    held_out = split(attempt(context), dataset, chosen, ingest_settings, 0.1)
    return dataset, held_out, grid(attempt(context), dataset, held_out, GridSettings(shards=shards))


def set_environment(values: dict[str, str]) -> None:
    os.environ.update(values)


def day(folder: Path, number: int, rows: list[Row]) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"day-{number:02d}.csv"
    path.write_text(HEADER + lines(rows))
    return path


def cells_of(context: Context, dataset: Dataset, rows: list[Row], shards: int) -> set[tuple[int, int]]:
    """Return the blocks that rows belong to."""
    home = Path(context.store.dataset(dataset.id))
    users, items = (
        {raw: dense for dense, raw in enumerate(pd.read_parquet(home / f"{side}.parquet")["raw_id"])}
        for side in ("users", "items")
    )
    return {(users[user] % shards, items[item] % shards) for user, item, _, _ in rows}


def test_nine_tenths_and_then_a_few(heard: Heard, tmp_path: Path) -> None:
    context, folder = heard.context, tmp_path / "raw"
    day(folder, 0, made(2700))
    _, _, first = taken_to_grid(context, folder)
    assert (first.written, first.kept) == (64, 0)
    for number in range(1, 4):
        rows = [(7, 500 + number, 2, 9000), (7, 600 + number, 5, 9000), (1000 + number, number, 4, 9000)]
        path = day(folder, number, rows)
        dataset, held_out, blocks = taken_to_grid(context, folder)
        assert dataset.parsed_bytes == path.stat().st_size
        touched = cells_of(context, dataset, rows, 8)
        assert blocks.written <= len(touched) <= 3
        assert blocks.written + blocks.kept == 64
        assert held_out.parts_kept == dataset.parts_kept > 0
        summaries = [event.summary for event in heard.events if isinstance(event, StageFinished)][-3:]
        assert f"{dataset.parsed_bytes:,} bytes parsed" in summaries[0]
        assert f"{held_out.parts_kept} parts kept" in summaries[1]
        assert f"{blocks.written} blocks written, {blocks.kept} kept" in summaries[2]


@pytest.mark.long
def test_an_object_store_copies_what_is_kept_on_its_own_side(
    client: Client, object_store: ObjectStore, tmp_path: Path
) -> None:
    client.run(set_environment, object_store.environment)
    context = Context(client, Store(object_store.new_root()), lambda event: None, "kept")
    folder = tmp_path / "raw"
    day(folder, 0, made(2700))
    first, _, _ = taken_to_grid(context, folder, 2)
    day(folder, 1, [(7, 500, 2, 9000)])
    second, held_out, blocks = taken_to_grid(context, folder, 2)
    assert second.parts_kept == held_out.parts_kept == 3
    assert blocks.kept >= 3
    files.remove_tree(context.store.dataset(first.id))
    assert Dataset.published(second.folder) == second
    assert Split.published(held_out.folder) == held_out


@pytest.mark.parametrize(
    "chosen",
    [SPLIT, SplitSettings(kind="last", last=2), SplitSettings(kind="users", fraction=0.3), SplitSettings(kind="none")],
)
def test_what_was_kept_is_what_would_have_been_made(chosen: SplitSettings, context: Context, tmp_path: Path) -> None:
    folder = tmp_path / "raw"
    day(folder, 0, made(1500))
    taken_to_grid(context, folder, chosen=chosen)
    day(folder, 1, [(3, 0, 2, 9001), (5, 700, 5, 9002), (800, 3, 1, 9003)])
    dataset, held_out, blocks = taken_to_grid(context, folder, chosen=chosen)
    assert blocks.kept
    for each in ("splits", "grids", "blocks"):
        shutil.rmtree(Path(context.store.root, each))
    again = taken_to_grid(context, folder, chosen=chosen)
    assert (again[0].id, again[1].id, again[2].id) == (dataset.id, held_out.id, blocks.id)
    assert (again[1].parts_kept, again[2].kept) == (0, 0)
    same = ("parts", "ratings")
    assert {name: again[1].validation.content()[name] for name in same} == {
        name: held_out.validation.content()[name] for name in same
    }
    assert (again[1].slice, again[1].given) == (held_out.slice, held_out.given)
    for name in ("blocks", "ratings", "mean", "mean_square", "held_out", "bytes"):
        assert again[2].content()[name] == blocks.content()[name]


def test_a_block_is_the_same_file_when_its_shards_have_grown(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    small, large = (TILE_USERS - 5, TILE_ITEMS - 5), (TILE_USERS, TILE_ITEMS)
    cells = rng.choice(small[0] * small[1], 500, replace=False)
    rows = (cells // small[1], cells % small[1], rng.integers(1, 6, 500).astype(np.float32))
    names = [write_block(str(tmp_path), RatingBlock.of(*rows, shape))["checksum"] for shape in (small, large)]
    assert names[0] == names[1]
    beyond = (3 * TILE_USERS, 2 * TILE_ITEMS)
    block = read_block(str(tmp_path), str(names[0]), beyond)
    assert block.shape == beyond
    back = zip(block.user_rows.tolist(), block.item_rows.tolist(), block.ratings.tolist(), strict=True)
    assert sorted(back) == sorted(zip(*(each.tolist() for each in rows), strict=True))
    assert write_block(str(tmp_path), RatingBlock.of(*rows, beyond))["checksum"] != names[0]


@given(
    counts=st.lists(st.integers(1, 10_000), min_size=1, max_size=8), shards=st.integers(1, 9), tile=st.integers(1, 99)
)
def test_tiles_are_numbered_for_all_rows_and_seldom_anew(counts: list[int], shards: int, tile: int) -> None:
    for shard in range(shards):
        laid = [laid_rows(counts[: number + 1], shards, shard, tile) for number in range(len(counts))]
        rows = [len(range(shard, count, shards)) for count in counts]
        assert laid[0] == rows[0]
        assert all(-(-have // tile) >= -(-need // tile) for have, need in zip(laid, rows, strict=True))
        for before, after, need in zip(laid, laid[1:], rows[1:], strict=False):
            assert after == before or need > before


def test_the_grid_of_a_lineage_keeps_its_number_of_shards() -> None:
    first, now = [170_000_000, 100_000, 20_000], [300_000_000, 110_000, 21_000]
    assert shards_for(153_000_000, *first[1:]) == 4 != shards_for(270_000_000, *now[1:])
    assert shards_for_grown([first], 153_000_000) == shards_for_grown([first, now], 270_000_000) == 4


def test_the_experiment_cuts_by_time(tmp_path: Path) -> None:
    text = "".join(f"{row % 7}::{row}::3::{row * 37 % 1000}\n" for row in range(1000))
    (tmp_path / "ratings.dat").write_text(text)
    days = cut_by_time(tmp_path / "ratings.dat", tmp_path / "days")
    times = [[int(line.rsplit("::", 1)[1]) for line in each.read_text().splitlines()] for each in days]
    assert [len(each) for each in times] == [900, *[10] * 10]
    assert [time for each in times for time in each] == sorted(row * 37 % 1000 for row in range(1000))


def test_the_experiment_says_what_each_day_took(tmp_path: Path) -> None:
    (tmp_path / "ratings.dat").write_text(
        "".join(f"{row % 70}::{row // 70}::{row % 5}::{row}\n" for row in range(5000))
    )
    days = cut_by_time(tmp_path / "ratings.dat", tmp_path / "days", later=1)
    first, second = go_through(days, tmp_path)
    assert (first.ratings, second.ratings) == (4950, 5000)
    assert (first.new_bytes, second.new_bytes) == (first.parsed_bytes, second.parsed_bytes)
    assert (first.blocks_written, second.blocks_written + second.blocks_kept) == (16, 16)
    assert second.seconds > 0
    assert table([first, second]).row_count == 2
