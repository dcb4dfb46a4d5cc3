"""Products with the matrix of known pairs equal those of a dense matrix, and the search solves its ridge regression.

Covers: tasks/kernels/blocks/pair_sums.py, tasks/training/implicit/known_pairs.py and
tasks/training/implicit/pair_search.py, on blocks of several shards and tiles, in float32 and float64.
Does not cover: what samplers make of them (test_implicit_draws.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from exact_draws import SmallGrid
from hypothesis import given, settings
from hypothesis import strategies as st
from sessions import examples

from funkflow.tasks.kernels.tiles import TILE_ITEMS, TILE_USERS
from funkflow.tasks.training.implicit.known_pairs import gram_part, roots, sums_over_items, sums_over_users
from funkflow.tasks.training.implicit.pair_search import PairSearch, added


def dense(small: SmallGrid) -> Any:
    pairs = np.zeros(small.shape)
    pairs[small.u, small.i] = 1.0
    return pairs


@settings(max_examples=examples(40), deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 40), st.integers(1, 12)),
    width=st.sampled_from([3, 18]),
    shards=st.integers(1, 3),
    number=st.sampled_from(["f4", "f8"]),
)
def test_products_equal_those_of_a_dense_matrix(
    seed: int, shape: tuple[int, int], width: int, shards: int, number: Any
) -> None:
    rng = np.random.default_rng(seed)
    small = SmallGrid.random(rng, shape, int(rng.integers(1, 200)), 2, shards=min(shards, *shape))
    items, users, weights = rng.normal(size=(shape[1], width)), rng.normal(size=(shape[0], width)), rng.random(shape[0])
    pairs, close = dense(small), 1e-4 if number == "f4" else 1e-12
    of_items, of_users = items.astype(number), users.astype(number)
    sums = np.concatenate([sums_over_items(row, of_items) for row in small.blocks])
    assert sums.dtype == number
    np.testing.assert_allclose(sums, pairs @ items, rtol=close, atol=close)
    back = [sums_over_users(row, of_users[part]) for row, part in zip(small.blocks, small.cuts[0], strict=True)]
    np.testing.assert_allclose(added(back), pairs.T @ users, rtol=close, atol=close)
    gram = [gram_part(row, of_items, weights[part]) for row, part in zip(small.blocks, small.cuts[0], strict=True)]
    np.testing.assert_allclose(added(gram), pairs.T @ (weights[:, None] * (pairs @ items)), rtol=close, atol=close)


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
    pairs, counts = dense(small), np.concatenate(small.counts[1])
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
