"""The rows of a chunk by bucket are the same by NumPy and by the compiled loop, and those of Python's own sort.

Covers: tasks/dataset/chunk_rows.py. Does not cover: the hash (test_ids.py), files (tests/cluster/test_ingest.py).
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funkflow.tasks.dataset import chunk_rows
from funkflow.tasks.dataset.chunk_rows import order_by_bucket
from funkflow.tasks.parsing.ids import buckets_of

IDS = st.one_of(st.integers(-3, 300), st.integers(40_000, 90_000), st.integers(-(2**63), 2**63 - 1))
ROWS = st.one_of(*(st.lists(st.tuples(each, IDS, st.integers(-9, 2**33)), max_size=40) for each in (IDS, IDS)))


def table_of(rows: list[tuple[int, int, int]], rated: bool, timed: bool) -> pa.Table:
    users, items, times = (pa.array([row[n] for row in rows], pa.int64()) for n in range(3))
    table = pa.table({"user": users, "item": items})
    if rated:
        table = table.append_column("rating", pa.array(np.linspace(-1.0, 7.0, len(rows), dtype=np.float32)))
    return table.append_column("timestamp", times.cast(pa.timestamp("s"))) if timed else table


@settings(deadline=None)
@given(ROWS, st.sampled_from([1, 2, 64]), st.booleans(), st.booleans(), st.booleans())
def test_rows_by_bucket(
    rows: list[tuple[int, int, int]], buckets: int, rated: bool, timed: bool, compiled: bool
) -> None:
    table = table_of(rows, rated, timed)
    of_row = buckets_of(table["user"], buckets).tolist()
    order = sorted(range(len(rows)), key=of_row.__getitem__)
    found = order_by_bucket(table, buckets, compiled)
    expected = table.take(pa.array(order, pa.int64()))
    if timed:
        expected = expected.set_column(2 + rated, "timestamp", expected["timestamp"].cast(pa.int64()))
    assert {name: values.tolist() for name, values in found.columns.items()} == expected.to_pydict()
    assert found.starts == [sum(each < bucket for each in of_row) for bucket in range(buckets + 1)]
    for place, (ids, starts) in enumerate((found.users, found.items)):
        assert ids.to_pylist() == sorted({row[place] for row in rows})
        assert starts == [0, len(ids)]


def test_usual_integers_take_the_compiled_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk_rows, "number_chunk", None)
    table = table_of([(7, 40_000, 5), (-2, 9, 2**31 - 1), (7, 9, -5)], rated=True, timed=True)
    assert sorted(order_by_bucket(table, 4, compiled=True).columns["item"].tolist()) == [9, 9, 40_000]
