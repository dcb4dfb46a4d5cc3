"""The compact mean of draws is the best approximation of their dense mean.

Covers: tasks/training/posterior/mean.py, and its files in tasks/training/posterior/state.py: merges, shards, ranks,
biases, what a merge cuts off.
Does not cover: draws (test_posterior_draws.py), the order of merges in a run (tests/cluster/test_train_bayes.py).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from funkflow.tasks.training.posterior import mean as compact
from funkflow.tasks.training.posterior import state
from funkflow.tasks.training.posterior.mean import CompactShard, Merge

Matrix = npt.NDArray[np.float64]
Rows = npt.NDArray[np.float32]
Draws = list[tuple[Rows, Rows]]
Shards = tuple[list[CompactShard], list[CompactShard]]


def drawn(seed: int, shape: tuple[int, int], rank: int, draws: int, biases: bool = True, spread: float = 0.3) -> Draws:
    """Draws about common rows, as those of a posterior are: rows of users and items, float32."""
    rng = np.random.default_rng(seed)
    width, found = rank + 2 * biases, []
    common = [rng.normal(size=(count, width)) for count in shape]
    for _ in range(draws):
        users, items = (each + spread * rng.normal(size=each.shape) for each in common)
        if biases:
            users[:, -1] = items[:, -2] = 1.0
        found.append((users.astype(np.float32), items.astype(np.float32)))
    return found


def cut(rows: Rows, shards: int) -> list[Rows]:
    return [np.ascontiguousarray(each) for each in np.array_split(rows, shards)]


def merge_all(draws: Draws, merges: int, rank: int, shards: int = 1, biases: bool = True) -> tuple[Shards, list[Merge]]:
    """Merge draws in so many merges."""
    sides: list[list[CompactShard]] = [
        [CompactShard.empty(len(part)) for part in cut(rows, shards)] for rows in draws[0]
    ]
    found = []
    for part in np.array_split(np.arange(len(draws)), merges):
        new = [[[cut(draws[n][side], shards)[a] for n in part] for a in range(shards)] for side in (0, 1)]
        stacked = [
            compact.stacked_gram(each, rows, biases)
            for shard, of_side in zip(sides, new, strict=True)
            for each, rows in zip(shard, of_side, strict=True)
        ]
        found.append(compact.find_merge(rank, shards, *stacked))
        sides = [
            [compact.merged(each, rows, biases, name, found[-1]) for each, rows in zip(shard, of_side, strict=True)]
            for shard, of_side, name in zip(sides, new, ("user", "item"), strict=True)
        ]
    return (sides[0], sides[1]), found


def dense(draws: Draws, biases: bool = True) -> Matrix:
    """The sum of the products of factors."""
    last = -2 if biases else None
    products = [np.asarray(u[:, :last], float) @ np.asarray(v[:, :last], float).T for u, v in draws]
    return np.asarray(np.sum(products, axis=0))


def product(shards: Shards, rank: int | None = None) -> Matrix:
    users, items = (np.concatenate([each.factors[:, :rank] for each in side]).astype(float) for side in shards)
    return np.asarray(users @ items.T)


def best(matrix: Matrix, rank: int) -> Matrix:
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    return np.asarray((left[:, :rank] * values[:rank]) @ right[:rank])


def relative(found: Matrix, wanted: Matrix) -> float:
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))


@pytest.mark.parametrize(("merges", "shards", "biases"), [(1, 1, True), (4, 1, True), (4, 3, False), (12, 3, True)])
def test_merges_that_cut_nothing_off_have_the_sum_of_all_draws(merges: int, shards: int, biases: bool) -> None:
    draws = drawn(1, (50, 40), 3, 12, biases)
    sides, merged = merge_all(draws, merges, 100, shards, biases)
    whole = dense(draws, biases)
    assert relative(product(sides), whole) < 1e-6
    for rank in (1, 3, 6):
        assert relative(product(sides, rank), best(whole, rank)) < 1e-5
    values = np.linalg.svd(whole, compute_uv=False)[: len(merged[-1].values)]
    np.testing.assert_allclose(merged[-1].values, values, rtol=1e-4, atol=1e-5 * values[0])
    assert merged[-1].whole == pytest.approx(np.sum(whole**2), rel=1e-6)
    assert sum(each.lost for each in merged) < 1e-12 * merged[-1].whole
    for side, place, shard in ((0, -2, sides[0]), (1, -1, sides[1])):
        wanted = np.sum([np.asarray(each[side][:, place], float) for each in draws], axis=0) if biases else 0.0
        np.testing.assert_allclose(np.concatenate([each.biases for each in shard]), wanted, rtol=1e-12)


def test_one_merge_loses_what_it_says() -> None:
    draws = drawn(2, (50, 40), 4, 5)
    sides, (merge,) = merge_all(draws, 1, 8)
    whole = dense(draws)
    assert sides[0][0].factors.shape == (50, 8)
    assert relative(product(sides), best(whole, 8)) < 1e-6
    assert merge.lost == pytest.approx(np.sum((whole - product(sides)) ** 2), rel=1e-4)
    assert merge.lost > 1e-5 * merge.whole


def test_many_merges_lose_no_more_than_the_sum_of_what_they_say() -> None:
    """The triangle of lengths; and not much more than the best product of that rank."""
    draws = drawn(3, (120, 90), 4, 40)
    sides, merged = merge_all(draws, 10, 16)
    whole = dense(draws)
    lost = float(np.linalg.norm(whole - product(sides)))
    assert lost <= sum(np.sqrt(each.lost) for each in merged) * (1 + 1e-5)
    assert lost >= np.linalg.norm(whole - best(whole, 16)) * (1 - 1e-5)
    assert relative(product(sides, 8), best(whole, 8)) < 0.02


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (5, 3)])
def test_rows_fewer_than_the_rank(shape: tuple[int, int]) -> None:
    draws = drawn(4, shape, 6, 7)
    sides, merged = merge_all(draws, 3, 24)
    assert merged[-1].values.shape == (min(shape),)
    assert relative(product(sides), dense(draws)) < 1e-6
    shard = compact.as_factor_shard(sides[0][0], 7, 24)
    assert shard.factors.shape == (shape[0], 24)
    assert not shard.factors[:, min(shape) :].any()


def test_more_rows_than_a_leaf_have_the_same_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    draws = drawn(5, (50, 40), 3, 6)
    whole, _ = merge_all(draws, 2, 9)
    monkeypatch.setattr(compact, "LEAF_ROWS", 7)
    leaves, _ = merge_all(draws, 2, 9)
    assert relative(product(leaves), product(whole)) < 1e-6


def test_shards_without_rows_and_draws_of_zeros() -> None:
    draws = drawn(6, (2, 40), 3, 6)
    sides, _ = merge_all(draws, 2, 18, shards=3)
    assert [len(each.factors) for each in sides[0]] == [1, 1, 0]
    assert relative(product(sides), dense(draws)) < 1e-6
    zeros = [(0 * users, 0 * items) for users, items in draws]
    sides, (merge,) = merge_all(zeros, 1, 18)
    assert sides[0][0].factors.shape == (2, 0)
    assert merge.lost == merge.whole == 0.0


def test_the_shard_of_a_mean_has_its_predictions() -> None:
    draws = drawn(7, (30, 20), 3, 8)
    sides, _ = merge_all(draws, 2, 24)
    users, items = (compact.as_factor_shard(side[0], 8, 24) for side in sides)
    found = users.factors.astype(float) @ items.factors.T + users.biases[:, None] + items.biases
    np.testing.assert_allclose(found, np.mean([u.astype(float) @ v.T for u, v in draws], axis=0), atol=1e-5)


def test_files_have_the_bits_that_the_next_merge_takes(tmp_path: Path) -> None:
    draws = drawn(8, (30, 20), 3, 8)
    sides, (merge,) = merge_all(draws, 1, 12)
    kept = state.rounded(sides[0][0])
    place = str(tmp_path / "mean.npy"), state.write_compact(str(tmp_path / "mean.npy"), kept)
    again = state.read_compact(place)
    assert again.factors.tobytes() == kept.factors.tobytes()
    assert again.biases.tobytes() == kept.biases.tobytes()
    np.testing.assert_allclose(kept.biases, sides[0][0].biases, rtol=1e-13)
    assert state.losses_of(merge) == (merge.lost, merge.whole)
