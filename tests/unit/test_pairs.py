"""Files of pairs to predict, and predictions in Netflix's submission form.

Covers: every form of pairs, their order, bad lines, and the lines that are written.
Does not cover: the prediction itself, or pairs to validate on (test_split.py).
"""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from funkflow.tasks.errors import BadInput
from funkflow.tasks.parsing.pairs import read_pairs, write_netflix_predictions

PAIRS = [(5, 2), (7, 2), (5, 1), (9, 1)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pairs.csv", "user,item\n5,2\n7,2\n5,1\n9,1\n"),
        ("pairs.csv", "movieId,userId,note\n2,5,x\n2,7,\n1,5,x\n1,9,x\n"),
        ("pairs.tsv", "5\t2\n7\t2\n5\t1\n9\t1\n"),
        ("ratings.csv", "userId,movieId,rating,timestamp\n5,2,3,1\n7,2,3,1\n5,1,3,1\n9,1,3,1\n"),
        ("qualifying.txt", "2:\n5,2005-01-01\n7,2005-01-01\n1:\n5,2005-01-01\n9,2005-01-01\n"),
        ("probe.txt", "2:\r\n5\r\n7\r\n1:\r\n5\r\n9\r\n"),
    ],
)
def test_pairs_keep_the_order_of_the_file(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(text.encode())
    pairs = read_pairs(str(tmp_path / name))
    assert list(zip(pairs.table["user"].to_pylist(), pairs.table["item"].to_pylist(), strict=True)) == PAIRS
    assert pairs.is_netflix == (name in ("qualifying.txt", "probe.txt"))
    has_times = name in ("ratings.csv", "qualifying.txt")
    assert pairs.table.column_names == ["user", "item", *(["timestamp"] if has_times else [])]


def test_pairs_in_parquet(tmp_path: Path) -> None:
    pq.write_table(pa.table({"item": ["b", "a"], "user": [1, 2]}), tmp_path / "pairs.parquet")
    assert read_pairs(str(tmp_path / "pairs.parquet")).table.to_pylist() == [
        {"user": 1, "item": "b"},
        {"user": 2, "item": "a"},
    ]


def test_pairs_in_gzip(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv.gz").write_bytes(gzip.compress(b"user,item\n5,2\n"))
    assert read_pairs(str(tmp_path / "pairs.csv.gz")).table.to_pylist() == [{"user": 5, "item": 2}]


def test_the_kind_of_ids_may_be_told(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("user,item\n05,2\n")
    assert read_pairs(str(tmp_path / "pairs.csv"), "string", "string").table.to_pylist() == [
        {"user": "05", "item": "2"}
    ]
    (tmp_path / "qualifying.txt").write_text("2:\n05,2005-01-01\n")
    assert read_pairs(str(tmp_path / "qualifying.txt"), "string", "string").table.to_pylist() == [
        {"user": "05", "item": "2", "timestamp": pd.Timestamp("2005-01-01")}
    ]


def test_times_may_have_a_column_of_any_name(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("who,what,seen\n5,2,2005-01-01\n")
    table = read_pairs(str(tmp_path / "pairs.csv"), columns=("who", "what", "seen")).table
    assert table["timestamp"].to_pylist() == [pd.Timestamp("2005-01-01")]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("qualifying.txt", "2:\n5,2005-01-01\nx,2005-01-01\n", "qualifying.txt:3: user 'x' is not an integer"),
        ("qualifying.txt", "5,2005-01-01\n2:\n", "qualifying.txt:1: no movie header above this row"),
        ("pairs.csv", "user,item\n1,2\n3\n", "pairs.csv:3: 1 columns where 2 are expected: '3'"),
        ("pairs.csv", "user,what\n1,2\n", "pairs.csv:1: no column for the item among user, what"),
    ],
)
def test_bad_pairs_are_named(name: str, text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(BadInput) as caught:
        read_pairs(str(tmp_path / name))
    assert said in str(caught.value)


def test_predictions_are_written_as_netflix_asked(tmp_path: Path) -> None:
    url = tmp_path / "predictions.txt"
    write_netflix_predictions(str(url), pa.array([2, 2, 1, 1]), np.array([3.25, 4, 1, 5], np.float32))
    assert url.read_text() == "2:\n3.2500\n4.0000\n1:\n1.0000\n5.0000\n"
