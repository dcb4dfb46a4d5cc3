"""Titles and years of items, from the files that come with the public sets.

Covers: movie_titles.txt, movies.dat, u.item, movies.csv, packed or not: encodings, years and commas in titles.
Does not cover: finding the file (tasks/parsing/sources/sources.py) or anything else in it (genres, links).
"""

from __future__ import annotations

import csv
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from funkflow.tasks.errors import BadInput
from funkflow.tasks.parsing.sources.codecs import plain_name, read_text
from funkflow.tasks.storage import files

_YEAR_AT_END = re.compile(r"^(.*\S)\s*\((\d{4})\)\s*$")
_Title = tuple[str, str, int | None]


def read_titles(url: str) -> pa.Table:
    """Read a file of titles: raw_id string, title string, year int32 (null if missing).

    Raises
    ------
    BadInput
        There is no such file, its name is none of the four known ones, or a line is malformed.
    """
    base = plain_name(posixpath.basename(url).lower())
    if not files.exists(url):
        raise BadInput(f"{url}: no such file; check ingest.titles")
    form = next(((encoding, reader) for pattern, encoding, reader in _FORMS if pattern.fullmatch(base)), None)
    if form is None:
        raise BadInput(
            f"{url}: not a known file of titles; it has to be a movie_titles.txt, movies.dat, u.item or movies.csv"
        )
    encoding, reader = form
    text = read_text(url, encoding)
    rows = []
    for number, fields in enumerate(reader(text), start=1):
        if isinstance(fields, str):
            raise BadInput(f"{url}:{number}: malformed line of titles: {fields[:80]!r}; mend or remove it")
        if fields:
            rows.append(fields)
    ids, titles, years = ([row[column] for row in rows] for column in range(3))
    return pa.table(
        {
            "raw_id": pa.array(ids, pa.string()),
            "title": pa.array(titles, pa.string()),
            "year": pa.array(years, pa.int32()),
        }
    )


def attach_titles(items: pa.Table, titles: pa.Table) -> pa.Table:
    """Return `items` (raw_id) with title and year, null where there is none; titles of other items are dropped."""
    places = pc.index_in(items["raw_id"].cast(pa.string()), value_set=titles["raw_id"].combine_chunks())
    return items.append_column("title", titles["title"].take(places)).append_column("year", titles["year"].take(places))


def titles_of(model_folder: str, about: Mapping[str, Any]) -> dict[Any, str]:
    """Return "title (year)" by raw item for the items of an exported model that have titles."""
    if "titles" not in about:
        return {}
    url = files.join(model_folder, about["titles"]["path"])
    rows = files.read_table(url, expected_checksum=about["titles"]["checksum"]).to_pylist()
    return {row["raw_id"]: row["title"] + (f" ({row['year']})" if row["year"] else "") for row in rows if row["title"]}


_Lines = Iterator[_Title | str | None]
"""One entry a line: a title, the text of a malformed line, or None for an empty one."""


def _movie_titles(text: str) -> _Lines:
    for line in (each.rstrip("\r") for each in text.split("\n")):
        number, *rest = line.split(",", 2)
        year = rest[0].strip() if len(rest) == 2 else ""
        if not line.strip():
            yield None
        elif not number.isascii() or not number.isdigit() or not (year == "NULL" or re.fullmatch(r"\d{4}", year)):
            yield line
        else:
            yield number, rest[1], None if year == "NULL" else int(year)


def _separated_reader(delimiter: str, least: int) -> Callable[[str], _Lines]:
    def read(text: str) -> _Lines:
        for line in text.split("\n"):
            fields = line.rstrip("\r").split(delimiter)
            if not line.strip():
                yield None
            elif len(fields) < least or not fields[0].strip().isdigit():
                yield line
            else:
                yield fields[0].strip(), *_title_and_year(fields[1])

    return read


def _movies_csv(text: str) -> _Lines:
    lines = csv.reader(text.split("\n"), strict=True)
    try:
        header = [name.strip().lower() for name in next(lines, [])]
        if len(header) < 2 or header[1] != "title":
            yield ",".join(header)
            return
        yield None
        for fields in lines:
            if not fields:
                yield None
            elif len(fields) != len(header) or not fields[0].strip():
                yield ",".join(fields)
            else:
                yield fields[0].strip(), *_title_and_year(fields[1])
    except csv.Error as cause:
        yield str(cause)


def _title_and_year(title: str) -> tuple[str, int | None]:
    match = _YEAR_AT_END.match(title)
    return (match.group(1), int(match.group(2))) if match else (title.strip(), None)


_FORMS = (
    (re.compile(r".*movie_titles.*\.(txt|csv)"), "latin-1", _movie_titles),
    (re.compile(r".*movies.*\.dat"), "latin-1", _separated_reader("::", 2)),
    (re.compile(r".*u\.item"), "latin-1", _separated_reader("|", 2)),
    (re.compile(r".*movies.*\.csv"), "utf-8", _movies_csv),
)
