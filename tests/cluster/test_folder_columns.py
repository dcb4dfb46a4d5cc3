"""Folders whose names give columns, as Hive, Spark and pandas write them: walked, read and told apart.

Covers: ratings, ids and times in folder names, null, order, names in messages, growth of such a set, other folders.
Does not cover: what is in Parquet files (test_parquet.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ingesting import ingest, refusal, settings, table

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.root.records import DatasetParent
from funkflow.tasks.dataset.known_files import SeenFile, match
from funkflow.tasks.errors import BadInput
from funkflow.tasks.parsing.sources.folder_columns import columns_in, name_within, with_columns
from funkflow.tasks.parsing.sources.sources import find_sources, input_record

PAIRS = {"user": [1, 2, 3], "item": [5, 5, 6]}


def written(path: Path, columns: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


def names(folder: Path | str, root: Path) -> list[str]:
    (source,) = find_sources([str(folder)])
    return [Path(stored.url).relative_to(root).as_posix() for stored in source.files]


def triples(frame: pd.DataFrame) -> list[list[float]]:
    ordered = frame[["user", "item", "rating"]].sort_values(["user", "item", "rating"])
    return ordered.to_numpy().tolist()


@pytest.mark.parametrize(
    ("path", "expected", "name"),
    [
        ("/data/r.parquet", {}, "r.parquet"),
        ("/data/year=2018/r.parquet", {"year": "2018"}, "year=2018/r.parquet"),
        ("s3://b/x=1/in/a=1/b=x%2Fy/r.parquet", {"a": "1", "b": "x/y"}, "a=1/b=x%2Fy/r.parquet"),
        ("a=__HIVE_DEFAULT_PARTITION__/r", {"a": None}, "a=__HIVE_DEFAULT_PARTITION__/r"),
        ("a=b=c/=d/e=/r", {"e": ""}, "e=/r"),
    ],
)
def test_what_a_path_gives(path: str, expected: dict[str, str | None], name: str) -> None:
    assert columns_in(path) == expected
    assert name_within(path) == name


def test_what_the_file_has_counts() -> None:
    raw = with_columns(pa.table({"a": [1, 2]}), "a=5/b=6/c=7/r", ["a", "b"])
    assert raw.to_pydict() == {"a": [1, 2], "b": ["6", "6"]}


def test_a_folder_of_folders_is_walked_in_the_order_of_paths(tmp_path: Path) -> None:
    kept = ["year=2018/month=1/part-0.parquet", "year=2018/month=2/part-0.parquet", "year=2019/month=1/part-0.parquet"]
    left_out = ["_SUCCESS", "_temporary/year=1/x.parquet", "year=2018/.hidden.parquet", "year=2018/_old/x.parquet"]
    for name in [*reversed(kept), *left_out]:
        written(tmp_path / "in" / name, PAIRS)
    assert names(tmp_path / "in", tmp_path / "in") == kept


def test_any_store_is_walked(tmp_path: Path) -> None:
    system = fsspec.filesystem("memory")
    for year in (2019, 2018):
        system.pipe(f"/{tmp_path.name}/in/year={year}/part-0.parquet", b"PAR1")
    system.pipe(f"/{tmp_path.name}/in/_SUCCESS", b"x")
    (source,) = find_sources([f"memory://{tmp_path.name}/in"])
    assert [name_within(stored.url) for stored in source.files] == [
        "year=2018/part-0.parquet",
        "year=2019/part-0.parquet",
    ]


@pytest.mark.parametrize(
    ("folders", "expected"),
    [(["1", "4"], [1.0, 4.0]), (["1.5", "4.0"], [1.5, 4.0]), (["4%2E5", "3"], [4.5, 3.0])],
)
def test_the_rating_may_stand_in_the_name(
    folders: list[str], expected: list[float], context: Context, tmp_path: Path
) -> None:
    for number, name in enumerate(folders):
        written(tmp_path / "in" / f"rating={name}" / "part-0.parquet", {"user": [number, number + 10], "item": [7, 8]})
    manifest = ingest(context, settings(tmp_path / "in"))
    assert manifest.format == "Parquet (columns user, item, from folders rating)"
    assert triples(table(context, manifest)) == sorted(
        [number + more, item, rating] for number, rating in enumerate(expected) for more, item in ((0, 7), (10, 8))
    )


def test_a_column_in_both_is_that_of_the_files_which_is_told(context: Context, tmp_path: Path) -> None:
    written(tmp_path / "in" / "rating=4" / "part-0.parquet", {**PAIRS, "rating": [1, 2, 3]})
    manifest = ingest(context, settings(tmp_path / "in"))
    assert triples(table(context, manifest)) == [[1, 5, 1], [2, 5, 2], [3, 6, 3]]
    assert manifest.format.endswith("; rating from the files, not from the names of folders)")


@pytest.mark.parametrize(("kind", "users"), [("integer", ["7", "12"]), ("string", ["ann", "bob"])])
def test_ids_and_times_may_stand_in_the_name(kind: str, users: list[str], context: Context, tmp_path: Path) -> None:
    for user in users:
        columns = {"item": [1, 2], "rating": [3.0, 4.0]}
        written(tmp_path / "in" / "date=2018-01-02" / f"user={user}" / "part-0.parquet", columns)
    manifest = ingest(context, settings(tmp_path / "in"))
    frame = table(context, manifest)
    assert manifest.user_id_type == kind
    assert set(frame["user"].astype(str)) == set(users)
    assert set(frame["timestamp"]) == {pd.Timestamp("2018-01-02")}


def test_a_year_in_the_name_may_be_the_time(context: Context, tmp_path: Path) -> None:
    for year in (2018, 2019):
        written(tmp_path / "in" / f"year={year}" / "part-0.parquet", {**PAIRS, "rating": [1, 2, year - 2015]})
    frame = table(context, ingest(context, settings(tmp_path / "in", columns={"timestamp": "year"})))
    assert set(frame["timestamp"]) == {pd.Timestamp("2019-01-01")}
    assert triples(frame) == [[1, 5, 1], [2, 5, 2], [3, 6, 4]]


def test_the_null_of_hive_is_no_rating(context: Context, tmp_path: Path) -> None:
    written(tmp_path / "in" / "rating=4" / "part-0.parquet", PAIRS)
    null = written(tmp_path / "in" / "rating=__HIVE_DEFAULT_PARTITION__" / "part-0.parquet", PAIRS)
    assert refusal(context, tmp_path / "in").startswith(f"{null}:1: the rating is empty")
    assert ingest(context, settings(tmp_path / "in", on_bad_rows="quarantine")).quarantined == 3


def test_one_file_or_a_glob_gives_the_same_columns(context: Context, tmp_path: Path) -> None:
    path = written(tmp_path / "in" / "rating=4" / "part-0.parquet", PAIRS)
    for entry in (path, tmp_path / "in" / "*" / "*.parquet", tmp_path / "in" / "rating=4"):
        assert triples(table(context, ingest(context, settings(entry)))) == [[1, 5, 4], [2, 5, 4], [3, 6, 4]]


def test_equal_bytes_in_other_folders_are_another_input(tmp_path: Path) -> None:
    records = []
    for rating in (4, 5):
        written(tmp_path / str(rating) / "in" / f"rating={rating}" / "part-0.parquet", PAIRS)
        records.append(input_record(find_sources([str(tmp_path / str(rating) / "in")])[0], ["same"]))
    assert records[0]["checksum"] != records[1]["checksum"]


def test_equal_bytes_in_another_folder_have_not_been_seen() -> None:
    before = [SeenFile("rating=1/part-0.parquet", 9, ("x",)), SeenFile("rating=2/part-0.parquet", 9, ("x",))]
    assert match(before, before, may_grow=False).begins == (9, 9)
    found = match(before, [before[0], SeenFile("rating=3/part-0.parquet", 9, ("x",))], may_grow=False)
    assert (found.begins, found.whole, found.names) == ((9, 0), False, 1)


def test_a_set_grows_by_a_folder(context: Context, tmp_path: Path) -> None:
    for rating in (1, 2):
        written(tmp_path / "in" / f"rating={rating}" / "part-0.parquet", {"user": [rating] * 2, "item": [5, 6]})
    chosen = settings(tmp_path / "in", incremental=True)
    first = ingest(context, chosen)
    written(tmp_path / "in" / "rating=3" / "part-0.parquet", {"user": [3, 3], "item": [5, 6]})
    second = ingest(context, chosen)
    assert second.parent == DatasetParent(id=first.id, rows=True)
    assert second.parsed_bytes < first.parsed_bytes
    assert triples(table(context, second)) == [[user, item, user] for user in (1, 2, 3) for item in (5, 6)]


def test_what_pandas_writes_is_read_back(context: Context, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"user": np.arange(60) % 20, "item": rng.permutation(60), "rating": rng.integers(1, 6, 60).astype(float)}
    )
    frame.to_parquet(tmp_path / "in", partition_cols=["rating"])
    assert triples(table(context, ingest(context, settings(tmp_path / "in")))) == triples(frame)


def test_text_in_such_folders(context: Context, tmp_path: Path) -> None:
    for year in (2018, 2019):
        folder = tmp_path / "in" / f"year={year}"
        folder.mkdir(parents=True)
        (folder / "a.csv").write_text(f"user,item,rating\n{year},2,3\n")
    assert ingest(context, settings(tmp_path / "in")).ratings == 2
    (tmp_path / "by" / "rating=3").mkdir(parents=True)
    (tmp_path / "by" / "rating=3" / "a.csv").write_text("user,item\n1,2\n")
    with pytest.raises(BadInput, match=r"a.csv:1: no column for the rating .*; columns in folder names \(rating\) are"):
        ingest(context, settings(tmp_path / "by"))


def test_other_folders_are_not_walked_but_a_glob_is(context: Context, tmp_path: Path) -> None:
    written(tmp_path / "in" / "2018" / "01" / "a.parquet", {**PAIRS, "rating": [1, 2, 3]})
    said = refusal(context, tmp_path / "in")
    assert said.startswith(
        f"{tmp_path / 'in'}: holds only folders (2018); name one of them, or files in all of them by"
    )
    assert ingest(context, settings(tmp_path / "in" / "**" / "*.parquet")).ratings == 3


def test_a_delta_table_is_named(context: Context, tmp_path: Path) -> None:
    written(tmp_path / "in" / "part-0.parquet", {**PAIRS, "rating": [1, 2, 3]})
    (tmp_path / "in" / "_delta_log").mkdir()
    assert "in: a Delta table, whose files have rows that no longer count, too" in refusal(context, tmp_path / "in")
