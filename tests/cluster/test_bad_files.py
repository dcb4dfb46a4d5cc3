"""Every fault of a whole file is named, and leaves nothing half-written.

Covers: files empty, cut short, damaged, wrongly encoded, not there, or not of ratings, through the whole ingest stage.
Does not cover: single rows (test_bad_input.py), validation files (test_split.py), titles (test_titles.py).
"""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ingesting import refusal
from raw_forms import made_rows, write_combined, write_mv_folder, write_parquet, write_tar

from funkflow.pipeline.cluster.context import Context

ROWS = made_rows(200)
DAT = "1::7::5::10\n2::7::4::20\n"


@pytest.mark.parametrize(
    "name", ["ratings.csv", "combined_data_1.txt", "ratings.parquet", "ratings.csv.gz", "ratings.tar"]
)
def test_an_empty_file(name: str, context: Context, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"")
    assert refusal(context, tmp_path / name).startswith(f"{tmp_path / name}: the file is empty")


def test_a_file_of_blank_lines_is_empty(context: Context, tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text("\n\n")
    assert "ratings.csv: the file is empty" in refusal(context, tmp_path / "ratings.csv")


def test_an_empty_file_in_gzip(context: Context, tmp_path: Path) -> None:
    (tmp_path / "ratings.csv.gz").write_bytes(gzip.compress(b""))
    assert "ratings.csv.gz: the file is empty" in refusal(context, tmp_path / "ratings.csv.gz")


def test_an_empty_movie_file(context: Context, tmp_path: Path) -> None:
    folder = write_mv_folder(tmp_path / "nf", ROWS)
    (folder / "training_set" / "mv_0000009.txt").write_text("")
    assert "mv_0000009.txt: the file is empty" in refusal(context, folder)


def test_a_header_without_ratings(context: Context, tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("user,item,rating\n")
    assert "r.csv: no usable rating" in refusal(context, tmp_path / "r.csv")


def test_an_archive_cut_short(context: Context, tmp_path: Path) -> None:
    for name, mode in (("t.tar", "w"), ("t.tar.gz", "w:gz")):
        whole = write_tar(tmp_path / name, ROWS, mode).read_bytes()
        for length in (len(whole) // 2, len(whole) // 3 // 512 * 512):
            (tmp_path / name).write_bytes(whole[:length])
            assert refusal(context, tmp_path / name).startswith(
                f"{tmp_path / name}: the archive is damaged or cut short"
            )


def test_an_archive_cut_between_two_members(context: Context, tmp_path: Path) -> None:
    path = write_tar(tmp_path / "t.tar", ROWS)
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"training_set/mv_0000009.txt")])
    assert "t.tar: the archive is damaged or cut short" in refusal(context, path)


@pytest.mark.parametrize("lost", [1, 8, 200])
def test_a_gzip_cut_short(lost: int, context: Context, tmp_path: Path) -> None:
    path = tmp_path / "ratings.dat.gz"
    path.write_bytes(gzip.compress((DAT * 200).encode())[: -min(lost, 40)])
    assert refusal(context, path).startswith(f"{path}: the archive is damaged or cut short")


def test_gzip_that_is_none(context: Context, tmp_path: Path) -> None:
    (tmp_path / "ratings.dat.gz").write_text(DAT)
    assert "ratings.dat.gz: the archive is damaged or cut short" in refusal(context, tmp_path / "ratings.dat.gz")


def test_parquet_cut_short(context: Context, tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "r.parquet", ROWS)
    path.write_bytes(path.read_bytes()[:-10])
    assert "r.parquet: not a whole Parquet file" in refusal(context, path)


def test_parquet_with_a_null_and_a_rating_outside_the_scale(context: Context, tmp_path: Path) -> None:
    table = pa.table({"user": [1, None, 3], "item": ["a", "b", "c"], "rating": [1.0, 2.0, 9.0]})
    pq.write_table(table, tmp_path / "r.parquet", row_group_size=1)
    assert 'r.parquet:2: the user is empty: "user=None, item=' in refusal(context, tmp_path / "r.parquet")
    pq.write_table(table.take([0, 2]), tmp_path / "r.parquet", row_group_size=1)
    assert "r.parquet:2: rating 9 is outside the scale 1 to 5" in refusal(context, tmp_path / "r.parquet", scale=[1, 5])


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_first_file_in_utf16(encoding: str, context: Context, tmp_path: Path) -> None:
    (tmp_path / "ratings.dat").write_bytes(DAT.encode(encoding))
    assert "ratings.dat:1: wrong encoding: not UTF-8 but UTF-16" in refusal(context, tmp_path / "ratings.dat")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_later_file_in_utf16(encoding: str, context: Context, tmp_path: Path) -> None:
    folder = write_combined(tmp_path / "nf", ROWS)
    second = folder / "combined_data_2.txt"
    second.write_bytes(second.read_text().encode(encoding))
    for on_bad_rows in ("raise", "quarantine"):
        said = refusal(context, folder, on_bad_rows=on_bad_rows)
        assert said.startswith(f"{second}:1: wrong encoding")
        assert "iconv" in said


def test_latin1_in_an_id(context: Context, tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_bytes("user,item,rating\nann,x,3\nzoë,y,4\n".encode("latin-1"))
    for on_bad_rows in ("raise", "quarantine"):
        said = refusal(context, tmp_path / "r.csv", on_bad_rows=on_bad_rows)
        assert "r.csv:3: wrong encoding, these bytes are not UTF-8: 'zo\\\\xeb,y,4'" in said


def test_no_such_file(context: Context, tmp_path: Path) -> None:
    assert (
        refusal(context, tmp_path / "nowhere.csv")
        == f"{tmp_path / 'nowhere.csv'}: no such file or folder; check ingest.ratings"
    )


def test_a_glob_that_matches_nothing(context: Context, tmp_path: Path) -> None:
    assert "no file matches" in refusal(context, tmp_path / "*.csv")


def test_a_folder_without_ratings(context: Context, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "README.md").write_text("nothing")
    assert "in: holds no ratings" in refusal(context, tmp_path / "in")


def test_columns_that_are_not_there(context: Context, tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("who,what,rating\n1,2,3\n")
    assert "r.csv:1: no column for the user among who, what, rating; name it in ingest.columns.user" in refusal(
        context, tmp_path / "r.csv"
    )
    assert "r.csv:1: no column 'which' among who, what, rating" in refusal(
        context, tmp_path / "r.csv", columns={"user": "which"}
    )


def test_a_file_with_other_columns_than_the_first(context: Context, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text("user,item,rating\n1,2,3\n")
    (tmp_path / "in" / "b.csv").write_text("item,user,rating\n1,2,3\n")
    assert "b.csv:1: the columns 'item, user, rating' are not those of the first file" in refusal(
        context, tmp_path / "in"
    )


def test_probe_txt_is_no_set_of_ratings(context: Context, tmp_path: Path) -> None:
    (tmp_path / "probe.txt").write_text("7:\n1\n2\n")
    assert "Netflix form without ratings" in refusal(context, tmp_path / "probe.txt")
