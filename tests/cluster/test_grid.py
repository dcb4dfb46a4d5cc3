"""The grid holds every training rating once, in balanced blocks that depend on the data alone.

Covers: tasks/grid/block.py, tasks/grid/scatter.py, tasks/training/score.py's held-out tables, pipeline/stages/grid.py.
Does not cover: training on them (test_train.py).
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import astuple, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from conftest import Heard, Ratings, made_ratings, publish_ratings
from hypothesis import given, settings
from hypothesis import strategies as st
from sessions import examples

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.progress.events import StageFinished
from funkflow.pipeline.root.manifests import Dataset, Grid, Split
from funkflow.pipeline.settings.sections import GridSettings
from funkflow.pipeline.stages.grid import grid
from funkflow.tasks.errors import BadInput, DamagedFile
from funkflow.tasks.grid.block import RatingBlock, read_block, write_block
from funkflow.tasks.grid.factor_shard import FactorShard, ShardStart, initial_shard, read_shard, shard_rows, write_shard
from funkflow.tasks.grid.layout import shards_for
from funkflow.tasks.grid.scaling import SMALL_SPREAD, Scaling
from funkflow.tasks.kernels.tiles import TILE_ITEMS, TILE_USERS
from funkflow.tasks.storage import files
from funkflow.tasks.training.score import held_out_table, read_held_out


@given(st.floats(0.1, 1e3), st.floats(0.0, 400.0))
def test_an_ordinary_deviation_keeps_its_bits(deviation: float, means: float) -> None:
    """Up to a mean of 999 deviations; only beyond is the variance taken from elsewhere."""
    mean = means * deviation
    mean_square = mean**2 + deviation**2
    assert mean_square - mean**2 > SMALL_SPREAD * mean_square
    assert Scaling.of(mean, mean_square, True, variance=-1.0) == Scaling.of(mean, mean_square, True)
    assert Scaling.of(mean, mean_square, False, variance=-1.0) == Scaling(0.0, math.sqrt(mean_square))


def triples_of(context: Context, manifest: Grid) -> list[tuple[int, int, float]]:
    """All ratings of a grid as (user, item, rating), back from local rows to dense ids."""
    shards = manifest.shards
    triples = []
    for number, entry in enumerate(manifest.blocks):
        row, column = divmod(number, shards)
        shape = (shard_rows(manifest.users, shards, row), shard_rows(manifest.items, shards, column))
        block = read_block(context.store.blocks, entry.checksum, shape)
        users, items = block.user_rows * shards + row, block.item_rows * shards + column
        triples += list(zip(users.tolist(), items.tolist(), block.ratings.tolist(), strict=True))
    return triples


def wanted(made: Ratings) -> list[tuple[int, int, float]]:
    kept = ~made.is_validation
    return sorted(zip(made.users[kept].tolist(), made.items[kept].tolist(), made.ratings[kept].tolist(), strict=True))


@pytest.mark.parametrize("shards", [1, 3, 4, 7])
def test_every_training_rating_is_in_one_block(context: Context, shards: int) -> None:
    made = made_ratings()
    dataset, split = publish_ratings(context, made)
    manifest = grid(context, dataset, split, GridSettings(shards=shards))
    assert sorted(triples_of(context, manifest)) == wanted(made)
    assert manifest.ratings == int((~made.is_validation).sum())
    kept = made.ratings[~made.is_validation].astype(np.float64)
    assert manifest.mean == pytest.approx(kept.mean())
    assert manifest.mean_square == pytest.approx((kept**2).mean())


@pytest.mark.parametrize("least", [0.0, 2_000_000.0, 16_000_000.0, -2_000_000.0])
@pytest.mark.parametrize("shards", [1, 4])
def test_a_spread_that_is_small_beside_the_mean_is_told_from_none(context: Context, least: float, shards: int) -> None:
    """Four ratings side by side, far from zero: as float32 they are exact, and their squares are not."""
    made = made_ratings()
    ratings = (np.floor(made.ratings) - 1.0) % 4
    dataset, split = publish_ratings(context, replace(made, ratings=(ratings + least).astype(np.float32)))
    manifest = grid(context, dataset, split, GridSettings(shards=shards))
    kept = ratings[~made.is_validation].astype(np.float64)
    assert manifest.variance == pytest.approx(kept.var(), rel=1e-9)
    mean, deviation = astuple(Scaling.of(manifest.mean, manifest.mean_square, True, manifest.variance))
    assert deviation == pytest.approx(kept.std(), rel=1e-9)
    blocks = [read_block(context.store.blocks, each.checksum, (60, 40)) for each in manifest.blocks]
    levels = {round(float(each), 4) for block in blocks for each in block.scaled_levels(mean, deviation)}
    assert levels == {round(float((each - kept.mean()) / kept.std()), 4) for each in np.unique(kept)}


@pytest.mark.parametrize("rating", [0.1, 3.0, 2_000_000.0, 0.0])
def test_ratings_that_are_all_equal_are_refused(context: Context, rating: float) -> None:
    made = made_ratings()
    equal = np.full(len(made.ratings), rating, np.float32)
    with pytest.raises(BadInput, match=r"training ratings equal .*: nothing to learn"):
        grid(context, *publish_ratings(context, replace(made, ratings=equal)), GridSettings(shards=3))


def test_blocks_do_not_depend_on_how_the_dataset_was_cut(context: Context) -> None:
    made = made_ratings()
    dataset, split = publish_ratings(context, made)
    whole = grid(context, dataset, split, GridSettings(shards=3))
    halves = _in_two_parts(context, made)
    again = grid(context, *halves, GridSettings(shards=3))
    assert again.id != whole.id
    assert [block.checksum for block in again.blocks] == [block.checksum for block in whole.blocks]
    assert (again.mean, again.mean_square) == (whole.mean, whole.mean_square)
    assert again.held_out["validation"].shards == whole.held_out["validation"].shards
    assert len(list(Path(context.store.blocks).iterdir())) == len({block.checksum for block in whole.blocks})


def _in_two_parts(context: Context, made: Ratings) -> tuple[Dataset, Split]:
    dataset, split = publish_ratings(context, made)
    dataset_parts, split_parts = [], []
    for number in range(2):
        mine = made.users % 2 == number
        table = pa.table({"user": made.users[mine], "item": made.items[mine], "rating": made.ratings[mine]})
        path = f"ratings.parquet/half.{number}.parquet"
        checksum = files.write_table(files.join(context.store.dataset("halves"), path), table)
        dataset_parts.append({"path": path, "rows": table.num_rows, "checksum": checksum})
        rows = np.flatnonzero(made.is_validation[mine])
        held_out = table.take(pa.array(rows)).append_column("row", pa.array(rows))
        path = f"validation/half.{number}.parquet"
        checksum = files.write_table(files.join(context.store.split("halves"), path), held_out)
        split_parts.append({"path": path, "rows": len(rows), "checksum": checksum})
    halves = {**dataset.content(), "id": "halves", "parts": dataset_parts}
    held = {**split.content(), "id": "halves", "validation": {**split.validation.content(), "parts": split_parts}}
    stored = Dataset.from_content(context.store.dataset("halves"), halves).publish()
    return stored, Split.from_content(context.store.split("halves"), held)


def test_an_unchanged_grid_is_reused(heard: Heard) -> None:
    dataset, split = publish_ratings(heard.context, made_ratings())
    first = grid(heard.context, dataset, split, GridSettings())
    heard.events.clear()
    assert grid(heard.context, dataset, split, GridSettings()) == first
    assert [event.reused for event in heard.events if isinstance(event, StageFinished)] == [True]


def test_ratings_that_are_all_equal_are_refused_and_nothing_is_left(context: Context) -> None:
    made = made_ratings()
    made.ratings[:] = 4.0
    dataset, split = publish_ratings(context, made)
    with pytest.raises(BadInput, match="training ratings equal"):
        grid(context, dataset, split, GridSettings())
    assert not list(Path(context.store.root, "grids").glob("*"))
    assert not list(Path(context.store.scratch("")).glob("*"))


@settings(max_examples=examples(30), deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 300), levels=st.sampled_from([1, 5, 300, 70_000]))
def test_a_block_holds_every_rating_once_and_comes_back(seed: int, count: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (3 * TILE_USERS - 5, 2 * TILE_ITEMS + 7)
    cells = rng.choice(shape[0] * shape[1], count, replace=False)
    users, items = cells // shape[1], cells % shape[1]
    ratings = (rng.integers(0, levels, count) / 7 - 3).astype(np.float32)
    block = RatingBlock.of(users, items, ratings, shape)
    triples = zip(block.user_rows.tolist(), block.item_rows.tolist(), block.ratings.tolist(), strict=True)
    assert sorted(triples) == sorted(zip(users.tolist(), items.tolist(), ratings.tolist(), strict=True))
    with tempfile.TemporaryDirectory() as folder:
        back = read_block(folder, str(write_block(folder, block)["checksum"]), shape)
    for name, values in vars(block).items():
        np.testing.assert_array_equal(getattr(back, name), values)
        assert getattr(getattr(back, name), "dtype", None) == getattr(values, "dtype", None)


def test_more_levels_than_codes_are_kept_as_they_are() -> None:
    """Seventy thousand different ratings, in an order that does not depend on the one they come in."""
    rng = np.random.default_rng(2)
    shape = (300, 300)
    cells = rng.permutation(90_000)[:70_000]
    ratings = rng.permutation(70_000).astype(np.float32)
    block = RatingBlock.of(cells // 300, cells % 300, ratings, shape)
    again = RatingBlock.of(cells[::-1] // 300, cells[::-1] % 300, ratings[::-1], shape)
    assert block.codes.dtype == np.float32
    assert not len(block.levels)
    assert block.codes.tobytes() == again.codes.tobytes()
    assert (block.cells.nbytes + block.codes.nbytes) / len(block) == 6


def test_tiles_come_by_diagonals_and_neighbours_share_little() -> None:
    rng = np.random.default_rng(3)
    shape = (3 * TILE_USERS, 2 * TILE_ITEMS)
    cells = np.unique(rng.integers(0, shape[0] * shape[1], 200_000))
    block = RatingBlock.of(cells // shape[1], cells % shape[1], np.ones(len(cells), np.float32), shape)
    places = np.stack(
        [block.user_rows[block.run_starts[block.tiles[:, 1]]] // TILE_USERS, block.tiles[:, 0] // TILE_ITEMS], 1
    )
    assert places.tolist() == [[0, 0], [1, 1], [0, 1], [2, 0], [1, 0], [2, 1]]
    dense = RatingBlock.of(*np.divmod(np.arange(64 * 1024), 1024), np.ones(64 * 1024, np.float32), (64, 1024))
    assert np.mean(dense.user_rows[1:] == dense.user_rows[:-1]) == 0
    assert np.mean(dense.item_rows[1:] == dense.item_rows[:-1]) == 0


@pytest.mark.parametrize(
    ("ratings", "users", "items", "shards"),
    [
        (100, 50, 3, 3),
        (80_000, 943, 1_682, 4),
        (100_000_000, 480_189, 17_770, 4),
        (1_000_000_000, 10**7, 10**6, 10),
        (1_000_000_000, 10**8, 10**6, 4),
    ],
)
def test_number_of_shards(ratings: int, users: int, items: int, shards: int) -> None:
    assert shards_for(ratings, users, items) == shards


@given(ids=st.integers(0, 10_000), shards=st.integers(1, 50))
def test_shard_rows_add_up(ids: int, shards: int) -> None:
    counted = [len(range(shard, ids, shards)) for shard in range(shards)]
    assert [shard_rows(ids, shards, shard) for shard in range(shards)] == counted


def test_a_damaged_block_is_refused(tmp_path: Path) -> None:
    rows = np.array([0, 1], dtype=np.int32)
    entry = write_block(str(tmp_path), RatingBlock.of(rows, rows, np.ones(2, dtype=np.float32), (2, 2)))
    path = tmp_path / f"{entry['checksum']}.parquet"
    content = bytearray(path.read_bytes())
    content[50] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedFile, match="do not match checksum"):
        read_block(str(tmp_path), str(entry["checksum"]), (2, 2))


def test_a_block_outside_its_shard_is_refused(tmp_path: Path) -> None:
    rows = np.array([0, 5], dtype=np.int32)
    entry = write_block(str(tmp_path), RatingBlock.of(rows, rows, np.ones(2, dtype=np.float32), (6, 6)))
    with pytest.raises(DamagedFile, match="row 5 lies outside its shard of 4 rows"):
        read_block(str(tmp_path), str(entry["checksum"]), (4, 6))


def test_a_shard_comes_back_bit_for_bit(tmp_path: Path) -> None:
    shard = initial_shard(np.ones(9, dtype=np.bool_), ShardStart(5, 0, 4), "user", 1)
    shard.states[:, :3] = np.random.default_rng(0).random((9, 3))
    url = str(tmp_path / "shard.npy")
    checksum = write_shard(url, shard)
    back = read_shard(url, checksum, 5)
    assert isinstance(back, FactorShard)
    assert back.factors.tobytes() == shard.factors.tobytes()
    assert back.states.tobytes() == shard.states.tobytes()
    with pytest.raises(DamagedFile, match="not a shard of rank 4"):
        read_shard(url, checksum, 4)


def test_held_out_ratings_of_unknown_ids_are_scored_by_somebody(tmp_path: Path) -> None:
    users, items = np.array([-1, 5, -1, 2]), np.array([3, -1, -1, 7])
    tables = [held_out_table(users, items, np.arange(4, dtype=np.float32), 4, shard) for shard in range(4)]
    assert sum(table.num_rows for table in tables) == 4
    url = str(tmp_path / "held-out.parquet")
    held_out = read_held_out(url, files.write_table(url, tables[0]), 4)
    assert held_out.user_rows.tolist() == [-1, -1]
    assert held_out.item_rows.tolist() == [-1, 0]
    assert held_out.starts.tolist() == [0, 1, 1, 1, 2]


def test_days_lie_in_the_order_of_the_ratings(context: Context) -> None:
    """Of training in blocks of their own, of validation in a column; without them a grid is what it was."""
    made = made_ratings().with_days()
    dataset, split = publish_ratings(context, made)
    plain, dated = (grid(context, dataset, split, GridSettings(shards=3), days=days) for days in (False, True))
    assert [block.checksum for block in plain.blocks] == [block.checksum for block in dated.blocks]
    assert plain.days == ()
    assert made.days is not None
    pairs = list(zip(made.users.tolist(), made.items.tolist(), strict=True))
    day_of = dict(zip(pairs, made.days.tolist(), strict=True))
    found = {(user, item): int(day) for user, item, day in triples_of(context, replace(dated, blocks=dated.days))}
    assert found == {
        pair: day_of[pair] for pair, left_out in zip(pairs, made.is_validation, strict=True) if not left_out
    }
    for shard, place in enumerate(dated.held_out_places("validation")):
        held_out = read_held_out(*place, 3)
        items = np.repeat(np.arange(3), np.diff(held_out.starts)) + 3 * held_out.item_rows
        of_shard = zip((3 * held_out.user_rows + shard).tolist(), items.tolist(), strict=True)
        assert held_out.days is not None
        assert held_out.days.tolist() == [day_of[pair] for pair in of_shard]
        assert read_held_out(*plain.held_out_places("validation")[shard], 3).days is None
