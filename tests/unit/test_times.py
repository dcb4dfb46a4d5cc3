"""Effects of time equal slow, obvious twins, and are drawn from their exact distributions.

Covers: tasks/training/times/, tasks/kernels/blocks/time_sums.py, tasks/model/times/effects.py.
Does not cover: sweeps with effects on a cluster (tests/cluster/test_train_bayes.py), exported models
(tests/commands/test_predict_at_times.py).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from descending import random_block
from hypothesis import given, settings
from hypothesis import strategies as st
from sessions import examples

from funkflow.tasks.grid.block import RatingBlock
from funkflow.tasks.grid.scaling import Scaling
from funkflow.tasks.model.times.effects import ItemBins, UserDays
from funkflow.tasks.time_effects import BINS, DAYS, DRIFT
from funkflow.tasks.training.score import HeldOut
from funkflow.tasks.training.times import effects, row_days, row_sums, saved, steps
from funkflow.tasks.training.times.effects import ItemTimes, UserTimes
from funkflow.tasks.training.times.held_out_times import HeldOutTimes
from funkflow.tasks.training.times.row_days import NO_DAY, Calendar, RowDays

SHAPES = ((30, 20), (30, 25))
CALENDAR = Calendar((DAYS, DRIFT, BINS), (-3, 2, 4))
SCALING = Scaling(3.0, 1.3)


def a_row(seed: int, levels: int = 5) -> tuple[list[RatingBlock], list[RatingBlock], np.random.Generator]:
    """Blocks of ratings and of their days, some of which are before 1970."""
    rng = np.random.default_rng(seed)
    blocks = [
        random_block(rng, np.arange(30), np.arange(width), 120, shape, levels)
        for shape in SHAPES
        if (width := shape[1])
    ]
    days = [
        RatingBlock.of(each.user_rows, each.item_rows, rng.integers(-5, 6, len(each)).astype(np.float32), each.shape)
        for each in blocks
    ]
    return blocks, days, rng


def random_times(row: RowDays, rng: np.random.Generator) -> tuple[UserTimes, ItemTimes]:
    users = UserTimes(rng.normal(size=len(row.days)), rng.normal(size=30))
    return users, ItemTimes(rng.normal(size=(45, CALENDAR.bins)).astype(np.float32))


def plain_effects(
    blocks: list[RatingBlock], days: list[RatingBlock], row: RowDays, users: UserTimes, items: ItemTimes
) -> list[npt.NDArray[np.float64]]:
    """What time adds to each rating, one after another."""
    slot_of = {pair: slot for slot, pair in enumerate(zip(row.users.tolist(), row.days.tolist(), strict=True))}
    rated: dict[int, list[float]] = {}
    for block in days:
        for user, day in zip(block.user_rows.tolist(), block.ratings.tolist(), strict=True):
            rated.setdefault(user, []).append(day)
    found, first = [], 0
    for block in days:
        here = []
        for user, item, day in zip(
            block.user_rows.tolist(), block.item_rows.tolist(), block.ratings.tolist(), strict=True
        ):
            away = day - np.mean(rated[user])
            drift = users.drift[user] * np.sign(away) * (abs(away) / 100.0) ** 0.4
            bins = sum(day >= edge for edge in CALENDAR.edges)
            here.append(users.days[slot_of[user, int(day)]] + drift + items.table[first + item, bins])
        found.append(np.array(here))
        first += block.shape[1]
    return found


@settings(max_examples=examples(40), deadline=None)
@given(seed=st.integers(0, 2**32 - 1), levels=st.sampled_from([5, 300, 0]))
def test_ratings_lose_the_effects_of_their_time(seed: int, levels: int) -> None:
    blocks, days, rng = a_row(seed, levels)
    row = row_days.row_days(tuple(days))
    users, items = random_times(row, rng)
    without = row_sums.blocks_without(tuple(blocks), row, users, items, CALENDAR, 1.3)
    expected = plain_effects(blocks, days, row, users, items)
    for block, bare, added in zip(blocks, without, expected, strict=True):
        np.testing.assert_allclose(bare.ratings, block.ratings - 1.3 * added, rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(bare.user_rows, block.user_rows)


@settings(max_examples=examples(40), deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rank=st.sampled_from([1, 5, 18]), number=st.sampled_from(["f4", "f8"]))
def test_sums_of_residuals_equal_plain_ones(seed: int, rank: int, number: str) -> None:
    blocks, days, rng = a_row(seed, 0)
    row = row_days.row_days(tuple(days))
    users = rng.normal(size=(30, rank)).astype(number)
    shards = [rng.normal(size=(width, rank)).astype(number) for _, width in SHAPES]
    residuals, sums = row_sums.residuals_of(blocks, row, users, shards, SCALING)
    change, weights = rng.normal(size=len(row.days)), rng.uniform(0.5, 2.0, 30)
    by_bin = row_sums.sums_by_bin(blocks, row, residuals, change, weights, CALENDAR)
    plain, plain_sums, plain_weights = np.zeros(len(row.days)), np.zeros((45, 4)), np.zeros((45, 4))
    first = 0
    for block, slots, shard, found in zip(blocks, row.slots, shards, residuals, strict=True):
        products = np.sum(users[block.user_rows] * shard[block.item_rows], axis=1)
        away = (block.ratings.astype(np.float64) - 3.0) / 1.3 - products
        np.testing.assert_allclose(found, away, rtol=1e-4, atol=1e-4)
        np.add.at(plain, slots, away)
        bins, w = CALENDAR.bins_of(row.days)[slots], weights[block.user_rows]
        np.add.at(plain_sums, (first + block.item_rows, bins), w * (away - change[slots]))
        np.add.at(plain_weights, (first + block.item_rows, bins), w)
        first += block.shape[1]
    np.testing.assert_allclose(sums, plain, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(by_bin.sums, plain_sums, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(by_bin.weights, plain_weights, rtol=1e-9)


def test_draws_have_the_mean_and_the_covariance_of_the_exact_posterior() -> None:
    """Days and drift by turns are a Gibbs sampler of both, whose distribution dense algebra gives."""
    rng = np.random.default_rng(0)
    when = np.array([0, 0, 7, 7, 7, 30, 30, 90, *[5] * 8], np.float32)
    days = RatingBlock.of(np.repeat([0, 1], 8), np.tile(np.arange(8), 2), when, (2, 8))
    row = row_days.row_days((days,))
    slots, levels, precision = row.slots[0], (4.0, 2.0, 1.0), np.array([3.0, 2.0])
    targets, mine = rng.normal(size=16), days.user_rows == 0
    design = np.column_stack([np.eye(5)[slots[mine]][:, :4], effects.progress_of(row, 2)[slots[mine]]])
    covariance = np.linalg.inv(precision[0] * design.T @ design + np.diag([4.0] * 4 + [2.0]))
    mean = precision[0] * covariance @ design.T @ targets[mine]
    times, draws, generator = UserTimes.zeros(row, 2), [], np.random.default_rng(1)
    for _ in range(20_000):
        sums = np.zeros(len(row.days))
        np.add.at(sums, slots, targets - times.of_slots(row)[slots])
        times = effects.draw_user_times(row, times, sums, precision, CALENDAR, levels, generator)
        draws.append([*times.days[row.users == 0], times.drift[0]])
        assert times.days[row.users == 1] == [0.0]  # one day alone is the user's bias
    drawn = np.array(draws[50:])
    assert np.all(np.abs(drawn.mean(axis=0) - mean) < 0.02)
    np.testing.assert_allclose(np.cov(drawn.T), covariance, atol=0.015)


def test_effects_of_items_and_precisions_have_their_distributions() -> None:
    sums, told = np.array([[4.0, 0.0], [1.0, -6.0], [0.0, 0.0]]), np.array([[8.0, 2.0], [5.0, 9.0], [0.0, 0.0]])
    squares = [effects.Squares((1000.0, 0.0), (40.0, 0.0))]
    before = ItemTimes(np.zeros((3, 2), np.float32), (1.0, 1.0, 5.0))
    drawn = [
        effects.draw_item_times(before, sums, told, CALENDAR, squares, np.random.default_rng(seed), first=False)
        for seed in range(4000)
    ]
    tables = np.array([each.table for each in drawn])
    np.testing.assert_allclose(tables.mean(axis=0)[:2], sums[:2] / (told[:2] + 5.0), atol=0.03)
    np.testing.assert_allclose(tables.var(axis=0)[:2], 1.0 / (told[:2] + 5.0), rtol=0.1)
    assert not tables[:, 2].any()  # nothing was rated
    precisions = np.array([each.levels[0] for each in drawn])
    assert precisions.mean() == pytest.approx((0.5 + 500) / (0.005 + 20), rel=0.01)
    first = effects.draw_item_times(before, sums, told, CALENDAR, squares, np.random.default_rng(0), first=True)
    assert first.levels == before.levels


def counts_of(days: list[int], per_day: float, returning: float) -> row_days.DayCounts:
    return row_days.DayCounts(np.array(days), np.full(len(days), per_day), returning)


@pytest.mark.parametrize(
    ("days", "returning", "wanted", "expected"),
    [
        ([1, 20], 200.0, "auto", (DAYS,)),
        ([1, 10], 200.0, "auto", ()),
        ([1, 20], 5.0, "auto", ()),
        ([1, 10], 0.0, f"{BINS},{DAYS}", (DAYS, BINS)),
        ([1, 20], 200.0, "none", ()),
        ([], 0.0, "auto", ()),
    ],
)
def test_the_calendar_follows_the_days(
    days: list[int], returning: float, wanted: str, expected: tuple[str, ...]
) -> None:
    assert row_days.calendar_of([counts_of(days, 100.0, returning)], wanted, items=2).effects == expected


def test_bins_have_as_many_ratings_each() -> None:
    parts = [counts_of(list(range(0, 100, 2)), 20.0, 0.0), counts_of(list(range(1, 100, 2)), 20.0, 0.0)]
    calendar = row_days.calendar_of(parts, BINS, items=20)
    assert calendar.bins == 5
    sizes = np.bincount(calendar.bins_of(np.arange(100)), minlength=5)
    assert sizes.min() >= 19
    assert row_days.calendar_of(parts, BINS, items=100_000).edges == ()


def test_a_model_keeps_effects_and_reads_them_back(tmp_path: Path) -> None:
    _, days, rng = a_row(3)
    row = row_days.row_days(tuple(days))
    users, items = random_times(row, rng)
    place = str(tmp_path / "users.parquet")
    read = saved.read_user_times((place, saved.write_user_times(place, row, users, 2)))
    np.testing.assert_allclose(read.of(row.users, row.days), users.of_slots(row) / 2, atol=1e-6)
    table = str(tmp_path / "items.npy")
    bins = saved.read_item_times(
        (table, saved.write_item_times(table, items.table.astype(float), 2, slice(3, 9))), CALENDAR.edges
    )
    np.testing.assert_allclose(bins.of(np.array([0, -1]), np.array([-4, 0])), [items.table[3, 0] / 2, 0.0], atol=1e-6)


def test_effects_beside_the_last_day() -> None:
    """Unseen days have drift alone, and nobody has nothing."""
    given = UserDays(
        np.array([0, 0, 2], np.int32), np.array([10, 30, 7], np.int32), np.array([0.5, -0.25, 0.1]),
        np.array([0.0, 1.0, 0.0]), np.array([20.0, 0.0, 7.0]),
    )  # fmt: skip
    kept = UserDays.of_table(pa.table(given.columns())).from_last_days()
    users, days = np.array([0, 0, 0, 1, 2, -1]), np.array([10, 30, 20, 100, 7, 10])
    np.testing.assert_allclose(kept.of(users, days), [0.75, 0.0, 0.25, 1.0, 0.0, 0.0], atol=1e-6)
    bins = ItemBins.of_table(pa.table(ItemBins(np.array([[1.0, 3.0]]), (5,)).columns()), [5]).from_last_bin()
    np.testing.assert_allclose(bins.of(np.array([0, 0, -1]), np.array([4, 5, 4])), [-2.0, 0.0, 0.0])
    assert UserDays.of_table(pa.table(given.columns()).slice(1, 1)).of(np.array([0]), np.array([0])) == [0.0]


def test_a_step_is_the_least_of_squared_errors_and_ridge() -> None:
    """Of days, and then of drift beside them, by a general least-squares solver."""
    blocks, days, rng = a_row(7, 0)
    row, (users, _) = row_days.row_days(tuple(days)), random_times(row_days.row_days(tuple(days)), rng)
    mine = rng.normal(size=(30, 4)).astype(np.float32)
    shards = [rng.normal(size=(width, 4)).astype(np.float32) for _, width in SHAPES]
    stepped, sums = steps.step_times(tuple(blocks), row, users, mine, shards, SCALING, (5.0, 2.0), (DAYS, DRIFT))
    away, slots = [], np.concatenate(row.slots)
    for block, shard in zip(blocks, shards, strict=True):
        scaled = (block.ratings.astype(np.float64) - 3.0) / 1.3
        away.append(scaled - np.sum(mine[block.user_rows] * shard[block.item_rows], axis=1))
    targets, x = np.concatenate(away), effects.progress_of(row, 30)[slots]
    slot_users = row.users[slots]
    design = np.eye(len(row.days))[slots] * row.of_several[slots][:, None]
    expected = ridge(design, targets - users.drift[slot_users] * x, 5.0)
    np.testing.assert_allclose(stepped.days, expected, atol=1e-4)
    by_user = np.eye(30)[slot_users] * x[:, None]
    np.testing.assert_allclose(stepped.drift, ridge(by_user, targets - design @ stepped.days, 2.0), atol=1e-4)
    before = targets - users.days[slots] - users.drift[slot_users] * x
    assert sums.squares == pytest.approx(float(before @ before), rel=1e-4)
    assert sums.ratings == len(targets)


def ridge(design: npt.NDArray[np.float64], targets: npt.NDArray[np.float64], k: float) -> npt.NDArray[np.float64]:
    return np.asarray(np.linalg.solve(design.T @ design + k * np.eye(design.shape[1]), design.T @ targets), np.float64)


def test_ridges_find_the_variance_that_was_planted() -> None:
    """Noise of deviation 1, moods of deviation 0.5: k is 4, from wherever it starts."""
    rng = np.random.default_rng(2)
    users, per_day, days = 400, 5, 6
    u, i = np.repeat(np.arange(users), per_day * days), np.tile(np.arange(per_day * days), users)
    when = np.tile(np.repeat(np.arange(days), per_day), users)
    moods = 0.5 * rng.normal(size=(users, days))
    ratings = (moods[u, when] + rng.normal(size=len(u))).astype(np.float32)
    block, of_days = (
        RatingBlock.of(u, i, each.astype(np.float32), (users, per_day * days)) for each in (ratings, when)
    )
    row, nothing = row_days.row_days((of_days,)), Scaling(0.0, 1.0)
    rows = np.zeros((users, 2), np.float32), np.zeros((per_day * days, 2), np.float32)
    for first in (0.1, 100.0):
        times, ridges = UserTimes.zeros(row, users), (first, 20.0)
        for _ in range(60):
            times, sums = steps.step_times((block,), row, times, rows[0], [rows[1]], nothing, ridges, (DAYS,))
            ridges = steps.ridges_of([sums], ridges)
        assert ridges[0] == pytest.approx(4.0, rel=0.2)
        assert ridges[1] == 20.0  # there is no drift
    known = times.of_slots(row)[row.slots[0]]
    assert np.corrcoef(known, moods[of_days.user_rows, of_days.ratings.astype(int)])[0, 1] > 0.7


def test_a_row_without_times_is_worked_out_block_by_block() -> None:
    blocks, days, rng = a_row(9)
    row = row_days.row_days(tuple(days))
    users, _ = random_times(row, rng)
    calendar = Calendar((DAYS, DRIFT))
    whole = row_sums.blocks_without(tuple(blocks), row, users, ItemTimes.zeros(45, calendar), calendar, 1.3)
    lazy = steps.RowWithoutTimes.of(tuple(blocks), row, users, 1.3)
    for found, wanted in ((list(lazy), whole), (list(lazy[1:]), whole[1:]), ([lazy[0]], whole[:1])):
        assert [each.ratings.tolist() for each in found] == [each.ratings.tolist() for each in wanted]
    times = steps.ShareTimes((users,), (3.0, 4.0))
    read = steps.read_times([steps.written_times(times, 0)], [30])
    assert read.ridges == (3.0, 4.0)
    np.testing.assert_array_equal(read.shards[0].of_slots(row), users.of_slots(row))


def test_where_effects_of_validation_ratings_are() -> None:
    """A day without training ratings has drift alone; no day, no user and no item have nothing."""
    _, days, rng = a_row(11)
    row = row_days.row_days(tuple(days))
    users, items = random_times(row, rng)
    day, other = int(row.days[0]), 77
    ratings = HeldOut(
        np.array([row.users[0], row.users[0], -1, row.users[0]], np.int32), np.array([4, 4, 4, -1], np.int32),
        np.zeros(4, np.float32), np.array([0, 1, 4]), np.array([day, other, day, NO_DAY], np.int32),
    )  # fmt: skip
    where = HeldOutTimes.of(ratings, row, CALENDAR, [20, 25], 30)
    bins = CALENDAR.bins_of(np.array([day, other, day]))
    by_user = users.by_day(row)
    expected = by_user.of(np.array([row.users[0], row.users[0], -1]), np.array([day, other, day]))
    expected += items.table[np.array([4, 24, 24]), bins]
    np.testing.assert_allclose(where.offsets(users, items.table), [*expected, 0.0], atol=1e-6)
    np.testing.assert_allclose(where.offsets(users, items.table, 2), [*expected / 2, 0.0], atol=1e-6)
