"""Orders by counting equal their slow, obvious twins, for rows of any size, repeated or not.

Covers: order.py with its kernels, against plain_order.py. Does not cover: what the orders are for
(test_ingest.py, test_grid.py).
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.order import counted_order, sorted_pairs, tile_order, tile_sorted
from tasks.plain_order import count_plainly, sort_pairs_plainly, tile_plainly

GREATEST = 2**31 - 1
ROWS = st.one_of(st.integers(0, 3), st.integers(0, 5000), st.integers(0, GREATEST))
PAIRS = st.lists(st.tuples(ROWS, ROWS), max_size=200)


def sides(pairs: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    both = np.array(pairs, np.int32).reshape(-1, 2)
    return both[:, 0].copy(), both[:, 1].copy()


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 40), max_size=300), st.integers(41, 60), st.sampled_from([np.uint16, np.int32, np.int64])
)
def test_counted_order(keys: list[int], size: int, dtype: type[np.integer]) -> None:
    order, starts = counted_order(np.array(keys, dtype), size)
    assert (order.tolist(), starts.tolist()) == count_plainly(keys, size)


@settings(deadline=None)
@given(PAIRS)
def test_sorted_pairs(pairs: list[tuple[int, int]]) -> None:
    users, items = sides(pairs)
    sorted_users, sorted_items, places = sorted_pairs(users, items)
    assert places.tolist() == sort_pairs_plainly(users.tolist(), items.tolist())
    assert (sorted_users.tolist(), sorted_items.tolist()) == (users[places].tolist(), items[places].tolist())
    assert sides(pairs)[0].tolist() == users.tolist(), "the input is not changed"


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 90)), max_size=200), st.integers(1, 70), st.integers(1, 70)
)
def test_tiles(pairs: list[tuple[int, int]], tile_users: int, tile_items: int) -> None:
    users, items = sides(pairs)
    ratings = np.arange(len(users), dtype=np.float32)
    expected = tile_plainly(users.tolist(), items.tolist(), tile_users, tile_items)
    assert tile_order(users, items, tile_users, tile_items).tolist() == expected
    rows = tile_sorted(users, items, ratings, tile_users, tile_items)
    assert [column.tolist() for column in rows] == [column[expected].tolist() for column in (users, items, ratings)]
    assert ratings.tolist() == list(range(len(users))), "the input is not changed"


def test_tiles_of_the_largest_rows() -> None:
    users, items = sides([(GREATEST, 0), (0, GREATEST), (5, 7), (GREATEST, GREATEST)])
    assert tile_order(users, items, 2**30, 2**30).tolist() == [2, 1, 0, 3]


def test_many_rows_pass_every_digit() -> None:
    rng = np.random.default_rng(5)
    users, items = rng.integers(0, 2**31, (2, 20_000), dtype=np.int32)
    assert np.array_equal(sorted_pairs(users, items)[2], np.lexsort((items, users)))


def test_what_has_no_place_is_refused() -> None:
    with pytest.raises(ValueError, match="keys from -1 to 3 are not all from 0 to 3"):
        counted_order(np.array([3, -1]), 4)
    with pytest.raises(ValueError, match="keys from 0 to 4"):
        counted_order(np.array([0, 4]), 4)
    with pytest.raises(ValueError, match="row -1 is negative"):
        sorted_pairs(np.array([-1], np.int32), np.array([0], np.int32))
    with pytest.raises(ValueError, match="row -2 is negative"):
        tile_order(np.array([0], np.int32), np.array([-2], np.int32), 4, 4)
