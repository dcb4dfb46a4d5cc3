"""Where a model errs and what ratings look like, against loops that anybody can follow.

Covers: tasks/evaluation/breakdown.py, tasks/evaluation/describe.py. Does not cover: the stage (test_report.py).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from funkflow.tasks.evaluation.breakdown import ACTUAL, COUNT, ERROR, PREDICTED, SQUARED, Bins, sum_errors
from funkflow.tasks.evaluation.describe import RatingCounts, bounds_of_bin, describe_part, doubling_bin, months_of
from funkflow.tasks.storage import files

RULER = Bins(1.0, 5.0, (1.0, 2.0, 3.0, 4.0, 5.0), (360, 24))


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=50))
def test_a_count_lies_within_the_bounds_of_its_bin(counts: list[int]) -> None:
    for count, number in zip(counts, doubling_bin(np.array(counts)).tolist(), strict=True):
        low, high = bounds_of_bin(number)
        assert low <= count <= high


def test_sums_are_those_of_a_plain_loop() -> None:
    rng = np.random.default_rng(3)
    actual, predicted = rng.integers(1, 6, 500).astype(float), rng.uniform(1, 5, 500)
    user_counts, item_counts, months = (
        rng.integers(0, 300, 500),
        rng.integers(0, 5000, 500),
        rng.integers(360, 384, 500),
    )
    found = sum_errors(actual, predicted, user_counts, item_counts, months, RULER)
    plain: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(lambda: [0.0] * 5))
    for rated, foretold, mine, its, month in zip(actual, predicted, user_counts, item_counts, months, strict=True):
        error = rated - foretold
        places = {
            "by_user_activity": int(mine).bit_length(), "by_item_popularity": int(its).bit_length(),
            "by_value": int(rated) - 1, "by_month": int(month) - 360,
            "by_prediction": min(15, int((foretold - 1) / 0.25)), "by_residual": int((error + 4) / (8 / 48)),
        }  # fmt: skip
        for name, place in places.items():
            for column, value in enumerate((1.0, error**2, error, foretold, rated)):
                plain[name][place][column] += value
    for name, bins in plain.items():
        sums = getattr(found, name)
        assert {place for place in range(len(sums)) if sums[place, COUNT]} == set(bins)
        for place, values in bins.items():
            np.testing.assert_allclose(sums[place], values, rtol=1e-12)
    whole = (found + found).by_value.sum(axis=0)
    assert whole[COUNT] == 1000
    assert whole[SQUARED] == pytest.approx(2 * np.sum((actual - predicted) ** 2))
    assert whole[ACTUAL] - whole[PREDICTED] == pytest.approx(whole[ERROR])


def test_predictions_at_the_ends_of_the_scale_and_times_that_are_missing() -> None:
    ends, ones = np.array([1.0, 5.0]), np.array([1, 1])
    found = sum_errors(ends, ends[::-1], ones, ones, None, RULER)
    assert found.by_month.shape == (0, 5)
    assert found.by_prediction[[0, -1], COUNT].tolist() == [1.0, 1.0]
    assert found.by_residual[[0, -1], COUNT].tolist() == [1.0, 1.0]


def test_parts_are_counted_as_a_plain_loop_counts_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    parts, rows = [], []
    for number in range(3):
        users, items = rng.integers(-1, 20, 200).astype(np.int32), rng.integers(-1, 9, 200).astype(np.int32)
        ratings, times = rng.integers(1, 6, 200).astype(np.float32), rng.integers(0, 10**9, 200)
        table = pa.table(
            {"user": users, "item": items, "rating": ratings, "timestamp": pa.array(times, pa.timestamp("s")),
             "row": rng.integers(-1, 2, 200)}
        )  # fmt: skip
        url = str(tmp_path / f"{number}.parquet")
        parts.append(describe_part(url, files.write_table(url, table)))
        rows += table.to_pylist()
    found = RatingCounts.of(20, 9, parts)
    inside = [row for row in rows if row["row"] >= 0]
    assert found.users.tolist() == [sum(row["user"] == user for row in inside) for user in range(20)]
    assert found.items.tolist() == [sum(row["item"] == item for row in inside) for item in range(9)]
    assert found.values == Counter(row["rating"] for row in rows)
    assert found.within == Counter(row["rating"] for row in inside)
    months = Counter((row["timestamp"].year - 1970) * 12 + row["timestamp"].month - 1 for row in rows)
    assert {month: count for month, (count, _) in found.months.items()} == months
    assert sum(total for _, total in found.months.values()) == sum(row["rating"] for row in rows)


def test_months_begin_with_the_calendars() -> None:
    times = np.array(["1970-01-31", "1970-02-01", "2005-12-31"], dtype="datetime64[ms]")
    assert months_of(times).tolist() == [0, 1, 431]
