"""What full-batch descent does to a block equals the objective's own gradient; rows keep their bits on disk.

Covers: tasks/training/batch.py and the kernel under it, on random blocks of every coding.
Does not cover: the whole method on a cluster (test_train_batch.py).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sessions import examples

from funkflow.tasks.errors import DamagedFile, ShardMismatch
from funkflow.tasks.grid.block import MOST_LEVELS, RatingBlock
from funkflow.tasks.grid.scaling import Scaling
from funkflow.tasks.training import batch
from funkflow.tasks.training.objective import Observed, Point, gradients, objective

SCALING, L2 = Scaling(3.25, 1.7), 0.3


def random_block(seed: int, levels: int, shape: tuple[int, int] = (9, 7), count: int = 30) -> RatingBlock:
    rng = np.random.default_rng(seed)
    cells = rng.choice(shape[0] * shape[1], count, replace=False)
    ratings = (rng.integers(0, levels, count) / 7 if levels else rng.normal(size=count)).astype(np.float32)
    return RatingBlock.of(cells // shape[1], cells % shape[1], ratings, shape)


def random_rows(rng: np.random.Generator, rows: int, rank: int) -> batch.Rows:
    return rng.normal(size=(rows, rank + 1))


def as_point(users: batch.Rows, items: batch.Rows) -> Point:
    return Point(users[:, :-1], items[:, :-1], users[:, -1], items[:, -1])


def observed(block: RatingBlock) -> Observed:
    scaled = (block.ratings.astype(np.float64) - SCALING.mean) / SCALING.deviation
    return Observed(block.user_rows.astype(np.int64), block.item_rows.astype(np.int64), scaled)


@settings(max_examples=examples(20), deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rank=st.integers(1, 20), levels=st.sampled_from([5, 1000]))
def test_a_block_gives_the_gradient_of_the_objective(seed: int, rank: int, levels: int) -> None:
    rng, block = np.random.default_rng(seed), random_block(seed, levels)
    users, items = random_rows(rng, 9, rank), random_rows(rng, 7, rank)
    part = batch.block_part(block, users, items, SCALING, None)
    user_counts, (item_counts,) = batch.count_ratings((block,))
    whole = gradients(as_point(users, items), observed(block), L2)
    for rows, counts, slopes, factors, biases in (
        (users, user_counts, part.users, whole.user_factors, whole.user_biases),
        (items, item_counts, part.items, whole.item_factors, whole.item_biases),
    ):
        found = batch.with_penalty(rows, counts, L2, True, slopes)
        np.testing.assert_allclose(found[:, :-1], factors, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(found[:, -1], biases, rtol=1e-10, atol=1e-10)
    value = part.squared_error + L2 * (batch.penalty(users, user_counts) + batch.penalty(items, item_counts))
    assert value == pytest.approx(objective(as_point(users, items), observed(block), L2), rel=1e-12)


def test_ratings_without_levels_are_taken_as_they_are() -> None:
    """More than 65,536 different ratings lie in a block as float32."""
    rng = np.random.default_rng(5)
    shape = (300, 300)
    block = random_block(5, 0, shape, MOST_LEVELS + 10_000)
    assert block.coding == "f4"
    users, items = random_rows(rng, 300, 2), random_rows(rng, 300, 2)
    part = batch.block_part(block, users, items, SCALING, None)
    whole = gradients(as_point(users, items), observed(block), 0.0)
    np.testing.assert_allclose(part.users[:, :-1], whole.user_factors, rtol=1e-9, atol=1e-9)


def test_blocks_of_a_row_add_up_for_users_alone() -> None:
    rng = np.random.default_rng(2)
    first, second = random_block(1, 5), random_block(2, 5)
    users, items = random_rows(rng, 9, 3), random_rows(rng, 7, 3)
    alone = [batch.block_part(block, users, items, SCALING, None) for block in (first, second)]
    kept = alone[0].users.copy()
    both = batch.block_part(second, users, items, SCALING, alone[0])
    np.testing.assert_allclose(both.users, alone[0].users + alone[1].users, rtol=1e-12)
    assert both.items.tobytes() == alone[1].items.tobytes()
    assert both.squared_error == pytest.approx(alone[0].squared_error + alone[1].squared_error, rel=1e-14)
    assert alone[0].users.tobytes() == kept.tobytes()


def test_without_biases_they_have_no_slope() -> None:
    rng = np.random.default_rng(3)
    rows, counts = random_rows(rng, 4, 2), np.ones(4)
    found = batch.with_penalty(rows, counts, 0.1, False, random_rows(rng, 4, 2), random_rows(rng, 4, 2))
    assert not found[:, -1].any()
    assert found[:, :-1].all()


def test_shards_of_another_size_are_refused() -> None:
    rng = np.random.default_rng(4)
    with pytest.raises(ShardMismatch, match=r"a block of \(9, 7\) rows met shards of 9 and 8 rows"):
        batch.block_part(random_block(4, 5), random_rows(rng, 9, 2), random_rows(rng, 8, 2), SCALING, None)


def test_rows_come_back_bit_for_bit(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    kept = [random_rows(rng, 5, 3) for _ in range(2)]
    url = str(tmp_path / "rows.npy")
    checksum = batch.write_rows(url, *kept)
    for number in range(2):
        assert batch.read_rows(url, checksum, number).tobytes() == kept[number].tobytes()
    with pytest.raises(DamagedFile, match="holds no rows number 2"):
        batch.read_rows(url, checksum, 2)


def test_a_shard_holds_factors_and_biases_in_float32() -> None:
    rows = random_rows(np.random.default_rng(7), 5, 3)
    shard = batch.as_shard(rows)
    assert shard.factors.tobytes() == rows[:, :-1].astype(np.float32).tobytes()
    assert shard.biases.tobytes() == rows[:, -1].astype(np.float32).tobytes()
