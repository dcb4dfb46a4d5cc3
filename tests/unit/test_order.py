"""Orders by NumPy and by compiled loops equal Python's own stable sort, for rows of any size, repeated or not.

Covers: tasks/dataset/sorting.py. Does not cover: what the orders are for (test_ingest.py, test_grid.py).
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funkflow.tasks.dataset import sorting
from funkflow.tasks.dataset.sorting import Columns, sort_pairs, sort_rows, stable_order

GREATEST = 2**31 - 1
ROWS = st.one_of(st.integers(0, 3), st.integers(0, 5000), st.integers(0, GREATEST))
PAIRS = st.lists(st.tuples(ROWS, ROWS), max_size=200)


def sides(pairs: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    both = np.array(pairs, np.int32).reshape(-1, 2)
    return both[:, 0].copy(), both[:, 1].copy()


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 40), max_size=300), st.sampled_from([41, 60, 2**16, 2**16 + 1]),
    st.sampled_from([np.uint16, np.int32, np.int64]),
)  # fmt: skip
def test_counted_order(keys: list[int], size: int, dtype: type[np.integer]) -> None:
    order, starts = stable_order(np.array(keys, dtype), size)
    assert order.tolist() == sorted(range(len(keys)), key=lambda n: keys[n])
    assert starts[:61].tolist() == [sum(key < each for key in keys) for each in range(min(size, 60) + 1)]
    assert (starts[60:] == len(keys)).all()
    assert len(starts) == size + 1


@settings(deadline=None)
@given(PAIRS)
def test_sorted_pairs(pairs: list[tuple[int, int]]) -> None:
    users, items = sides(pairs)
    sorted_users, sorted_items, places = sort_pairs(users, items)
    assert places.tolist() == sorted(range(len(pairs)), key=lambda n: pairs[n])
    assert (sorted_users.tolist(), sorted_items.tolist()) == (users[places].tolist(), items[places].tolist())
    assert sides(pairs)[0].tolist() == users.tolist(), "the input is not changed"


@settings(deadline=None)
@given(PAIRS, st.booleans(), st.booleans(), st.booleans())
def test_sorted_rows(pairs: list[tuple[int, int]], compiled: bool, rated: bool, timed: bool) -> None:
    users, items = sides(pairs)
    order = sorted(range(len(pairs)), key=lambda n: pairs[n])
    rows: Columns = {"user": users, "item": items}
    if rated:
        rows["rating"] = np.linspace(-1.0, 7.0, len(pairs), dtype=np.float32)
    if timed:
        rows["timestamp"] = np.arange(-3, len(pairs) - 3, dtype=np.int32)
    found = sort_rows(rows, compiled)
    assert list(found) == list(rows)
    for name, values in rows.items():
        assert found[name].dtype == values.dtype
        assert found[name].tolist() == values[order].tolist()


def test_many_rows_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    users, items = np.random.default_rng(3).integers(0, [[900], [70]], (2, 50_000), dtype=np.int32)
    expected = np.lexsort((items, users))
    rows: Columns = {"user": users, "item": items, "timestamp": np.arange(50_000, dtype=np.int32)}
    monkeypatch.setattr(sorting, "_sort_places", None)
    assert np.array_equal(sort_rows(rows, compiled=True)["timestamp"], expected)


def test_rows_of_any_size() -> None:
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
