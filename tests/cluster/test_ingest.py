"""Raw ratings to a dataset on a real cluster, in every form and with every setting.

Covers: the same ratings in all forms give one table; ids, parts, duplicates, quarantine, reuse; opening the result.
Does not cover: bad input one by one (test_bad_input.py), real data (test_ingest_movielens.py).
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.dataframe
import pandas as pd
import pyarrow.parquet as pq
import pytest
from conftest import Heard
from ingesting import ingest, settings, table
from raw_forms import delimited, films, made_rows, write_combined, write_mv_folder, write_parquet, write_tar

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.progress.events import StageFinished
from funkflow.pipeline.root.manifests import Dataset
from funkflow.tasks.errors import BadInput

ROWS = made_rows()


def csv_file(folder: Path, rows: list[Any], name: str = "ratings.csv") -> Path:
    path = folder / name
    path.write_text("user,item,rating,timestamp\n" + "".join(",".join(map(str, row)) + "\n" for row in rows))
    return path


def gzipped(path: Path) -> Path:
    packed = path.with_name(path.name + ".gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    return packed


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


FORMS: dict[str, Callable[[Path], Path]] = {
    "mv folder": lambda folder: write_mv_folder(folder / "nf", ROWS),
    "tar": lambda folder: write_tar(folder / "training_set.tar", ROWS),
    "tar.gz": lambda folder: write_tar(folder / "training_set.tar.gz", ROWS, "w:gz"),
    "combined": lambda folder: write_combined(folder / "nf", ROWS),
    "combined with CRLF": lambda folder: written(
        folder / "combined_data_1.txt",
        (write_combined(folder / "nf", ROWS, 1) / "combined_data_1.txt").read_text().replace("\n", "\r\n"),
    ),
    "combined gzip": lambda folder: gzipped(write_combined(folder / "nf", ROWS, 1) / "combined_data_1.txt"),
    "ratings.dat": lambda folder: written(folder / "ratings.dat", delimited(ROWS, "::")),
    "u.data": lambda folder: written(folder / "u.data", delimited(ROWS, "\t")),
    "ratings.csv": lambda folder: written(
        folder / "ratings.csv", delimited(ROWS, ",", "userId,movieId,rating,timestamp")
    ),
    "csv with a byte order mark": lambda folder: written(
        folder / "r.csv", "\ufeff" + delimited(ROWS, ",", "user,item,rating,time")
    ),
    "quoted csv": lambda folder: written(
        folder / "r.csv", '"user","item","rating","time"\n' + delimited(ROWS, ",").replace(",5,", ',"5",')
    ),
    "parquet": lambda folder: write_parquet(folder / "r.parquet", ROWS),
}


@pytest.fixture(scope="module")
def expected() -> pd.DataFrame:
    frame = pd.DataFrame(ROWS, columns=["user", "item", "rating", "timestamp"])
    frame["timestamp"] = pd.to_datetime(frame["timestamp"]).astype("datetime64[s]")
    return frame.astype({"rating": "float32"}).sort_values(["user", "item"], ignore_index=True)


def bytes_of_parts(context: Context, manifest: Dataset) -> list[bytes]:
    folder = Path(context.store.dataset(manifest.id))
    return [path.read_bytes() for path in sorted(folder.rglob("*.parquet")) if path.is_file()]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_ratings(form: str, context: Context, tmp_path: Path, expected: pd.DataFrame) -> None:
    manifest = ingest(context, settings(FORMS[form](tmp_path)))
    frame = table(context, manifest).sort_values(["user", "item"], ignore_index=True)
    pd.testing.assert_frame_equal(frame, expected, check_dtype=False)
    assert (manifest.ratings, manifest.duplicates, manifest.quarantined) == (len(ROWS), 0, 0)


def test_forms_chunks_and_order_of_files_change_no_byte(context: Context, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "abc"]
    for folder in folders:
        folder.mkdir()
    mv = ingest(context, settings(write_mv_folder(folders[0] / "nf", ROWS), partition_ratings=1000))
    tar = ingest(context, settings(write_tar(folders[1] / "t.tar", ROWS), chunk_bytes=1024))
    halves = [folders[2] / "nf" / f"combined_data_{number}.txt" for number in (2, 1)]
    write_combined(folders[2] / "nf", ROWS)
    combined = ingest(context, settings(halves, chunk_bytes=10**6))
    assert bytes_of_parts(context, mv) == bytes_of_parts(context, tar) == bytes_of_parts(context, combined)


def test_parts_hold_whole_users_sorted_and_open_in_pandas_and_dask(context: Context, tmp_path: Path) -> None:
    rows = made_rows(6000, users=120, items=80)
    manifest = ingest(context, settings(write_mv_folder(tmp_path / "nf", rows), partition_ratings=1000))
    folder = Path(context.store.dataset(manifest.id))
    parts = [pd.read_parquet(folder / part.path) for part in manifest.parts]
    assert len(parts) == 8
    assert [len(part) for part in parts] == [part.rows for part in manifest.parts]
    for part in parts:
        assert (part.sort_values(["user", "item"]).index == part.index).all()
    assert sum(part["user"].nunique() for part in parts) == manifest.users == 120
    lazy = dask.dataframe.read_parquet(str(folder / "ratings.parquet"))
    assert len(lazy) == 6000
    assert str(lazy.dtypes["user"]) == "int32"


def test_dense_ids_follow_the_seed(context: Context, tmp_path: Path) -> None:
    path = write_combined(tmp_path / "nf", ROWS)
    first, second = (ingest(context, settings(path, seed=seed)) for seed in (0, 1))
    users = [
        pd.read_parquet(Path(context.store.dataset(each.id)) / "users.parquet")["raw_id"].tolist()
        for each in (first, second)
    ]
    assert users[0] != users[1]
    assert sorted(users[0]) == sorted(users[1])
    assert users[0] != sorted(users[0])


def test_string_ids_are_kept_as_they_are(context: Context, tmp_path: Path) -> None:
    rows = [("ann", "007", 3, 10), ("bo b", "8", 4, 20), ("zoë", "9", 5, 30)]
    manifest = ingest(context, settings(csv_file(tmp_path, rows), id_type="string"))
    assert (manifest.user_id_type, manifest.item_id_type) == ("string", "string")
    frame = table(context, manifest).sort_values("user")
    assert frame[["user", "item"]].to_numpy().tolist() == [["ann", "007"], ["bo b", "8"], ["zoë", "9"]]


def test_users_may_be_strings_and_items_integers(context: Context, tmp_path: Path) -> None:
    manifest = ingest(context, settings(csv_file(tmp_path, [("ann", 7, 3, 10), ("bob", 8, 4, 20)])))
    assert (manifest.user_id_type, manifest.item_id_type) == ("string", "integer")


def test_columns_by_name_and_no_times(context: Context, tmp_path: Path) -> None:
    path = written(tmp_path / "r.csv", "note,who,what,liked\nx,1,7,2.5\ny,2,8,-3\n")
    manifest = ingest(context, settings(path, columns={"user": "who", "item": "what", "rating": "liked"}))
    assert table(context, manifest).sort_values("user").to_numpy().tolist() == [[1, 7, 2.5], [2, 8, -3.0]]
    assert (manifest.timestamps, manifest.scale) == (False, None)


def test_columns_by_position_without_header(context: Context, tmp_path: Path) -> None:
    path = written(tmp_path / "r.tsv", "7\t1\t2.5\n8\t2\t3\n")
    manifest = ingest(context, settings(path, columns={"user": 1, "item": 0}))
    assert table(context, manifest).sort_values("user").to_numpy().tolist() == [[1, 7, 2.5], [2, 8, 3.0]]


@pytest.mark.parametrize(
    ("duplicates", "rating", "seconds"),
    [("last", 4.0, 300), ("mean", 3.0, 300)],
)
def test_duplicates_are_settled_by_time_then_order_and_counted(
    duplicates: str, rating: float, seconds: int, context: Context, tmp_path: Path
) -> None:
    rows = [(1, 7, 2, 300), (1, 7, 4, 300), (1, 7, 3, 100), (2, 7, 5, 1)]
    manifest = ingest(context, settings(csv_file(tmp_path, rows), duplicates=duplicates, chunk_bytes=1024))
    frame = table(context, manifest).set_index(["user", "item"])
    assert frame.loc[(1, 7), "rating"] == rating
    assert frame.loc[(1, 7), "timestamp"] == pd.Timestamp(seconds, unit="s")
    assert (manifest.duplicates, manifest.ratings) == (2, 2)


def test_duplicates_across_chunks_are_found(context: Context, tmp_path: Path) -> None:
    path = csv_file(tmp_path, [(user, 7, 1 + user % 5, 10) for user in range(300)] * 2)
    assert path.stat().st_size > 2 * 1024
    manifest = ingest(context, settings(path, chunk_bytes=1024))
    assert (manifest.duplicates, manifest.ratings) == (300, 300)


def test_duplicates_may_be_refused_with_both_ratings(context: Context, tmp_path: Path) -> None:
    path = csv_file(tmp_path, [(1, 7, 2, 300), (1, 7, 4, 100)])
    with pytest.raises(BadInput, match=r"user 1 has rated item 7 more than once \(2 and 4\)"):
        ingest(context, settings(path, duplicates="raise"))
    assert not Path(context.store.root, "datasets").exists() or not list(Path(context.store.root, "datasets").iterdir())


def test_quarantine_sets_bad_rows_aside_and_keeps_the_rest(context: Context, tmp_path: Path) -> None:
    path = written(tmp_path / "ratings.dat", "1::7::5::10\nx::7::5::10\n2::7::9::10\n3::7::5\n4::7::4::10\n")
    manifest = ingest(context, settings(path, on_bad_rows="quarantine"))
    assert (manifest.ratings, manifest.quarantined) == (2, 3)
    rejected = pd.read_parquet(Path(context.store.dataset(manifest.id)) / "quarantine.parquet")
    assert rejected["line"].tolist() == [2, 3, 4]
    assert rejected["text"].tolist() == ["x::7::5::10", "2::7::9::10", "3::7::5"]
    assert set(rejected["file"]) == {str(path)}
    assert rejected["reason"].str.contains("integer|scale|columns").all()


def test_quarantine_is_the_same_for_any_chunks(context: Context, tmp_path: Path) -> None:
    lines = "".join(films(ROWS).values()).splitlines()
    spoilt = {5: "17x:", 60: "1,2", 120: "1,9,2000-01-01", 121: "1,2,2000-13-01", 200: "17", 399: "x,1,2000-01-01"}
    path = written(
        tmp_path / "combined_data_1.txt", "".join(f"{spoilt.get(number, line)}\n" for number, line in enumerate(lines))
    )
    tables = []
    for chunk_bytes in (1024, 1500, 10**6):
        manifest = ingest(context, settings(path, on_bad_rows="quarantine", chunk_bytes=chunk_bytes, seed=chunk_bytes))
        folder = Path(context.store.dataset(manifest.id))
        assert manifest.quarantined > len(spoilt)
        tables.append((manifest.ratings, pq.read_table(folder / "quarantine.parquet").to_pylist()))
    assert tables[0] == tables[1] == tables[2]


def test_a_dataset_made_once_is_used_again_though_the_data_moved(heard: Heard, tmp_path: Path) -> None:
    path = write_combined(tmp_path / "nf", ROWS)
    first = ingest(heard.context, settings(path))
    (tmp_path / "elsewhere").mkdir()
    moved = path.rename(tmp_path / "elsewhere" / "nf")
    again = ingest(heard.context, settings(moved, chunk_bytes=4096))
    finished = [event for event in heard.events if isinstance(event, StageFinished)]
    assert [event.reused for event in finished] == [False, True]
    assert first == again
    assert "400 ratings of 40 users and 30 items from Netflix Prize text" in finished[0].summary


def test_other_content_is_another_dataset(context: Context, tmp_path: Path) -> None:
    path = csv_file(tmp_path, [(1, 7, 2, 300)])
    first = ingest(context, settings(path))
    csv_file(tmp_path, [(1, 7, 3, 300)])
    assert ingest(context, settings(path)).id != first.id


def test_parts_may_be_empty(context: Context, tmp_path: Path) -> None:
    manifest = ingest(context, settings(csv_file(tmp_path, [(1, item, 3, item) for item in range(1001)])))
    assert sorted(part.rows for part in manifest.parts) == [0, 1001]
    assert len(table(context, manifest)) == 1001


def test_integers_that_parquet_has_as_floats(context: Context, tmp_path: Path) -> None:
    frame = pd.DataFrame({"user": [1.0, 2.0, None], "item": [5, 6, 7], "rating": [3.0, 4.0, 5.0]})
    frame.to_parquet(tmp_path / "r.parquet")
    manifest = ingest(context, settings(tmp_path / "r.parquet", id_type="integer", on_bad_rows="quarantine"))
    assert sorted(table(context, manifest)["user"]) == [1, 2]
    assert manifest.quarantined == 1


@pytest.mark.parametrize("kind", ["datetime64[ns]", "datetime64[ms]", "datetime64[us, UTC]", "string", "int64"])
def test_times_in_parquet_of_every_kind(kind: str, context: Context, tmp_path: Path) -> None:
    times: Any = pd.Series([10, 20])
    if kind != "int64":
        times = pd.to_datetime(times, unit="s", utc="UTC" in kind).astype(kind)
    pd.DataFrame({"user": [1, 2], "item": [5, 6], "rating": [3, 4], "time": times}).to_parquet(tmp_path / "r.parquet")
    frame = table(context, ingest(context, settings(tmp_path / "r.parquet")))
    assert sorted(frame["timestamp"].astype("datetime64[s]").astype("int64")) == [10, 20]


def test_titles_beside_the_ratings_are_attached(context: Context, tmp_path: Path) -> None:
    folder = write_mv_folder(tmp_path / "nf", ROWS)
    (folder / "movie_titles.txt").write_bytes(
        "1,2003,Amélie, or: Dinosaurs\n2,NULL,B\n99,1999,None rated it\n".encode("latin-1")
    )
    manifest = ingest(context, settings(folder))
    items = pd.read_parquet(Path(context.store.dataset(manifest.id)) / "items.parquet").set_index("raw_id")
    assert manifest.titles
    assert (items.loc[1, "title"], items.loc[1, "year"]) == ("Amélie, or: Dinosaurs", 2003)
    assert items["year"].isna()[2]
    assert items["title"].isna()[3]
    assert 99 not in items.index


def test_scratch_is_removed(context: Context, tmp_path: Path) -> None:
    ingest(context, settings(write_tar(tmp_path / "t.tar.gz", ROWS, "w:gz")))
    assert not list(Path(context.store.scratch("")).glob("*"))


def test_a_glob_takes_what_matches(context: Context, tmp_path: Path) -> None:
    write_combined(tmp_path / "nf", ROWS)
    manifest = ingest(context, settings(tmp_path / "nf" / "combined_data_[12].txt"))
    assert manifest.ratings == len(ROWS)


def test_the_validation_file_is_no_rating(context: Context, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    csv_file(folder, [(1, 7, 2, 300)], "a.csv")
    held_out = csv_file(folder, [(2, 8, 3, 300)], "b.csv")
    assert ingest(context, settings(folder), str(held_out)).ratings == 1
