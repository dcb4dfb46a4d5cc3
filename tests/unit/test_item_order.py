"""The ratings of a block in the order of its items: none lost, each where it belongs.

Covers: tasks/grid/item_order.py, over tiles and slabs, for all codings.
Does not cover: sums over them (test_row_terms.py), solves (test_als.py).
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sessions import examples

from funkflow.tasks.grid.block import RatingBlock
from funkflow.tasks.grid.item_order import ItemOrder
from funkflow.tasks.kernels.row_terms import TERMS
from funkflow.tasks.kernels.tiles import GROUP_USERS, TILE_ITEMS, TILE_USERS


@settings(max_examples=examples(25), deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.sampled_from([1, 40, TILE_USERS + 70]), st.sampled_from([1, 30, 2 * TILE_ITEMS + 5])),
    count=st.integers(0, 400),
    levels=st.sampled_from([1, 5, 300, 0]),
    slab_users=st.sampled_from([GROUP_USERS, 3 * GROUP_USERS, TILE_USERS, 4 * TILE_USERS]),
)
def test_each_rating_is_at_its_item_once(
    seed: int, shape: tuple[int, int], count: int, levels: int, slab_users: int
) -> None:
    rng = np.random.default_rng(seed)
    cells = np.sort(rng.choice(shape[0] * shape[1], size=min(count, shape[0] * shape[1]), replace=False))
    users, items = np.divmod(cells, shape[1])
    drawn = rng.normal(size=len(cells)) if not levels else rng.integers(1, levels + 1, len(cells))
    ratings = drawn.astype(np.float32)
    block = RatingBlock.of(users, items, ratings, shape)
    order = ItemOrder.of(block, slab_users)
    found = []
    for slab in order.slabs:
        assert len(slab.starts) == shape[1] + 1
        assert np.all(np.diff(slab.starts) >= 0)
        assert slab.starts[-1] == len(slab.partners) - TERMS
        places = slab.starts[-1]
        of_items = np.repeat(np.arange(shape[1]), np.diff(slab.starts))
        of_users = slab.first_user + slab.partners[:places].astype(np.int64)
        assert np.all(of_users // slab_users == slab.first_user // slab_users)
        codes = slab.codes[:places]
        values = codes if not len(order.levels) else order.levels[codes]
        found.append(np.stack([of_users, of_items, values.astype(np.float64)]))
    together = np.concatenate([np.zeros((3, 0)), *found], axis=1)
    expected = np.stack([users, items, ratings.astype(np.float64)])
    np.testing.assert_array_equal(together[:, np.lexsort(together[1::-1])], expected[:, np.lexsort(expected[1::-1])])


@pytest.mark.parametrize("levels", [5, 0])
def test_targets_are_those_of_the_levels(levels: int) -> None:
    ratings = np.arange(70_000, dtype=np.float32) if not levels else np.arange(50, dtype=np.float32) % levels
    rows = np.arange(len(ratings))
    order = ItemOrder.of(RatingBlock.of(rows // 300, rows % 300, ratings, (300, 300)), 32)
    given_levels = np.array([2.0, 0.5], np.float32) if not levels else 10 * order.levels
    for slab in order.slabs:
        ordered = slab.ordered(given_levels, order.room("f4"))
        assert ordered.targets is not None
        codes = slab.codes.astype(np.float32)
        expected = (codes - 2.0) * 0.5 if not levels else 10 * order.levels[slab.codes]
        np.testing.assert_array_equal(ordered.targets, expected)
        assert slab.ordered(None, order.room("f4")).targets is None
