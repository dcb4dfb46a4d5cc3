"""How one set of raw files is written: what is recognised from a name and the first bytes.

Covers: the `Form` of Netflix text, delimited text and Parquet: delimiter, header, columns, kinds of id, scale.
Does not cover: finding files (sources.py), archives (archives.py), or reading the rows (parse.py and its neighbours).
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tasks.codecs import plain_name
from tasks.errors import BadInput
from tasks.other_kinds import refuse_bytes

Format = Literal["auto", "netflix", "movielens", "csv", "tsv", "parquet", "jsonl"]
IdKind = Literal["integer", "string"]
IdType = Literal["auto", "integer", "string"]
Clock = Literal["seconds", "milliseconds", "microseconds", "nanoseconds", "date", "iso", "fraction", "zoned"]
Column = str | int | None
Columns = tuple[Column, Column, Column, Column]
"""What the user calls the columns user, item, rating and timestamp; None where it is to be recognised."""

ROLES = ("user", "item", "rating", "timestamp")
HEAD_BYTES = 256 * 1024
"""How much of the first file is looked at."""

_SAMPLE_LINES = 1000
_USUAL_NAMES = {
    "user": ("user", "userid", "users", "customer", "customerid", "uid", "reviewerid", "profileid"),
    "item": (
        "item",
        "itemid",
        "movie",
        "movieid",
        "film",
        "filmid",
        "product",
        "productid",
        "book",
        "bookid",
        "track",
        "trackid",
        "iid",
        "asin",
        "isbn",
    ),
    "rating": ("rating", "ratings", "score", "stars", "value", "overall"),
    "timestamp": ("timestamp", "time", "date", "datetime", "unixtime", "unixreviewtime", "ratedat"),
}
_NETFLIX_NAME = re.compile(r"^(mv_\d+|combined_data_\d+|probe|qualifying|judging)\.txt$")
_MOVIE_HEADER = re.compile(r"^\d+:$")
_INTEGER = re.compile(r"^-?\d+$")
_PLAIN_INTEGER = re.compile(r"^(0|-?[1-9]\d{0,17})$")
"""An integer that comes back as it was written: 007 and 7 may be two users, so ids with leading zeros are text."""
_NUMBER = re.compile(r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$")


@dataclass(frozen=True)
class Form:
    """How rows are written. Positions count columns from 0; -1 says that there is no such column.

    Netflix text has its item in the header line above the rows, so `item` is -1 there.
    """

    kind: Literal["netflix", "text", "parquet", "jsonl"]
    described: str
    width: int
    user: int
    item: int
    rating: int
    timestamp: int
    user_type: IdKind = "integer"
    item_type: IdKind = "integer"
    delimiter: str = ","
    header: tuple[str, ...] = ()
    quoted: bool = False
    clock: Clock = "seconds"
    scale: tuple[float, float] | None = None


@dataclass(frozen=True)
class Wanted:
    """What the user said about the files, in plain values; `ratings` False allows a file of bare pairs."""

    format: Format = "auto"
    columns: Columns = (None, None, None, None)
    user_type: IdType = "auto"
    item_type: IdType = "auto"
    scale: tuple[float, float] | None = None
    ratings: bool = True


def recognise_text(head: bytes, name: str, wanted: Wanted) -> Form:
    """Return the form of a text file from its first bytes.

    Parameters
    ----------
    head : the first `HEAD_BYTES` of the file, or all of it.
    name : what the file is called in messages; its last part also helps to recognise it.

    Raises
    ------
    BadInput
        The file is empty, not UTF-8 text, or its columns are not recognised.
    """
    lines = _first_lines(head, name)
    base = plain_name(name.rsplit("/", 1)[-1])
    if wanted.format == "netflix" or (
        wanted.format == "auto" and (_NETFLIX_NAME.match(base) or _MOVIE_HEADER.match(lines[0]))
    ):
        return _netflix(lines, name, wanted)
    return _delimited(lines, name, base, wanted)


def place_columns(names: Sequence[str], wanted: Wanted, name: str) -> tuple[int, int, int, int]:
    """Return the positions of user, item, rating and timestamp among named columns; -1 for none.

    Raises
    ------
    BadInput
        A column that is needed is not there; the message lists those that are.
    """
    plain = [_plain(each) for each in names]
    places = []
    for role, column in zip(ROLES, wanted.columns, strict=True):
        if isinstance(column, int):
            place = column if 0 <= column < len(names) else -1
        elif column is not None:
            place = list(names).index(column) if column in names else -1
        else:
            place = next((plain.index(usual) for usual in _USUAL_NAMES[role] if usual in plain), -1)
        if place < 0 and (column is not None or role in ("user", "item") or (role == "rating" and wanted.ratings)):
            asked = f"column {column!r}" if column is not None else f"column for the {role}"
            raise BadInput(f"{name}:1: no {asked} among {', '.join(names)}; name it in ingest.columns.{role}")
        places.append(place)
    return places[0], places[1], places[2], places[3]


def _first_lines(head: bytes, name: str) -> list[str]:
    if not head.strip():
        raise BadInput(f"{name}: the file is empty; fetch it anew or leave it out of ingest.ratings")
    refuse_bytes(head, name)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in head:
        raise BadInput(
            f"{name}:1: wrong encoding: not UTF-8 but UTF-16 or binary; "
            "convert it, for instance by iconv -f UTF-16 -t UTF-8"
        )
    whole = head.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if len(whole) > 1 and len(head) >= HEAD_BYTES:
        whole = whole[:-1]
    lines = [line.decode("utf-8", errors="replace").rstrip("\r") for line in whole[:_SAMPLE_LINES]]
    return [line for line in lines if line]


def _netflix(lines: list[str], name: str, wanted: Wanted) -> Form:
    rows = [line.split(",") for line in lines if not line.endswith(":")]
    widths = Counter(len(row) for row in rows if len(row) <= 3).most_common(1)
    width = widths[0][0] if widths else 3
    row = next((row for row in rows if len(row) == width), ["", "", ""])
    rating = 1 if width == 3 or (width == 2 and _NUMBER.match(row[1])) else -1
    if wanted.ratings and rating < 0:
        raise BadInput(
            f"{name}: Netflix form without ratings ({','.join(row)!r}), like probe.txt or qualifying.txt; "
            "name files of user,rating,date lines"
        )
    return Form(
        kind="netflix",
        described="Netflix Prize text (movie header lines, then user,rating,date)"
        if rating > 0
        else "Netflix Prize pairs (movie header lines, then users)",
        width=width,
        user=0,
        item=-1,
        rating=rating,
        timestamp=width - 1 if width == 3 or (width == 2 and rating < 0) else -1,
        user_type="string" if wanted.user_type == "string" else "integer",
        item_type="string" if wanted.item_type == "string" else "integer",
        clock="iso",
        scale=wanted.scale or (1.0, 5.0),
    )


def _delimited(lines: list[str], name: str, base: str, wanted: Wanted) -> Form:
    delimiter = _delimiter(lines[0], wanted)
    quoted = delimiter == "," or (delimiter != "::" and any('"' in line for line in lines))
    rows = [split_line(line, delimiter, quoted) for line in lines]
    header = tuple(rows[0]) if _has_header(rows[0], wanted) else ()
    width = len(header) or Counter(len(row) for row in rows).most_common(1)[0][0]
    sample = [row for row in rows[1 if header else 0 :] if len(row) == width]
    user, item, rating, timestamp = _places(header, sample, width, name, wanted)
    described, scale = _movielens(base, delimiter, header, [row[rating] for row in sample] if rating >= 0 else [])
    if wanted.format == "movielens" and not described:
        raise BadInput(
            f"{name}: not a MovieLens file (ratings.dat, u.data or ratings.csv); set ingest.format to what it is"
        )
    kind = {"\t": "TSV", ",": "CSV"}.get(delimiter, f"text separated by {delimiter!r}")
    return Form(
        kind="text",
        described=described or f"{kind} ({'columns ' + ', '.join(header) if header else 'no header'})",
        width=width,
        user=user,
        item=item,
        rating=rating,
        timestamp=timestamp,
        user_type=_id_type(wanted.user_type, [row[user] for row in sample], bool(described)),
        item_type=_id_type(wanted.item_type, [row[item] for row in sample], bool(described)),
        delimiter=delimiter,
        header=header,
        quoted=quoted,
        clock=_clock(sample[0][timestamp].strip()) if timestamp >= 0 and sample else "seconds",
        scale=wanted.scale or scale,
    )


def split_line(line: str, delimiter: str, quoted: bool) -> list[str]:
    """Cut one line into its fields; quotes count only where the form has them."""
    if quoted and '"' in line:
        return next(csv.reader([line], delimiter=delimiter))
    return line.split(delimiter)


def _delimiter(line: str, wanted: Wanted) -> str:
    if wanted.format == "csv":
        return ","
    if wanted.format == "tsv":
        return "\t"
    return next((each for each in ("::", "\t", ",", ";", "|") if each in line), ",")


def _has_header(first: list[str], wanted: Wanted) -> bool:
    if any(isinstance(column, str) for column in wanted.columns):
        return True
    fields = [field.strip() for field in first]
    usual = {each for names in _USUAL_NAMES.values() for each in names}
    if sum(_plain(field) in usual for field in fields) >= 2:
        return True
    return len(fields) > 1 and all(re.fullmatch(r"[^\W\d][\w .-]*", field) for field in fields)


def _places(
    header: tuple[str, ...], sample: list[list[str]], width: int, name: str, wanted: Wanted
) -> tuple[int, int, int, int]:
    if header and not any(isinstance(column, int) for column in wanted.columns):
        return place_columns([field.strip() for field in header], wanted, name)
    places = [column if isinstance(column, int) else position for position, column in enumerate(wanted.columns)]
    user, item, rating, timestamp = (place if 0 <= place < width else -1 for place in places)
    no_ratings = rating < 0 if wanted.ratings else False
    if (
        min(user, item) < 0
        or no_ratings
        or (rating >= 0 and sample and not any(_NUMBER.match(row[rating].strip()) for row in sample))
    ):
        raise BadInput(
            f"{name}:1: cannot tell the columns user, item and rating in {(header or tuple(sample[0]))!r}; "
            "set ingest.columns (names, or positions from 0 where there is no header) or ingest.format"
        )
    return user, item, rating, timestamp


def _plain(field: str) -> str:
    return re.sub(r"[^a-z]", "", field.lower())


def _movielens(
    base: str, delimiter: str, header: tuple[str, ...], ratings: list[str]
) -> tuple[str, tuple[float, float] | None]:
    half_stars = any("." in rating for rating in ratings)
    if base == "ratings.dat" and delimiter == "::":
        return "MovieLens ratings.dat", (0.5, 5.0) if half_stars else (1.0, 5.0)
    if re.match(r"^u([1-5]|[ab])?\.(data|base|test)$", base) and delimiter == "\t" and not header:
        return f"MovieLens {base}", (1.0, 5.0)
    if header == ("userId", "movieId", "rating", "timestamp"):
        return "MovieLens ratings.csv", (0.5, 5.0)
    return "", None


def _clock(field: str) -> Literal["seconds", "iso", "fraction", "zoned"]:
    if _INTEGER.match(field):
        return "seconds"
    if re.search(r"\d(Z|[+-]\d\d:?\d\d)$", field) and ":" in field:
        return "zoned"
    return "fraction" if "." in field else "iso"


def _id_type(wanted: IdType, sample: list[str], integers_by_format: bool) -> Literal["integer", "string"]:
    if wanted != "auto":
        return wanted
    return (
        "integer"
        if integers_by_format or (sample and all(_PLAIN_INTEGER.match(field.strip()) for field in sample))
        else "string"
    )
