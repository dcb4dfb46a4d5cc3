"""Which files hold the ratings, and what lies beside them.

Covers: layouts of folders, order, companions, checksums, cutting to chunks.
Does not cover: what is in the files (test_parse.py), or paths at which nothing is (test_bad_input.py).
"""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from funkflow.tasks.errors import BadInput
from funkflow.tasks.parsing.sources import sources
from funkflow.tasks.parsing.sources.chunks import RawFile, cut, whole
from funkflow.tasks.parsing.sources.layouts import pick_rating_files
from funkflow.tasks.parsing.sources.sources import (
    checksum_all,
    checksum_ranges,
    find_companions,
    find_sources,
    input_record,
)
from funkflow.tasks.storage import files


def made(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def found(folder: Path | str) -> list[str]:
    (source,) = find_sources([str(folder)])
    return [Path(stored.url).relative_to(folder).as_posix() for stored in source.files]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (
            ["training_set/mv_2.txt", "training_set/mv_1.txt", "probe.txt", "movie_titles.txt"],
            ["training_set/mv_1.txt", "training_set/mv_2.txt"],
        ),
        (["mv_1.txt", "README"], ["mv_1.txt"]),
        (["training_set.tar", "probe.txt", "qualifying.txt", "rmse.pl"], ["training_set.tar"]),
        (["combined_data_2.txt", "combined_data_1.txt", "probe.txt"], ["combined_data_1.txt", "combined_data_2.txt"]),
        (["ratings.dat", "movies.dat", "users.dat", "README"], ["ratings.dat"]),
        (["u.data", "u.item", "u1.base", "u1.test"], ["u.data"]),
        (["ratings.csv", "movies.csv", "links.csv", "tags.csv"], ["ratings.csv"]),
        (["part.0.parquet", "part.1.parquet", "_metadata"], ["part.0.parquet", "part.1.parquet"]),
        (["b.csv", "a.csv", ".hidden.csv"], ["a.csv", "b.csv"]),
    ],
)
def test_known_layouts(names: list[str], expected: list[str], tmp_path: Path) -> None:
    assert found(made(tmp_path, *names)) == expected


def test_several_kinds_of_files_are_not_guessed_at() -> None:
    with pytest.raises(BadInput, match=r"data: holds several kinds of files \(\.csv, \.tsv\)"):
        pick_rating_files(["a.csv", "b.tsv"], "data")


@pytest.mark.parametrize(
    ("names", "given_path", "expected"),
    [
        (
            ["training_set/mv_1.txt", "probe.txt", "qualifying.txt", "movie_titles.txt"],
            "",
            {"probe", "qualifying", "titles"},
        ),
        (["training_set/mv_1.txt", "probe.txt", "movie_titles.txt"], "training_set", {"probe", "titles"}),
        (["ratings.dat", "movies.dat", "probe.txt"], "ratings.dat", {"titles"}),
        (["u.data", "u.item"], "u.data", {"titles"}),
        (["ratings.csv", "movies.csv"], "", {"titles"}),
        (["mine.csv", "movies.csv"], "mine.csv", set()),
    ],
)
def test_companions(names: list[str], given_path: str, expected: set[str], tmp_path: Path) -> None:
    companions = find_companions(find_sources([str(made(tmp_path, *names) / given_path)]))
    assert set(companions) == expected
    assert all(Path(url).is_file() for url in companions.values())


def test_urls_are_listed_too(tmp_path: Path) -> None:
    system = fsspec.filesystem("memory")
    system.pipe(f"/{tmp_path.name}/u.data", b"1\t2\t3\t4\n")
    (source,) = find_sources([f"memory://{tmp_path.name}"])
    assert [(stored.url, stored.bytes) for stored in source.files] == [(f"memory:///{tmp_path.name}/u.data", 8)]
    assert sources.read_range(source.files[0].url, 2, 4) == b"2\t"


def test_a_checksum_is_of_the_content_not_of_the_place(tmp_path: Path) -> None:
    records = []
    for place in ("one", "two"):
        (source,) = find_sources([str(made(tmp_path / place / "nf", "mv_1.txt", "mv_2.txt"))])
        records.append(
            input_record(source, checksum_all([span for stored in source.files for span in checksum_ranges(stored)]))
        )
    assert records[0] == records[1]
    (tmp_path / "two" / "nf" / "mv_2.txt").write_text("changed!")
    (source,) = find_sources([str(tmp_path / "two" / "nf")])
    assert (
        input_record(source, checksum_all([span for stored in source.files for span in checksum_ranges(stored)]))
        != records[0]
    )


def test_one_small_file_has_its_plain_checksum(tmp_path: Path) -> None:
    (source,) = find_sources([str(made(tmp_path, "u.data") / "u.data")])
    spans = checksum_ranges(source.files[0])
    assert input_record(source, checksum_all(spans))["checksum"] == files.checksum(b"u.data")


@given(st.lists(st.integers(1, 500), min_size=1, max_size=30), st.integers(1, 200))
def test_chunks_cover_every_byte_once_and_in_order(sizes: list[int], chunk_bytes: int) -> None:
    raw = [RawFile(f"f{number}", 0, size, f"f{number}") for number, size in enumerate(sizes)]
    chunks = cut([whole(file) for file in raw], chunk_bytes)
    pieces = [piece for chunk in chunks for piece in chunk]
    assert [(piece.file.url, byte) for piece in pieces for byte in range(piece.start, piece.stop)] == [
        (file.url, byte) for file in raw for byte in range(file.stop)
    ]
    assert all(sum(piece.stop - piece.start for piece in chunk) <= chunk_bytes for chunk in chunks)
