"""One row of each pair is kept, by the rule of the settings.

Covers: `settle_duplicates` of tasks/dataset/bucket_rows.py against a dictionary of rows.
Does not cover: the order of the rows before (test_order.py), whole ingests (tests/cluster/test_ingest.py).
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from funkflow.tasks.dataset.bucket_rows import settle_duplicates

ROWS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(1, 5), st.integers(0, 4)), max_size=40)


@pytest.mark.parametrize("rule", ["last", "mean", "sum"])
@given(ROWS, st.booleans())
def test_one_row_of_each_pair(
    rule: Literal["last", "mean", "sum"], rows: list[tuple[int, int, int, int]], timed: bool
) -> None:
    rows = sorted(rows, key=lambda row: row[:2])
    expected: dict[tuple[int, int], list[tuple[int, int, int, int]]] = {}
    for row in rows:
        expected.setdefault(row[:2], []).append(row)
    columns: dict[str, Any] = {
        name: np.array([row[place] for row in rows], dtype)
        for place, (name, dtype) in enumerate({"user": "i4", "item": "i4", "rating": "f4", "timestamp": "i8"}.items())
    }
    if not timed:
        del columns["timestamp"]
    kept = settle_duplicates(columns, rule)
    assert list(zip(kept["user"].tolist(), kept["item"].tolist(), strict=True)) == list(expected)
    for place, same in enumerate(expected.values()):
        last = max(enumerate(same), key=lambda each: (each[1][3] if timed else 0, each[0]))[1]
        ratings = [row[2] for row in same]
        rated = {"last": last[2], "mean": sum(ratings) / len(ratings), "sum": sum(ratings)}[rule]
        assert kept["rating"][place] == np.float32(rated)
        if timed:
            assert kept["timestamp"][place] == last[3]
