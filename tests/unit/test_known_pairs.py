"""Products with the matrix of known pairs equal those of a dense matrix, and the search solves its ridge regression.

Covers: tasks/kernels/blocks/pair_sums.py, tasks/training/implicit/known_pairs.py and
tasks/training/implicit/pair_search.py, on blocks of several shards and tiles, in float32 and float64, with further
pairs; how sgd counts them.
Does not cover: what samplers make of them (test_implicit_draws.py).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from descending import random_shard
from exact_draws import SmallGrid
from hypothesis import given, settings
from hypothesis import strategies as st
from sessions import examples

from funkflow.tasks.kernels.tiles import TILE_ITEMS, TILE_USERS
from funkflow.tasks.training.implicit.first_means import begin_items, begin_users, count_items
from funkflow.tasks.training.implicit.known_pairs import (
    further_pairs,
    further_pairs_of_items,
    gram_part,
    roots,
    sums_over_items,
    sums_over_users,
)
from funkflow.tasks.training.implicit.pair_search import PairSearch, added
from funkflow.tasks.training.implicit.second_factors import means_of


@settings(max_examples=examples(40), deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 40), st.integers(1, 12)),
    width=st.sampled_from([3, 18]),
    shards=st.integers(1, 3),
    number=st.sampled_from(["f4", "f8"]),
    further=st.integers(0, 60),
)
def test_products_equal_those_of_a_dense_matrix(
    seed: int, shape: tuple[int, int], width: int, shards: int, number: Any, further: int
) -> None:
    rng = np.random.default_rng(seed)
    small = SmallGrid.random(rng, shape, int(rng.integers(1, 200)), 2, shards=min(shards, *shape), further=further)
    items, users, weights = rng.normal(size=(shape[1], width)), rng.normal(size=(shape[0], width)), rng.random(shape[0])
    pairs, close = small.known, 1e-4 if number == "f4" else 1e-12
    of_items, of_users = items.astype(number), users.astype(number)
    sums = np.concatenate([sums_over_items(row, of_items) for row in small.blocks])
    assert sums.dtype == number
    np.testing.assert_allclose(sums, pairs @ items, rtol=close, atol=close)
    back = [sums_over_users(row, of_users[part]) for row, part in zip(small.blocks, small.cuts[0], strict=True)]
    np.testing.assert_allclose(added(back), pairs.T @ users, rtol=close, atol=close)
    gram = [gram_part(row, of_items, weights[part]) for row, part in zip(small.blocks, small.cuts[0], strict=True)]
    np.testing.assert_allclose(added(gram), pairs.T @ (weights[:, None] * (pairs @ items)), rtol=close, atol=close)


def test_further_pairs_are_counted_beside_ratings() -> None:
    small = SmallGrid.random(np.random.default_rng(4), (9, 7), 20, 2, shards=2, further=15)
    users = [rated + further_pairs(row) for row, rated in zip(small.blocks, small.counts[0], strict=True)]
    parts = map(further_pairs_of_items, small.blocks)
    items = [rated + sum(more) for rated, *more in zip(small.counts[1], *parts, strict=True)]
    np.testing.assert_array_equal(np.concatenate(users), small.known.sum(axis=1))
    np.testing.assert_array_equal(np.concatenate(items), small.known.sum(axis=0))
    assert further_pairs(replace(small, further=0).blocks[0]) == 0.0


def test_means_of_sgd_count_known_pairs_of_rows_with_ratings() -> None:
    """Rows without ratings stay as they are, whatever is known of their pairs."""
    rng = np.random.default_rng(5)
    small = SmallGrid.random(rng, (9, 7), 9, 2, shards=2, further=30)
    shards = [random_shard(rng, len(rated), 3) for rated in small.counts[0]]
    begun = [begin_users([row], (shard,))[0] for row, shard in zip(small.blocks, shards, strict=True)]
    found = np.concatenate([means_of(each).counts for each in begun])
    rated = np.concatenate(small.counts[0])
    assert np.any(rated == 0)
    np.testing.assert_array_equal(found, np.where(rated > 0, small.known.sum(axis=1), 0.0))
    counted = [count_items([row]) for row in small.blocks]
    items = begin_items(counted, tuple(random_shard(rng, len(each), 3) for each in small.counts[1]), 0)
    found, rated = np.concatenate([means_of(each).counts for each in items]), np.concatenate(small.counts[1])
    np.testing.assert_array_equal(found, np.where(rated > 0, small.known.sum(axis=0), 0.0))


def test_many_tiles_count_every_pair_once() -> None:
    rng = np.random.default_rng(1)
    small = SmallGrid.random(rng, (TILE_USERS + 40, 2 * TILE_ITEMS + 120), 9_000, 2)
    ones = np.ones((small.shape[1], 1))
    np.testing.assert_array_equal(sums_over_items(small.blocks[0], ones)[:, 0], small.counts[0][0])
    np.testing.assert_array_equal(
        sums_over_users(small.blocks[0], np.ones((small.shape[0], 1)))[:, 0], small.counts[1][0]
    )


@pytest.mark.parametrize("side", ["users", "items"])
def test_the_search_ends_at_the_solution_of_its_regression(side: str) -> None:
    rng = np.random.default_rng(2)
    small = SmallGrid.random(rng, (50, 20), 300, 2, shards=2)
    pairs, counts = small.known, np.concatenate(small.counts[1])
    scales = np.ones(20) if side == "users" else roots(counts)
    weights = [roots(each) ** 2 if side == "users" else None for each in small.counts[0]]
    whole = np.concatenate([np.ones(25) if each is None else each for each in weights])
    shifts, wanted = np.array([0.1, 1.0, 30.0]), rng.normal(size=(20, 3))
    matrix = scales[:, None] * (pairs.T * whole @ pairs) * scales
    search = PairSearch.begin(np.zeros((20, 3)), wanted, scales, np.diag(matrix), shifts, "f8")
    for _ in range(60):
        search = search.step([search.part(row, each) for row, each in zip(small.blocks, weights, strict=True)])
    for f, shift in enumerate(shifts):
        exact = np.linalg.solve(matrix + shift * np.eye(20), wanted[:, f])
        np.testing.assert_allclose(search.solution[:, f], exact, rtol=1e-7, atol=1e-9)


def test_a_column_that_is_solved_stays() -> None:
    rng = np.random.default_rng(3)
    small = SmallGrid.random(rng, (9, 7), 30, 2)
    search = PairSearch.begin(np.ones((7, 1)), np.zeros((7, 1)), np.ones(7), np.ones(7), np.ones(1), "f4")
    after = search.step([search.part(small.blocks[0], None)])
    np.testing.assert_array_equal(after.solution, np.ones((7, 1)))
