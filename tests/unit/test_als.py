"""Row solves of a block and a shard equal those on whole matrices in NumPy.

Covers: tasks/training/als.py, tasks/grid/row_search.py, tasks/grid/row_basis.py, tasks/kernels/row_order.py,
tasks/kernels/row_steps.py: users, items, biases, codings, empty rows, tiles and blocks.
Does not cover: sums at any rank (test_row_terms.py), the graph on a cluster (tests/cluster/test_train_als.py).
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from dense_als import Dense
from hypothesis import given, settings
from hypothesis import strategies as st
from sessions import choices, examples, only_long

from funkflow.tasks.errors import ShardMismatch
from funkflow.tasks.grid import ordered_ratings, solved_rows
from funkflow.tasks.grid.block import RatingBlock
from funkflow.tasks.grid.row_basis import RowBasis
from funkflow.tasks.grid.row_objective import Objective
from funkflow.tasks.grid.scaling import Scaling
from funkflow.tasks.kernels.tiles import TILE_ITEMS, TILE_USERS
from funkflow.tasks.training import als

Matrix = npt.NDArray[np.float64]


class Case:
    """A small matrix as one row of blocks and densely, with rows to start from."""

    def __init__(self, seed: int, shape: tuple[int, int], count: int, levels: int, rank: int, **numbers: Any) -> None:
        rng = np.random.default_rng(seed)
        users, items = shape
        cells = np.sort(rng.choice(users * items, size=min(count, users * items), replace=False))
        u, i = cells // items, cells % items
        drawn: Any = rng.normal(size=len(cells)) if not levels else rng.integers(1, levels + 1, len(cells))
        ratings = drawn.astype(np.float32)
        self.shape, self.rank = shape, rank
        self.biases = bool(numbers.get("biases"))
        self.objective = Objective(
            numbers.get("alpha", 0.0), numbers.get("l2", 0.1), users, items, Scaling(0.7, 1.6), self.biases,
            bool(numbers.get("counts")), numbers.get("toward_mean", 0.0),
        )  # fmt: skip
        targets, sure = np.full(shape, np.nan), np.ones(shape)
        targets[u, i] = (ratings.astype(np.float64) - 0.7) / 1.6
        if self.objective.counts:
            targets[u, i], sure[u, i] = 1.0, 1.0 + np.log((1.0 + ratings.astype(np.float64)) / 2.0)
        cut = max(1, items // 2)
        self.cuts = [slice(0, cut), slice(cut, items)] if items > 1 else [slice(0, items)]
        self.blocks = tuple(
            RatingBlock.of(u[mine], i[mine] - part.start, ratings[mine], (users, part.stop - part.start))
            for part in self.cuts
            for mine in [(i >= part.start) & (i < part.stop)]
        )
        self.left, self.right = (
            solved_rows.rows_of(rng.normal(size=(rows, rank)), rng.normal(size=rows), side, self.biases)
            for rows, side in zip(shape, ("user", "item"), strict=True)
        )
        of_users, of_items = als.count_confidences(self.blocks, self.objective)
        self.counts = [of_users, np.concatenate(of_items)]
        self.common = als.common_of(self.objective, als.weighed_users(self.left, of_users, self.objective))
        self.dense = Dense(
            targets, self.objective.alpha, self.objective.l2, sure, self.common, self.objective.toward_mean
        )

    def basis(self, side: str, others: Matrix) -> RowBasis:
        return als.basis_of(self.objective, side, als.gram_of(others))

    def solve_users(self, steps: int, number: str = "f8") -> als.Solved:
        left, right, basis = self.left.astype(number), self.right.astype(number), self.basis("users", self.right)
        shards = [np.ascontiguousarray(right[part]) for part in self.cuts]
        return als.solve_users(self.blocks, left, shards, basis, self.counts[0], self.objective, steps, self.common)

    def in_users(self, steps: int, number: str) -> Matrix:
        return np.asarray(self.solve_users(steps, number).rows)

    def in_items(self, steps: int, number: str) -> Matrix:
        left, right, basis = self.left.astype(number), self.right.astype(number), self.basis("items", self.left)
        ordered = als.order_items(self.blocks, right.shape[1], number)
        found = []
        for column, part in enumerate(self.cuts):
            mine, counts = np.ascontiguousarray(right[part]), self.counts[1][part]
            first = als.item_part(ordered, column, left, mine, self.objective, no_targets=False)
            state = als.begin_items(mine, basis, counts, self.objective, first)
            for _ in range(steps):
                directions = als.directions_of(state)
                one = als.item_part(ordered, column, left, directions, self.objective, no_targets=True)
                state = als.step_items(state, one)
            found.append(als.rows_of_search(state))
        return np.concatenate(found)


CASES = given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 40), st.integers(1, 12)),
    count=st.integers(1, 200),
    levels=st.sampled_from([1, 5, 300, 0]),
    rank=choices([3, 17], [1, 8]),
    alpha=st.sampled_from([0.0, 0.01, 0.5, 1.0]),
    toward_mean=st.sampled_from([0.0, 0.6, 1.0]),
    kind=st.sampled_from(["ratings", "biases", "counts"]),
)


@settings(max_examples=examples(80), deadline=None)
@CASES
def test_solves_equal_those_on_whole_matrices(
    seed: int, shape: tuple[int, int], count: int, levels: int, rank: int, alpha: float, toward_mean: float, kind: str
) -> None:
    counts, biases = kind == "counts" and levels > 0, kind == "biases" and not alpha
    case = Case(
        seed, shape, count, levels, rank, alpha=alpha, biases=biases, counts=counts,
        toward_mean=toward_mean if alpha else 0.0,
    )  # fmt: skip
    fixed = {"users": rank + 1, "items": rank} if case.biases else {"users": None, "items": None}
    users = case.dense.solved(case.left, case.right, 3, fixed["users"])
    np.testing.assert_allclose(case.solve_users(3).rows, users, rtol=1e-10, atol=1e-10)
    items = case.dense.transposed.solved(case.right, case.left, 3, fixed["items"])
    np.testing.assert_allclose(case.in_items(3, "f8"), items, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("alpha", "cached"), [only_long(0.0, ordered_ratings.CACHED_BYTES), (0.3, 1)])
def test_several_tiles_of_users_and_items(alpha: float, cached: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """And in float32, to its precision; also with a cache that holds only the smallest part of the other side."""
    monkeypatch.setattr(ordered_ratings, "CACHED_BYTES", cached)
    case = Case(3, (TILE_USERS + 40, 2 * TILE_ITEMS + 120), 40_000, 5, 6, alpha=alpha, l2=0.3)
    sides = (
        (
            case.dense,
            case.left,
            case.right,
            [0, 1, 31, 32, TILE_USERS - 1, TILE_USERS, len(case.left) - 1],
            case.in_users,
        ),
        (case.dense.transposed, case.right, case.left, [0, TILE_ITEMS, 1083, 1084, len(case.right) - 1], case.in_items),
    )
    for dense, mine, others, rows, solve in sides:
        exact = dense.solved(mine, others, 2, rows=rows)[rows]
        np.testing.assert_allclose(solve(2, "f8")[rows], exact, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(solve(2, "f4")[rows], exact, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("alpha", "biases"), [(0.0, False), (0.0, True), (0.4, False), (1.0, False)])
def test_many_steps_reach_the_minimum_of_the_row(alpha: float, biases: bool) -> None:
    case = Case(5, (30, 20), 200, 5, 4, alpha=alpha, biases=biases)
    exact = case.dense.solved(case.left, case.right, None, 5 if biases else None)
    np.testing.assert_allclose(case.solve_users(40).rows, exact, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("alpha", "biases", "toward_mean"), [(0.3, 0, 0), (0.3, 0, 0.7), (1.0, 0, 0), (0.0, 1, 0)])
def test_the_objective_between_the_halves(alpha: float, biases: int, toward_mean: float) -> None:
    case = Case(6, (30, 20), 200, 5, 4, alpha=alpha, biases=biases, toward_mean=toward_mean)
    solved = case.solve_users(2)
    case.left = solved.rows
    parts = [
        (column, np.ascontiguousarray(case.right[part]), case.counts[1][part]) for column, part in enumerate(case.cuts)
    ]
    items = [
        als.begin_items(mine, case.basis("items", case.left), counts, case.objective,
                        als.item_part(case.blocks, column, case.left, mine, case.objective, no_targets=False)).seen
        for column, mine, counts in parts
    ]  # fmt: skip
    targets = float(np.nansum(case.dense.targets**2))
    found = case.objective.value(targets, solved.seen, items[0] + items[1])
    expected = case.dense.objective(case.left, case.right)
    if biases:  # no penalty on the columns of ones
        expected -= case.dense.penalties().sum() + case.dense.transposed.penalties().sum()
    assert found == pytest.approx(expected, rel=1e-9)


def test_the_objective_is_least_at_the_common_row() -> None:
    case = Case(6, (30, 20), 40, 5, 4, alpha=0.2, toward_mean=0.7)
    assert (case.counts[0] == 0).any()
    assert case.common is not None
    np.testing.assert_allclose(case.common, case.dense.least_common(case.left), rtol=1e-12)
    least = case.dense.objective(case.left, case.right)
    for place, sign in itertools.product(range(4), (1, -1)):
        moved = case.common + sign * 1e-3 * np.eye(4)[place]
        assert replace(case.dense, common=moved).objective(case.left, case.right) > least


@pytest.mark.parametrize("toward_mean", [0.0, 0.7])
def test_half_the_gradient_is_seen(toward_mean: float) -> None:
    case, step = Case(7, (6, 5), 20, 5, 2, alpha=0.3, toward_mean=toward_mean), 1e-6
    slope = np.zeros(case.left.shape)
    for place in np.ndindex(*case.left.shape):
        ends = []
        for sign in (1, -1):
            moved = case.left.copy()
            moved[place] += sign * step
            ends.append(case.dense.objective(moved, case.right))
        slope[place] = (ends[0] - ends[1]) / (2 * step)
    rated = case.counts[0] > 0
    assert case.solve_users(1).seen.slope == pytest.approx(np.sum(slope[rated] ** 2) / 4, rel=1e-6)


def test_rows_become_shards_and_again_rows() -> None:
    case = Case(8, (9, 7), 30, 5, 3, biases=True)
    for rows, side in ((case.left, "user"), (case.right, "item")):
        shard = solved_rows.as_shard(rows, side, biases=True)
        again = solved_rows.rows_of(shard.factors, shard.biases, side, with_biases=True)
        np.testing.assert_allclose(again, rows, rtol=1e-6)
    prediction = case.left @ case.right.T
    left, right = solved_rows.as_shard(case.left, "user", True), solved_rows.as_shard(case.right, "item", True)
    of_shards = left.factors @ right.factors.T + left.biases[:, None] + right.biases
    np.testing.assert_allclose(prediction, of_shards, atol=1e-5)


def test_shards_of_other_sizes_are_refused() -> None:
    case = Case(9, (9, 7), 30, 5, 3)
    with pytest.raises(ShardMismatch, match=r"a block of \(9, 3\) rows met shards of 9 and 4 rows"):
        als.item_part(case.blocks, 0, case.left, case.right[3:], case.objective, no_targets=False)


def test_one_step_goes_about_as_far_as_exact_solves() -> None:
    """J after five epochs from the same start, on noisy tastes of rank 4; without the preconditioner it does not."""
    rng = np.random.default_rng(1)
    tastes = rng.gamma(1, 1, (200, 4)) @ rng.gamma(1, 1, (100, 4)).T
    observed = rng.random(tastes.shape) < np.minimum(1, 0.3 * tastes / tastes.mean())
    targets = np.clip(0.2 + 0.8 * (tastes / tastes.max() + rng.normal(0, 0.1, tastes.shape)), 0.2, 1)
    dense = Dense(np.where(observed, targets, np.nan), 0.3, 0.01)
    start = rng.normal(0, 0.05, (200, 8)), rng.normal(0, 0.05, (100, 8))

    def trained(steps: int | None, plain: bool) -> float:
        left, right = start
        for _ in range(5):
            left = dense.solved(left, right, steps, plain=plain)
            right = dense.transposed.solved(right, left, steps, plain=plain)
        return dense.objective(left, right)

    least = trained(None, False)
    assert trained(1, False) < 1.005 * least
    assert trained(1, True) > 1.005 * least
