"""Packed files and archives give the ratings that are in them, or say in one line what is wrong with them.

Covers: gzip, bzip2, xz and Zstandard by themselves, in parts and around a tar; zip; wrong names; files of other kinds.
Does not cover: names of files in folders (test_sources.py), what is in the files (test_parse.py).
"""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import lzma
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from ingesting import ingest, refusal, settings
from raw_forms import delimited, made_rows, write_mv_folder, write_parquet

from funkflow.pipeline.cluster.context import Context
from funkflow.tasks.errors import BadInput
from funkflow.tasks.parsing.format.formats import Wanted
from funkflow.tasks.parsing.pairs import read_pairs
from funkflow.tasks.parsing.prepare import ParseInput, prepare, unpack_here
from funkflow.tasks.parsing.rows.text import parse_chunk
from funkflow.tasks.parsing.sources.archives import unpack
from funkflow.tasks.parsing.sources.sources import StoredFile, find_sources

ROWS = made_rows(200)
CSV = delimited(ROWS, ",", "user,item,rating,timestamp").encode()
DAT = delimited(ROWS, "::").encode()


def zstd(data: bytes) -> bytes:
    packed = pa.BufferOutputStream()
    with pa.CompressedOutputStream(packed, "zstd") as stream:
        stream.write(data)
    return bytes(packed.getvalue())


CODECS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstd,
}
codecs = pytest.mark.parametrize("codec", CODECS)


def saved(path: Path, data: bytes) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path


def tarred(folder: Path) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        archive.add(folder, arcname=folder.name)
    return data.getvalue()


def zipped(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def prepared_from(path: Path, scratch: str) -> ParseInput:
    (source,) = find_sources([str(path)])
    return prepare(unpack_here(source, scratch), Wanted(), 2048)


def rows_of(path: Path) -> list[tuple[int, int, float]]:
    """Unpack and parse what `path` stands for, in this process."""
    with tempfile.TemporaryDirectory() as scratch:
        prepared = prepared_from(path, scratch)
        parsed = [parse_chunk(chunk, prepared.form) for chunk in prepared.chunks]
    assert not any(part.rejected for part in parsed)
    columns = pa.concat_tables([part.table for part in parsed]).select(["user", "item", "rating"]).to_pydict()
    return sorted(zip(*columns.values(), strict=True))


def said_of(path: Path) -> str:
    """Return in what words the file is refused; nothing is left of it in scratch."""
    with tempfile.TemporaryDirectory() as scratch:
        with pytest.raises(BadInput) as caught:
            prepared_from(path, scratch)
        assert not list(Path(scratch).iterdir())
    assert "\n" not in str(caught.value)
    return str(caught.value)


EXPECTED = sorted((user, item, float(rating)) for user, item, rating, _ in ROWS)


@codecs
def test_a_packed_file(codec: str, tmp_path: Path) -> None:
    assert rows_of(saved(tmp_path / f"r.csv.{codec}", CODECS[codec](CSV))) == EXPECTED


@codecs
def test_a_file_packed_in_parts_one_after_another(codec: str, tmp_path: Path) -> None:
    middle = len(CSV) // 2
    data = CODECS[codec](CSV[:middle]) + CODECS[codec](CSV[middle:])
    assert rows_of(saved(tmp_path / f"r.csv.{codec}", data)) == EXPECTED


@codecs
def test_packed_files_in_a_folder_are_found_with_their_titles(codec: str, context: Context, tmp_path: Path) -> None:
    saved(tmp_path / "in" / f"ratings.dat.{codec}", CODECS[codec](DAT))
    saved(tmp_path / "in" / f"movies.dat.{codec}", CODECS[codec](b"1::Brazil (1985)::Drama\n"))
    manifest = ingest(context, settings(tmp_path / "in"))
    assert manifest.format == "MovieLens ratings.dat"
    items = pd.read_parquet(Path(context.store.dataset(manifest.id)) / "items.parquet").set_index("raw_id")
    assert items.loc[1, "title"] == "Brazil"


@pytest.mark.parametrize("name", ["t.tar.gz", "t.tgz", "t.tar.bz2", "t.tbz2", "t.tar.xz", "t.txz", "t.tar.zst"])
def test_a_tar_packed_in_any_way(name: str, tmp_path: Path) -> None:
    data = tarred(write_mv_folder(tmp_path / "nf", ROWS) / "training_set")
    codec = {"gz": "gz", "z2": "bz2", "xz": "xz", "st": "zst"}[name[-2:]]
    assert rows_of(saved(tmp_path / name, CODECS[codec](data))) == EXPECTED


@codecs
def test_parquet_packed_once_more(codec: str, tmp_path: Path) -> None:
    data = CODECS[codec](write_parquet(tmp_path / "r.parquet", ROWS).read_bytes())
    assert rows_of(saved(tmp_path / f"r.parquet.{codec}", data)) == EXPECTED


@codecs
def test_pairs_may_be_packed(codec: str, tmp_path: Path) -> None:
    path = saved(tmp_path / f"pairs.csv.{codec}", CODECS[codec](b"user,item\n5,7\n6,8\n"))
    assert read_pairs(str(path)).table.to_pydict() == {"user": [5, 6], "item": [7, 8]}


@codecs
@pytest.mark.parametrize("name", ["r.csv", "t.tar"])
def test_a_packed_file_cut_short(codec: str, name: str, tmp_path: Path) -> None:
    plain = CSV if name == "r.csv" else tarred(write_mv_folder(tmp_path / "nf", ROWS))
    whole = CODECS[codec](plain)
    for length in (len(whole) - 1, len(whole) // 2, 3):
        path = saved(tmp_path / f"{name}.{codec}", whole[:length])
        assert said_of(path).startswith(f"{path}: the archive is damaged or cut short")


@pytest.mark.parametrize("codec", ["gz", "bz2", "xz"])  # Zstandard, as pyarrow writes it, has no checksum
def test_a_packed_file_with_wrong_bytes_inside(codec: str, tmp_path: Path) -> None:
    whole = CODECS[codec](CSV)
    middle = len(whole) // 2
    path = saved(tmp_path / f"r.csv.{codec}", whole[:middle] + b"\xff\x00\xff\x00" + whole[middle + 4 :])
    assert said_of(path).startswith(f"{path}: the archive is damaged or cut short")


@codecs
def test_a_packed_file_under_the_name_of_another_kind(codec: str, tmp_path: Path) -> None:
    other = "xz" if codec == "gz" else "gz"
    said = said_of(saved(tmp_path / f"r.csv.{other}", CODECS[codec](CSV)))
    assert "its name says otherwise, but this is not text but " in said
    assert said.endswith(f"name it .{codec}")


@codecs
def test_a_packed_file_without_a_telling_name(codec: str, tmp_path: Path) -> None:
    said = said_of(saved(tmp_path / "r.csv", CODECS[codec](CSV)))
    assert said.startswith(f"{tmp_path / 'r.csv'}: this is not text but ")
    assert said.endswith(f"name it .{codec}")


def test_a_later_file_without_a_telling_name(context: Context, tmp_path: Path) -> None:
    saved(tmp_path / "in" / "a.csv", CSV)
    second = saved(tmp_path / "in" / "b.csv", gzip.compress(CSV))
    said = refusal(context, tmp_path / "in", on_bad_rows="quarantine")
    assert said == f"{second}: this is not text but gzip; name it .gz"


def test_a_full_disk_is_no_damage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = saved(tmp_path / "r.csv.bz2", bz2.compress(CSV))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(OSError, match="No space left on device"):
        unpack(StoredFile(str(path), path.stat().st_size), str(tmp_path / "target"))


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_the_ratings_in_a_zip(method: int, tmp_path: Path) -> None:
    path = zipped(
        tmp_path / "ml-1m.zip",
        {"ml-1m/README": b"x", "ml-1m/ratings.dat": DAT, "ml-1m/users.dat": b"1::F\n", "__MACOSX/._ratings.dat": b"x"},
        method,
    )
    assert rows_of(path) == EXPECTED


def test_several_files_in_a_zip(tmp_path: Path) -> None:
    lines = DAT.splitlines(keepends=True)
    parts = {"b.csv": b"".join(lines[100:]).replace(b"::", b","), "a.csv": b"".join(lines[:100]).replace(b"::", b",")}
    assert rows_of(zipped(tmp_path / "r.zip", parts)) == EXPECTED


def test_parquet_in_a_zip(context: Context, tmp_path: Path) -> None:
    data = write_parquet(tmp_path / "r.parquet", ROWS).read_bytes()
    assert rows_of(zipped(tmp_path / "one.zip", {"r.parquet": data})) == EXPECTED
    two = zipped(tmp_path / "two.zip", {"a.parquet": data, "b.parquet": data})
    assert "two.zip/a.parquet: Parquet beside other files in an archive is not read" in said_of(two)


def test_a_zip_that_is_damaged(tmp_path: Path) -> None:
    path = zipped(tmp_path / "ml.zip", {"ratings.dat": DAT})
    whole = path.read_bytes()
    for data in (whole[:-30], whole[:100], whole.replace(whole[200:210], bytes(10)), b"PK\x03\x04" + bytes(100)):
        assert said_of(saved(path, data)).startswith(f"{path}: the archive is damaged or cut short")


def test_a_zip_with_a_password(tmp_path: Path) -> None:
    path = zipped(tmp_path / "ml.zip", {"ratings.dat": DAT})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    assert f"{path}/ratings.dat: it is encrypted" in said_of(saved(path, bytes(data)))


def test_a_zip_without_ratings(tmp_path: Path) -> None:
    path = zipped(tmp_path / "r.zip", {"ratings.xlsx": b"x"})
    assert f"{path}: holds no ratings that are read, but ratings.xlsx: this is a spreadsheet" in said_of(path)


def test_an_archive_in_a_zip(tmp_path: Path) -> None:
    path = zipped(tmp_path / "r.zip", {"training_set.tar": b"x"})
    assert f"{path}/training_set.tar: an archive inside an archive" in said_of(path)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ratings.xlsx", "this is a spreadsheet, which is not read; save it as CSV"),
        ("ratings.7z", "this is packed in another way, which is not read; unpack it"),
        ("ratings.feather", "this is a table in another form, which is not read; write its table as Parquet or CSV"),
        ("ratings.sqlite", "this is a database, which is not read; save it as CSV"),
    ],
)
def test_files_of_other_kinds_are_named(name: str, said: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "in" / name, b"anything")
    assert said_of(path).startswith(f"{path}: {said}")
    assert f"in: holds no ratings that are read, but {name}: {said}" in said_of(path.parent)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"PAR1\x15\x04", "this is not text but Parquet; name it .parquet"),
        (b"PK\x03\x04xxx", "this is not text but a zip archive or a spreadsheet; name it .zip"),
        (b"SQLite format 3\x00", "this is not text but a database of SQLite; save it as CSV"),
        (b'[{"user": 1, "item": 2, "rating": 3}]', "this is JSON in one array; write one object a line"),
        (b"{'user': 1, 'item': 2, 'rating': 3}", "this is Python's notation and not JSON; convert it by python -c"),
    ],
)
def test_files_of_other_kinds_are_known_by_their_first_bytes(data: bytes, said: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "ratings.csv", data)
    assert said_of(path).startswith(f"{path}: {said}")


def test_a_folder_that_holds_only_an_archive(tmp_path: Path) -> None:
    zipped((tmp_path / "in.zip"), {"ratings.dat": DAT})
    saved(tmp_path / "in" / "ml.zip", (tmp_path / "in.zip").read_bytes())
    assert "in: holds no ratings but ml.zip; name that archive itself" in said_of(tmp_path / "in")
