"""Second factors of stochastic descent: steps of ridge regression on who rated what, and the pull to row means.

Covers: tasks/training/implicit/second_factors.py, tasks/training/implicit/first_means.py,
tasks/training/implicit/schedule.py, the predicted memory, and the pull of tasks/kernels/sgd.py beside its plain twin.
Does not cover: products with the pairs (test_known_pairs.py), whole trainings (tests/cluster/test_implicit.py).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from descending import STEPS, as_plain, plain_tiles, random_block, random_shard
from hypothesis import given, settings
from hypothesis import strategies as st
from sessions import examples

from funkflow.pipeline.planning.method_memory import Size, Workload
from funkflow.pipeline.planning.sgd_memory import sgd_need
from funkflow.tasks.grid.block import RatingBlock
from funkflow.tasks.grid.factor_shard import FactorShard, RowMeans, read_shard, shard_rows, write_shard
from funkflow.tasks.kernels.reference import descend_plainly
from funkflow.tasks.kernels.tiles import TILE_ITEMS
from funkflow.tasks.training.implicit import first_means
from funkflow.tasks.training.implicit import second_factors as steps
from funkflow.tasks.training.implicit.schedule import EXPLAINED, FIRST_PULL, LAST_LOOK, Implicit
from funkflow.tasks.training.sgd import descend_in_place

RANK, RIDGE = 3, 2.0
Shards = tuple[FactorShard, ...]


class Small:
    """A small grid, with shards in the middle of training whose means are zeros."""

    def __init__(self, seed: int, shape: tuple[int, int] = (40, 15), shards: int = 4, count: int = 200) -> None:
        rng = np.random.default_rng(seed)
        self.shards, self.shape = shards, shape
        self.sizes = [[shard_rows(rows, shards, number) for number in range(shards)] for rows in shape]
        cells = rng.choice(shape[0] * shape[1], count, replace=False)
        self.pairs = np.zeros(shape)
        self.pairs.flat[cells] = 1.0
        cuts = [np.cumsum([0, *sizes]) for sizes in self.sizes]
        self.rows: list[tuple[RatingBlock, ...]] = []
        for a in range(shards):
            blocks = []
            for b in range(shards):
                inside = self.pairs[cuts[0][a] : cuts[0][a + 1], cuts[1][b] : cuts[1][b + 1]]
                users, items = np.nonzero(inside)
                blocks.append(RatingBlock.of(users, items, np.ones(len(users), np.float32), inside.shape))
            self.rows.append(tuple(blocks))
        first = [tuple(random_shard(rng, rows, RANK) for rows in sizes) for sizes in self.sizes]
        self.users = first_means.begin_users(self.rows, first[0])
        self.items = first_means.begin_items([first_means.count_items(self.rows)], first[1], 0)

    def stepped(self, side: str, times: int = 1, follow: bool = False) -> tuple[Shards, Shards]:
        """Both sides after some steps for one side, where rows follow or stay."""
        users, items = self.users, self.items
        for _ in range(times):
            after = steps.step_all(self.rows, users, items, side, RIDGE, follow, 1)
            users, items = after
        return users, items


def rows_of(shards: Shards) -> Any:
    return np.concatenate([np.column_stack([shard.factors, shard.biases]) for shard in shards]).astype(float)


def means_of(shards: Shards) -> Any:
    found = [shard.means for shard in shards if shard.means]
    return np.concatenate([np.column_stack([each.factors, each.biases]) for each in found]).astype(float)


def second_of(shards: Shards) -> Any:
    return np.concatenate([shard.means.second for shard in shards if shard.means]).astype(float)


@pytest.mark.parametrize("side", ["users", "items"])
def test_many_steps_end_at_the_dense_solution(side: str) -> None:
    """Of ridge regression of the rows on the pairs, with a mean that all rows share."""
    small = Small(1)
    of = 0 if side == "users" else 1
    pairs, rows = (small.pairs, small.users) if side == "users" else (small.pairs.T, small.items)
    after = small.stepped(side, 400)
    counts = pairs.sum(axis=1)
    design = np.column_stack([pairs / np.sqrt(np.maximum(counts, 1.0))[:, None], np.ones(len(pairs))])
    ridge = np.diag([RIDGE] * pairs.shape[1] + [0.0])
    solved = np.linalg.solve(design.T * counts @ design + ridge, design.T * counts @ rows_of(rows))
    np.testing.assert_allclose(second_of(after[1 - of]), solved[:-1], atol=2e-3)
    rated = counts > 0
    np.testing.assert_allclose(means_of(after[of])[rated], (design @ solved)[rated], atol=2e-3)


@pytest.mark.parametrize("side", ["users", "items"])
def test_a_step_goes_to_the_least_value_along_its_gradient(side: str) -> None:
    """A twin in NumPy, column by column, takes the second step, so that second factors are in the gradient."""
    small = Small(2)
    of = 0 if side == "users" else 1
    pairs, rows = (small.pairs, small.users) if side == "users" else (small.pairs.T, small.items)
    before, after = small.stepped(side), small.stepped(side, 2)
    counts = pairs.sum(axis=1)
    design = pairs / np.sqrt(np.maximum(counts, 1.0))[:, None]
    left = rows_of(rows) - means_of(before[of])
    change = (counts[:, None] * left).sum(axis=0) / counts.sum()
    second = second_of(before[1 - of])
    slopes = design.T @ (counts[:, None] * (left - change)) - RIDGE * second
    along = slopes / (pairs.sum(axis=0) + RIDGE)[:, None]
    image = design @ along
    length = (slopes * along).sum(axis=0) / ((counts[:, None] * image**2).sum(axis=0) + RIDGE * (along**2).sum(axis=0))
    np.testing.assert_allclose(second_of(after[1 - of]), second + length * along, rtol=1e-3, atol=1e-5)
    moved = means_of(before[of]) + change + length * image
    rated = counts > 0
    np.testing.assert_allclose(means_of(after[of])[rated], moved[rated], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("side", ["users", "items"])
def test_rows_with_ratings_follow_half_of_the_way(side: str) -> None:
    small = Small(3, count=25)
    of = 0 if side == "users" else 1
    before = (small.users, small.items)[of]
    after = small.stepped(side, follow=True)[of]
    np.testing.assert_allclose(rows_of(after) - rows_of(before), 0.5 * means_of(after), atol=1e-6)
    unrated = small.pairs.sum(axis=1 - of) == 0
    assert unrated.any()
    np.testing.assert_array_equal(rows_of(after)[unrated], rows_of(before)[unrated])


@pytest.mark.parametrize("shares", [2, 6])
@pytest.mark.parametrize("side", ["users", "items"])
def test_any_number_of_shares_gives_the_same_bits(side: str, shares: int) -> None:
    small = Small(4, shards=6, shape=(60, 31), count=500)
    small.users, small.items = small.stepped("users")
    whole = steps.step_all(small.rows, small.users, small.items, side, RIDGE, True, 2)
    size = small.shards // shares
    cuts = [slice(start, start + size) for start in range(0, small.shards, size)]
    firsts = [sum(small.sizes[1][: mine.start]) for mine in cuts]
    rows: Any
    users: Any
    items: Any
    rows, users, items = ([side_[mine] for mine in cuts] for side_ in (small.rows, small.users, small.items))
    if side == "users":
        parts = [steps.residuals_of_users(*each, 1) for each in zip(rows, users, strict=True)]
        direction = steps.direct_items(parts, items, RIDGE)
        images = [steps.images_of_users(each, direction, 1) for each in rows]
        move = steps.settle_users(direction, [each.curvature for each in images])
        users = [steps.move_users(*each, move, True) for each in zip(users, images, strict=True)]
        items = [
            steps.move_second_of_items(each, direction, move, first) for each, first in zip(items, firsts, strict=True)
        ]
    else:
        given_ = steps.residuals_of_items(items)
        found = [steps.direct_users(*each, given_, RIDGE, 1) for each in zip(rows, users, strict=True)]
        move = steps.settle_items(given_, [steps.part_of(each) for each in found])
        users = [steps.move_second_of_users(*each, move) for each in zip(users, found, strict=True)]
        items = [steps.move_items(each, move, first, True) for each, first in zip(items, firsts, strict=True)]
    for one, other in zip((*whole[0], *whole[1]), (*sum(users, ()), *sum(items, ())), strict=True):
        assert bits_of(one) == bits_of(other)


def bits_of(shard: FactorShard) -> bytes:
    assert shard.means
    return b"".join(each.tobytes() for each in (shard.factors, shard.states, *shard.means.arrays))


def with_means(rng: np.random.Generator, shard: FactorShard) -> FactorShard:
    rows, rank = shard.factors.shape
    means = RowMeans.zeros(np.ones(rows, np.int64), rank)
    factors, biases = (rng.normal(size=size).astype(np.float32) for size in ((rows, rank), (rows,)))
    return replace(shard, means=replace(means, factors=factors, biases=biases))


@settings(max_examples=examples(30), deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rank=st.sampled_from([3, 17, 64]), l2=st.sampled_from([0.0, 0.1, 3.0]))
def test_the_pull_equals_its_twin(seed: int, rank: int, l2: float) -> None:
    rng = np.random.default_rng(seed)
    shape = (40, TILE_ITEMS + 9)
    block = random_block(rng, np.arange(40), np.concatenate([np.arange(9), TILE_ITEMS + np.arange(9)]), 300, shape)
    users, items = (with_means(rng, random_shard(rng, rows, rank)) for rows in shape)
    chosen = replace(STEPS, l2=l2)
    plain: list[Any] = []
    for shard in (users, items):
        assert shard.means
        means = {"means": shard.means.factors.astype(float), "mean_biases": shard.means.biases.astype(float)}
        plain.append({**as_plain(shard), **means})
    slow = descend_plainly(plain_tiles(block, chosen), plain[0], plain[1], l2, chosen.step, chosen.bias_step)
    assert descend_in_place(block, users, items, chosen, pulled=True) == pytest.approx(slow, rel=1e-3)
    for shard, twin in zip((users, items), plain, strict=True):
        for name, values in as_plain(shard).items():
            np.testing.assert_allclose(values, twin[name], rtol=2e-3, atol=2e-4)


def test_a_pull_to_zeros_is_no_pull() -> None:
    rng = np.random.default_rng(8)
    block = random_block(rng, np.arange(30), np.arange(20), 200, (30, 20))
    shards = [random_shard(rng, rows, 5) for rows in block.shape]
    pulled = [replace(shard.copy(), means=RowMeans.zeros(np.ones(len(shard.factors), np.int64), 5)) for shard in shards]
    plain = [shard.copy() for shard in shards]
    assert descend_in_place(block, pulled[0], pulled[1], STEPS, pulled=True) == descend_in_place(
        block, plain[0], plain[1], STEPS
    )
    for one, other in zip(pulled, plain, strict=True):
        assert one.factors.tobytes() == other.factors.tobytes()


def test_a_shard_with_means_is_read_as_it_was_written(tmp_path: Path) -> None:
    small = Small(5)
    shard = small.stepped("users", follow=True)[0][1]
    url = str(tmp_path / "shard.npy")
    read = read_shard(url, write_shard(url, shard), RANK)
    assert bits_of(replace(read, states=shard.states)) == bits_of(shard)


def test_sides_take_steps_by_turns() -> None:
    rule = Implicit.of("both", 1000, 10, 10)
    assert [rule.side(epoch, []) for epoch in range(1, 6)] == ["users", None, "items", None, "users"]
    assert [rule.pulls(epoch, []) for epoch in (FIRST_PULL - 1, FIRST_PULL)] == [False, True]
    assert Implicit.of("items", 1000, 10, 10).side(3, []) == "users"
    assert Implicit.of("none", 1000, 10, 10).side(1, []) is None


def history(*explained: float) -> list[tuple[float, float, float, float]]:
    return [(1.0, 1.0, 0.0, each) for each in explained]


def test_auto_pulls_from_the_second_epoch_after_means_explain_rows() -> None:
    rule = Implicit.of("auto", 1000, 10, 10)
    seen = history(0.0, 0.0, 0.0, EXPLAINED, 0.0, 0.0, 0.0)
    assert [rule.pulls(epoch, seen) for epoch in (4, 5, 6, 7)] == [False, False, True, True]
    assert [rule.looks(epoch, seen) for epoch in (4, 5, 7)] == [False, True, False]


def test_auto_gives_up_where_means_explain_little() -> None:
    rule, little = Implicit.of("auto", 1000, 10, 10), history(*[0.9 * EXPLAINED] * 20, 1.0)
    assert not any(rule.pulls(epoch, little) for epoch in range(1, 30))
    assert [rule.side(epoch, little) is None for epoch in (LAST_LOOK - 1, LAST_LOOK + 1)] == [False, True]
    assert not rule.looks(LAST_LOOK + 1, little)


def test_memory_of_means_is_predicted() -> None:
    """More with means, by at least the means and second factors of all rows."""
    work = Workload(Size(99_000_000, 480_189, 17_770, 0), 64, 4, 1, 2)
    more = sgd_need(replace(work, row_means=True)).worker - sgd_need(work).worker
    assert more > 4 * RowMeans.width(64) * work.size.rows
