"""Orders by packed numbers equal Python's own stable sort, for rows of any size, repeated or not.

Covers: tasks/dataset/sorting.py. Does not cover: what the orders are for (test_ingest.py, test_grid.py).
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funkflow.tasks.dataset.sorting import sort_pairs, stable_order

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
    order, starts = stable_order(np.array(keys, dtype), size)
    assert order.tolist() == sorted(range(len(keys)), key=lambda n: keys[n])
    assert starts.tolist() == [sum(key < each for key in keys) for each in range(size + 1)]


@settings(deadline=None)
@given(PAIRS)
def test_sorted_pairs(pairs: list[tuple[int, int]]) -> None:
    users, items = sides(pairs)
    sorted_users, sorted_items, places = sort_pairs(users, items)
    assert places.tolist() == sorted(range(len(pairs)), key=lambda n: pairs[n])
    assert (sorted_users.tolist(), sorted_items.tolist()) == (users[places].tolist(), items[places].tolist())
    assert sides(pairs)[0].tolist() == users.tolist(), "the input is not changed"


def test_rows_that_do_not_fit_into_one_number() -> None:
    rng = np.random.default_rng(5)
    users, items = rng.integers(0, 2**31, (2, 20_000), dtype=np.int32)
    assert np.array_equal(sort_pairs(users, items)[2], np.lexsort((items, users)))


def test_what_has_no_place_is_refused() -> None:
    with pytest.raises(ValueError, match="keys from -1 to 3 are not all from 0 to 3"):
        stable_order(np.array([3, -1]), 4)
    with pytest.raises(ValueError, match="keys from 0 to 4"):
        stable_order(np.array([0, 4]), 4)
    with pytest.raises(ValueError, match="row -1 is negative"):
        sort_pairs(np.array([-1], np.int32), np.array([0], np.int32))
