"""Where a model errs and what ratings look like, against loops that anybody can follow.

Covers: tasks/evaluation/breakdown.py, tasks/evaluation/describe.py. Does not cover: the stage (test_report.py).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from funkflow.tasks.evaluation.breakdown import ACTUAL, COUNT, ERROR, PREDICTED, SQUARED, Bins, sum_errors
from funkflow.tasks.evaluation.describe import (
    MOST_VALUES,
    bounds_of_bin,
    count_part,
    doubling_bin,
    months_of,
    write_counts,
)
from funkflow.tasks.storage import files, npy

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
    """Each part has other users; some validation ratings are not in the dataset, one has a value of its own."""
    rng = np.random.default_rng(5)
    rows: list[dict[str, Any]] = []
    held_out: list[dict[str, Any]] = []
    counted = []
    for number in range(3):
        users, items = rng.integers(0, 7, 200) * 3 + number, rng.integers(0, 9, 200)
        ratings, times = rng.integers(1, 6, 200), rng.integers(0, 10**9, 200)
        part = {"user": users.astype(np.int32), "item": items.astype(np.int32), "rating": ratings.astype(np.float32)}
        table = pa.table({**part, "timestamp": pa.array(times, pa.timestamp("s"))})
        row = np.append(rng.choice(200, 30, replace=False), [-1, -1])
        of_rows = {name: np.append(values[row[:-2]], values[:2]) for name, values in part.items()}
        of_rows["rating"][-2:] = 2, 9
        apart = pa.table({**of_rows, "row": row})
        urls = [str(tmp_path / f"{name}-{number}.parquet") for name in ("part", "validation")]
        of_part, of_held_out = (
            (url, files.write_table(url, each)) for url, each in zip(urls, (table, apart), strict=True)
        )
        counted.append(count_part(of_part, of_held_out, 9))
        rows += [{**each, "trained": place not in row} for place, each in enumerate(table.to_pylist())]
        held_out += apart.to_pylist()
    found = sum(counted[1:], counted[0])
    written = write_counts(str(tmp_path), 21, found)
    of_users, of_items = (npy.read_array(str(tmp_path / f"{side}.npy")) for side in ("users", "items"))
    trained = [row for row in rows if row["trained"]]
    assert of_users.tolist() == [sum(row["user"] == user for row in trained) for user in range(21)]
    assert written["trained_users"] == np.count_nonzero(of_users)
    assert of_items.tolist() == [
        [sum(row["item"] == item for row in some) for item in range(9)]
        for some in (trained, [row for row in held_out if row["row"] >= 0])
    ]
    of_values = [Counter(row["rating"] for row in some) for some in (trained, held_out)]
    assert written["values"] == [(value, *(each[value] for each in of_values)) for value in (1, 2, 3, 4, 5, 9)]
    months = Counter((row["timestamp"].year - 1970) * 12 + row["timestamp"].month - 1 for row in rows)
    assert {month: count for month, count, _ in written["months"]} == months
    assert sum(total for _, _, total in written["months"]) == sum(row["rating"] for row in rows)


@pytest.mark.parametrize(("values", "are_few"), [(MOST_VALUES, True), (MOST_VALUES + 1, False)])
def test_many_different_ratings_are_not_counted_one_by_one(tmp_path: Path, values: int, are_few: bool) -> None:
    """Also where each part has few."""
    counted = []
    for number, some in enumerate(np.array_split(np.arange(values, dtype=np.float32), 2)):
        part = pa.table({"user": pa.array([number] * len(some), pa.int32()),
                         "item": pa.array([0] * len(some), pa.int32()), "rating": some})  # fmt: skip
        nothing = pa.table({"rating": pa.array([], pa.float32()), "row": pa.array([], pa.int64())})
        urls = [str(tmp_path / f"{name}-{number}") for name in ("part", "validation")]
        of_part, of_held_out = (
            (url, files.write_table(url, each)) for url, each in zip(urls, (part, nothing), strict=True)
        )
        counted.append(count_part(of_part, of_held_out, 1))
    assert (sum(counted[1:], counted[0]).values is not None) is are_few


def test_months_begin_with_the_calendars() -> None:
    times = np.array(["1970-01-31", "1970-02-01", "2005-12-31"], dtype="datetime64[ms]")
    assert months_of(times).tolist() == [0, 1, 431]
