"""Parquet files of any make: which columns are found, types that differ between files, bad rows with their number.

Covers: recognising, several files and row groups, ids and ratings in every usual type, times, types that are refused.
Does not cover: the conversion itself (test_typed_rows.py), folders that give columns (test_folder_columns.py).
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ingesting import ingest, refusal, settings, table

from funkflow.pipeline.cluster.context import Context
from funkflow.tasks.parsing.rows.parquet import cut_parquet
from funkflow.tasks.parsing.sources.chunks import RawFile

IDS = [f"u{number}" for number in range(6)]


def written(path: Path, columns: dict[str, Any], row_group_size: int = 100) -> Path:
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), path, row_group_size=row_group_size)
    return path


def test_bytes_are_the_text_they_spell_whatever_else_is_in_a_row_group(context: Context, tmp_path: Path) -> None:
    ids = pa.array([each.encode() for each in IDS])
    path = written(tmp_path / "r.parquet", {"user": ids, "item": ids, "rating": [1, 2, None, 4, 5, 5]}, 2)
    assert f"{path}:3: the rating is empty: \"user='u2'" in refusal(context, path)
    manifest = ingest(context, settings(path, on_bad_rows="quarantine"))
    assert sorted(table(context, manifest)["user"]) == ["u0", "u1", "u3", "u4", "u5"]


def test_uuids_of_sixteen_bytes(context: Context, tmp_path: Path) -> None:
    ids = [uuid.UUID(int=2**120 + number) for number in range(3)]
    users = pa.array([each.bytes for each in ids], pa.binary(16))
    path = written(tmp_path / "r.parquet", {"user": users, "item": [1, 2, 3], "rating": [1, 2, None]})
    manifest = ingest(context, settings(path, on_bad_rows="quarantine"))
    assert sorted(table(context, manifest)["user"]) == [str(each) for each in ids[:2]]


def test_booleans_are_one_and_zero_and_a_null_is_a_bad_row(context: Context, tmp_path: Path) -> None:
    path = written(tmp_path / "r.parquet", {"user": [1, 2, 3], "item": [1, 1, 1], "rating": [True, None, False]})
    assert "r.parquet:2: the rating is empty" in refusal(context, path)
    frame = table(context, ingest(context, settings(path, on_bad_rows="quarantine"))).sort_values("user")
    assert frame[["user", "rating"]].to_numpy().tolist() == [[1, 1.0], [3, 0.0]]


@pytest.mark.parametrize(
    "items", [[[1], [2]], [{"id": 1}, {"id": 2}], [True, False], [pd.Timestamp(0), pd.Timestamp(1)]]
)
def test_what_cannot_be_an_id_is_refused_by_type(items: Any, context: Context, tmp_path: Path) -> None:
    path = written(tmp_path / "r.parquet", {"user": [1, 2], "item": items, "rating": [1, 2], "asin": ["a", "b"]})
    assert f"{path}: column 'item' has type " in refusal(context, path, on_bad_rows="quarantine")
    assert ingest(context, settings(path, columns={"item": "asin"})).ratings == 2


def test_a_type_that_only_a_later_file_has_is_refused_there(context: Context, tmp_path: Path) -> None:
    written(tmp_path / "in" / "a.parquet", {"user": [1, 2], "item": [1, 2], "rating": [1, 2]})
    second = written(tmp_path / "in" / "b.parquet", {"user": [1, 2], "item": [[1], [2]], "rating": [1, 2]})
    assert refusal(context, tmp_path / "in").startswith(f"{second}: column 'item' has type list")


@pytest.mark.parametrize("first", [0, 1, 2, 3, 4])
def test_equal_ids_of_different_types_are_equal_across_files(first: int, context: Context, tmp_path: Path) -> None:
    same = [
        pa.array([1, 2], pa.int32()),
        pa.array([1, 2], pa.uint64()),
        pa.array([1.0, 2.0]),
        pa.array(["1", "2"]).dictionary_encode(),
        pa.array(["1", "2"], pa.large_string()),
    ]
    for number, users in enumerate([same[first], *same]):
        written(tmp_path / "in" / f"{number}.parquet", {"user": users, "rating": [1, 2], "item": [number, number]})
    manifest = ingest(context, settings(tmp_path / "in"))
    assert (manifest.ratings, manifest.users) == (12, 2)
    assert manifest.user_id_type == ("integer" if first < 3 else "string")


def test_columns_are_found_by_name_in_each_file(context: Context, tmp_path: Path) -> None:
    written(tmp_path / "in" / "a.parquet", {"user": [1], "item": [2], "rating": [3]})
    written(tmp_path / "in" / "b.parquet", {"rating": [4], "item": [5], "user": [6], "more": ["x"]})
    frame = table(context, ingest(context, settings(tmp_path / "in"))).sort_values("user")
    assert frame.to_numpy().tolist() == [[1, 2, 3], [6, 5, 4]]


def test_a_file_without_a_column_that_the_first_one_has(context: Context, tmp_path: Path) -> None:
    written(tmp_path / "in" / "a.parquet", {"user": [1], "item": [2], "rating": [3]})
    second = written(tmp_path / "in" / "b.parquet", {"user": [1], "item": [2]})
    assert f"{second}: no column 'rating' among user, item, unlike the first file" in refusal(context, tmp_path / "in")


def test_small_files_share_a_chunk_and_large_ones_have_several(tmp_path: Path) -> None:
    files = []
    for number, groups in enumerate([1, 1, 3, 1]):
        columns = {"user": list(range(100 * groups)), "item": [number] * 100 * groups, "rating": [3] * 100 * groups}
        path = written(tmp_path / f"{number}.parquet", columns)
        files.append(RawFile(str(path), 0, path.stat().st_size, path.name))
    (small,), rows = cut_parquet(files, 10**6)
    assert [(piece.file, piece.start, piece.stop) for piece in small] == [
        (file, 0, groups) for file, groups in zip(files, [1, 1, 3, 1], strict=True)
    ]
    assert rows == 600
    chunks, _ = cut_parquet([*files, files[0], files[0]], 1)
    assert [(piece.file.name[0], piece.start) for chunk in chunks for piece in chunk] == [
        ("0", 0), ("1", 0), ("2", 0), ("2", 1), ("2", 2), ("3", 0), ("0", 0), ("0", 0)
    ]  # fmt: skip


def test_text_that_is_named_parquet(context: Context, tmp_path: Path) -> None:
    (tmp_path / "r.parquet").write_text("user,item,rating\n1,2,3\n")
    assert "r.parquet: this is no Parquet; name it for what it is" in refusal(context, tmp_path / "r.parquet")


def test_an_id_that_only_looks_like_an_integer(context: Context, tmp_path: Path) -> None:
    path = written(tmp_path / "r.parquet", {"user": ["7", "007"], "item": [1, 1], "rating": [1, 2]})
    said = refusal(context, path, id_type="integer")
    assert f"{path}:2: user '007' would become 7" in said
    assert 'set ingest.id_type = "string"' in said
    assert sorted(table(context, ingest(context, settings(path)))["user"]) == ["007", "7"]


def test_integers_of_64_bits_without_sign(context: Context, tmp_path: Path) -> None:
    users = pa.array([1, 2**63], pa.uint64())
    path = written(tmp_path / "r.parquet", {"user": users, "item": [1, 1], "rating": [1, 2]})
    said = refusal(context, path)
    assert f"r.parquet:2: user {2**63} does not fit 64 bits" in said
    assert 'set ingest.id_type = "string"' in said
    manifest = ingest(context, settings(path, id_type="string"))
    assert sorted(table(context, manifest)["user"]) == ["1", str(2**63)]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([1_500_000_000, 1_500_000_001], 1_500_000_000),
        ([1_500_000_000_999, 1_500_000_001_999], 1_500_000_000),
        ([1_500_000_000_999_999, 1_500_000_001_999_999], 1_500_000_000),
        ([1_500_000_000_999_999_999, 1_500_000_001_999_999_999], 1_500_000_000),
        ([1_500_000_000.75, 1_500_000_001.75], 1_500_000_000),
        ([20170714, 20170715], 1_499_990_400),
        (["20170714", "20170715"], 1_499_990_400),
        (["1500000000999", "1500000001999"], 1_500_000_000),
        (["2017-07-14 02:40:00", "2017-07-14T02:40:01.5Z"], 1_500_000_000),
        (pd.to_datetime([1_500_000_000, 1_500_000_001], unit="s").date, 1_499_990_400),
    ],
)
def test_times_are_read_in_the_unit_their_size_tells(
    times: Any, expected: int, context: Context, tmp_path: Path
) -> None:
    path = written(tmp_path / "r.parquet", {"user": [1, 2], "item": [1, 1], "rating": [1, 2], "time": times})
    frame = table(context, ingest(context, settings(path))).sort_values("user")
    assert frame["timestamp"].astype("datetime64[s]").astype("int64").iloc[0] == expected


def test_a_time_in_another_unit_than_the_first_thousand_is_a_bad_row(context: Context, tmp_path: Path) -> None:
    times = [10**9, 10**9, 10**12]
    path = written(tmp_path / "r.parquet", {"user": [1, 2, 3], "item": [1, 1, 1], "rating": [1, 2, 3], "time": times})
    assert "r.parquet:3: timestamp 1000000000000 is not in the years 1 to 9999" in refusal(context, path)
