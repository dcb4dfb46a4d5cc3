"""Titles and years, from the four kinds of files that hold them.

Covers: encodings, commas, years, unknown items, malformed lines. Does not cover: finding the file (test_sources.py).
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from funkflow.tasks.errors import BadInput
from funkflow.tasks.parsing.titles import attach_titles, read_titles

FILES = {
    "movie_titles.txt": "1,2003,Amélie, the film (1999)\n2,NULL,No year\n".encode("latin-1"),
    "movies.dat": "1::Amélie, the film (2003)::Comedy\n2::No year::Drama|War\n".encode("latin-1"),
    "u.item": "1|Amélie, the film (2003)|01-Jan-2003||http://x|0\n2|No year||||1\n".encode("latin-1"),
    "movies.csv": b'\xef\xbb\xbfmovieId,title,genres\n1,"Am\xc3\xa9lie, the film (2003)",Comedy\n2,No year,Drama\n',
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_every_form_is_read(name: str, end: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(FILES[name].replace(b"\n", end))
    first = "Amélie, the film (1999)" if name == "movie_titles.txt" else "Amélie, the film"
    assert read_titles(str(tmp_path / name)).to_pylist() == [
        {"raw_id": "1", "title": first, "year": 2003},
        {"raw_id": "2", "title": "No year", "year": None},
    ]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("movie_titles.txt", "1,2003,A\n2,20x3,B\n", "movie_titles.txt:2: malformed line of titles: '2,20x3,B'"),
        ("movie_titles.txt", "1,2003,A\nB\n", "movie_titles.txt:2: malformed line of titles: 'B'"),
        ("movies.dat", "1::A::x\n\ntwo::B::y\n", "movies.dat:3: malformed line of titles: 'two::B::y'"),
        ("u.item", "1|A|x\n2\n", "u.item:2: malformed line of titles: '2'"),
        ("movies.csv", "movieId,title,genres\n1,A\n", "movies.csv:2: malformed line of titles: '1,A'"),
        ("movies.csv", "movieId,name\n1,A\n", "movies.csv:1: malformed line of titles: 'movieid,name'"),
        ("mine.xml", "", "mine.xml: not a known file of titles"),
    ],
)
def test_a_malformed_file_is_named(name: str, text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(BadInput) as caught:
        read_titles(str(tmp_path / name))
    assert said in str(caught.value)


def test_a_wrong_encoding_is_named(tmp_path: Path) -> None:
    (tmp_path / "movies.csv").write_bytes("movieId,title\n1,A\n2,Amélie\n".encode("latin-1"))
    with pytest.raises(BadInput, match=r"movies\.csv:3: wrong encoding: byte 0xe9 is not UTF-8"):
        read_titles(str(tmp_path / "movies.csv"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"movies\.csv: no such file"):
        read_titles(str(tmp_path / "movies.csv"))


@pytest.mark.parametrize("kind", [pa.int64(), pa.string()])
def test_titles_go_to_their_items_whatever_the_kind_of_id(kind: pa.DataType) -> None:
    titles = pa.table(
        {"raw_id": ["1", "2", "3"], "title": ["A", "B", "C"], "year": pa.array([2000, None, 2002], pa.int32())}
    )
    items = pa.table({"raw_id": pa.array([3, 9, 1]).cast(kind)})
    assert attach_titles(items, titles).select(["title", "year"]).to_pylist() == [
        {"title": "C", "year": 2002},
        {"title": None, "year": None},
        {"title": "A", "year": 2000},
    ]


def test_real_netflix_titles(ratings_dir: Path) -> None:
    titles = read_titles(str(ratings_dir / "netflix" / "movie_titles.txt"))
    assert titles.num_rows == 17_770
    assert titles.slice(0, 1).to_pylist() == [{"raw_id": "1", "title": "Dinosaur Planet", "year": 2003}]
    assert titles["year"].null_count == 7


@pytest.mark.parametrize(
    ("name", "rows"), [("ml-1m/movies.dat", 3883), ("ml-100k/u.item", 1682), ("ml-latest-small/movies.csv", 9125)]
)
def test_real_movielens_titles(name: str, rows: int, ratings_dir: Path) -> None:
    titles = read_titles(str(ratings_dir / name))
    assert titles.num_rows == rows
    assert titles.slice(0, 1).to_pylist() == [{"raw_id": "1", "title": "Toy Story", "year": 1995}]
