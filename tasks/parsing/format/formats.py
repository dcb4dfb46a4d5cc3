"""Recognise the form of a set of raw files from a name and the first bytes.

Covers: the `Form` of Netflix text and delimited text: delimiter, header, columns, kinds of id, scale.
Does not cover: finding files (tasks/parsing/sources/sources.py), archives (tasks/parsing/sources/archives.py), or
reading the rows (tasks/parsing/rows/text.py and its neighbours).
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import Literal

from funkflow.tasks.errors import BadInput
from funkflow.tasks.parsing.format.columns import (
    NO_COLUMN,
    ColumnPlaces,
    ColumnRequest,
    Columns,
    place_fields,
    seems_usable,
)
from funkflow.tasks.parsing.format.delimiters import (
    DELIMITERS,
    SPACES,
    guess_delimiter,
    quotes_after_blanks,
    rows_below_comments,
    split_line,
)
from funkflow.tasks.parsing.format.field_values import (
    Clock,
    any_padded,
    are_integers,
    clock_of,
    has_decimal_commas,
    is_number,
    mixes_decimal_signs,
    mostly_numbers,
)
from funkflow.tasks.parsing.format.matrix_market import is_matrix_market, lines_below_sizes
from funkflow.tasks.parsing.format.movielens import movielens_form, movielens_name
from funkflow.tasks.parsing.format.quoting import Quoting, has_quotes, lines_to_records
from funkflow.tasks.parsing.sources.codecs import plain_name
from funkflow.tasks.parsing.sources.other_kinds import refuse_bytes

Format = Literal["auto", "netflix", "movielens", "csv", "tsv", "parquet", "jsonl"]
IdKind = Literal["integer", "string"]
IdType = Literal["auto", "integer", "string"]

HEAD_BYTES = 256 * 1024
"""The bytes of the first file that the guess uses."""

_SAMPLE_LINES = 1000
_NETFLIX_NAME = re.compile(r"^(mv_\d+|combined_data_\d+|probe|qualifying|judging)\.txt$")
_MOVIE_HEADER = re.compile(r"^\d+:$")


@dataclass(frozen=True)
class Form:
    """The format of rows. Positions count columns from 0; -1 for a missing column.

    Netflix text has the item in a header line above its rows, so `item` is -1. `decimal` : the sign in numbers such as
    3.5; `fractional` : numeric times have one, too; `unnamed` : columns on the left without a name in the header;
    `doubt` : a guess that may be wrong; `blank_before_quote` : a blank stands between delimiters and quotes; `sizes` :
    a line of sizes stands above the rows; `counts` : ratings are counts, and without their column each row counts 1.
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
    decimal: str = "."
    fractional: bool = False
    unnamed: int = 0
    doubt: str = ""
    blank_before_quote: bool = False
    sizes: bool = False
    line_end: Literal["\n", "\r"] = "\n"
    counts: bool = False


@dataclass(frozen=True)
class Wanted:
    """The user's settings for the files, in plain values.

    `ratings` False allows a file of bare pairs; `events` reads rows without ratings as likes or clicks where no column
    could hold ratings; `counts` : the rating's column has counts; `delimiter` : a character or one of `DELIMITERS`, ""
    to guess it.
    """

    format: Format = "auto"
    columns: Columns = (None, None, None, None)
    user_type: IdType = "auto"
    item_type: IdType = "auto"
    scale: tuple[float, float] | None = None
    ratings: bool = True
    delimiter: str = ""
    quoting: Quoting = "auto"
    events: bool = False
    counts: bool = False

    def counts_where(self, rating: int) -> bool:
        """Return whether a form with this place of the rating has counts, given or one a row."""
        return self.counts or (self.ratings and rating < 0)


def recognise_text(head: bytes, name: str, wanted: Wanted) -> Form:
    """Return the form of a text file from its first bytes.

    Parameters
    ----------
    head : the first `HEAD_BYTES` of the file, or all of it.
    name : the file's name for messages; its last part also helps to recognise the form.

    Raises
    ------
    BadInput
        The file is empty or not UTF-8 text, or its columns are unclear.
    """
    if b"\r" in head.removesuffix(b"\r") and b"\n" not in head:
        return replace(recognise_text(head.replace(b"\r", b"\n"), name, wanted), line_end="\r")
    lines = _first_lines(head, name)
    base = plain_name(name.rsplit("/", 1)[-1])
    if wanted.format == "netflix" or (
        wanted.format == "auto" and (_NETFLIX_NAME.match(base) or _MOVIE_HEADER.match(lines[0]))
    ):
        return _netflix_form(lines, name, wanted)
    if wanted.format == "auto" and is_matrix_market(lines):
        form = _delimited_form(lines_below_sizes(lines, name), name, base, replace(wanted, delimiter=SPACES))
        return replace(form, described="Matrix Market", sizes=True)
    return _delimited_form(lines, name, base, wanted)


def _first_lines(head: bytes, name: str) -> list[str]:
    if not head.strip():
        raise BadInput(f"{name}: the file is empty; fetch it again or leave it out of ingest.ratings")
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
    return [line for line in lines if line.strip()]


def _netflix_form(lines: list[str], name: str, wanted: Wanted) -> Form:
    rows = [line.split(",") for line in lines if not line.endswith(":")]
    widths = Counter(len(row) for row in rows if len(row) <= 3).most_common(1)
    width = widths[0][0] if widths else 3
    row = next((row for row in rows if len(row) == width), ["", "", ""])
    rating = 1 if width == 3 or (width == 2 and is_number(row[1])) else -1
    timestamp = width - 1 if width == 3 or (width == 2 and rating < 0) else -1
    if wanted.columns[2] == NO_COLUMN:
        rating = -1
    elif wanted.ratings and rating < 0:
        raise BadInput(
            f"{name}: Netflix form without ratings ({','.join(row)!r}), like probe.txt or qualifying.txt; "
            "name files of user,rating,date lines"
        )
    return Form(
        kind="netflix",
        described=f"Netflix Prize {'text' if rating > 0 else 'pairs'} (movie header lines, then "
        f"{'user,rating,date' if rating > 0 else 'users'})",
        width=width,
        user=0,
        item=-1,
        rating=rating,
        timestamp=timestamp,
        user_type="string" if wanted.user_type == "string" else "integer",
        item_type="string" if wanted.item_type == "string" else "integer",
        clock="iso",
        scale=wanted.scale or (1.0, 5.0),
        counts=wanted.counts_where(rating),
    )


def _delimited_form(lines: list[str], name: str, base: str, wanted: Wanted) -> Form:
    delimiter = _choose_delimiter(lines, wanted)
    blank_before_quote = f'{delimiter} "' in lines[min(1, len(lines) - 1)]
    if blank_before_quote:
        lines = [quotes_after_blanks(line.encode(), delimiter).decode() for line in lines]
    quoted = has_quotes(wanted.quoting, lines, delimiter, name)
    records = lines_to_records(lines, delimiter, name) if quoted else lines
    rows = rows_below_comments(records, [split_line(record, delimiter, quoted) for record in records])
    movielens = movielens_name(base, delimiter)
    request = ColumnRequest(wanted.columns, wanted.ratings, wanted.user_type == "integer", events=wanted.events)
    placed = place_fields(rows, request, name, no_header=bool(movielens))
    below = rows[1 if placed.header else 0 :]
    width = _width(below, placed)
    sample = [row for row in below if len(row) == width]
    if width > len(placed.header) > 0 and any(row[-1].strip() for row in sample):
        placed = placed.after_row_names()
    ratings = [row[placed.rating] for row in sample] if placed.rating >= 0 else []
    times = [row[placed.timestamp] for row in sample] if placed.timestamp >= 0 else []
    if ratings and not mostly_numbers(ratings) and not any(map(is_number, ratings)):
        raise BadInput(
            f"{name}: the ratings in column {placed.called(placed.rating)} are no numbers, such as {ratings[0]!r}; "
            "write them as numbers, or name another column in ingest.columns.rating"
        )
    described, scale = movielens_form(movielens, placed.header, ratings)
    if wanted.format == "movielens" and not described:
        raise BadInput(
            f"{name}: not a MovieLens file (ratings.dat, u.data or ratings.csv); set ingest.format to what it is"
        )
    return Form(
        kind="text",
        described=described or _describe_text(delimiter, placed.header),
        width=width,
        user=placed.user,
        item=placed.item,
        rating=placed.rating,
        timestamp=placed.timestamp,
        user_type=_guess_id_type(wanted.user_type, [row[placed.user] for row in sample], bool(described)),
        item_type=_guess_id_type(wanted.item_type, [row[placed.item] for row in sample], bool(described)),
        delimiter=delimiter,
        header=placed.header,
        unnamed=placed.unnamed,
        quoted=quoted,
        clock=_guess_clock(times, placed.called(placed.timestamp), name),
        scale=wanted.scale or scale,
        decimal=_guess_decimal_sign(ratings, delimiter, name),
        fractional=any("." in field and is_number(field) for field in times),
        doubt=placed.doubt,
        blank_before_quote=blank_before_quote,
        counts=wanted.counts_where(placed.rating),
    )


def _width(rows: list[list[str]], placed: ColumnPlaces) -> int:
    """Return the number of fields of rows: as many as the header, or one more if most have an unnamed index."""
    usual = Counter(map(len, rows)).most_common(1)[0][0] if rows else 0
    named = len(placed.header)
    return usual if usual == named + 1 or not named else named


def _describe_text(delimiter: str, header: tuple[str, ...]) -> str:
    kind = {"\t": "TSV", ",": "CSV", SPACES: "text separated by spaces"}.get(
        delimiter, f"text separated by {delimiter!r}"
    )
    return f"{kind} ({'columns ' + ', '.join(header) if header else 'no header'})"


def _choose_delimiter(lines: list[str], wanted: Wanted) -> str:
    if wanted.delimiter:
        return DELIMITERS.get(wanted.delimiter, wanted.delimiter)
    if wanted.format in ("csv", "tsv"):
        return {"csv": ",", "tsv": "\t"}[wanted.format]
    return guess_delimiter(lines, lambda rows: seems_usable(rows, wanted.ratings))


def _guess_decimal_sign(ratings: list[str], delimiter: str, name: str) -> str:
    """Return the decimal sign: a comma if all ratings agree on it, else a point."""
    if delimiter == ",":
        return "."
    mixed = mixes_decimal_signs(ratings)
    if mixed:
        raise BadInput(
            f"{name}: some ratings have a decimal comma ({mixed[0]}), others a point ({mixed[1]}); "
            "write all of them with a point"
        )
    return "," if has_decimal_commas(ratings) else "."


def _guess_clock(times: list[str], column: str, name: str) -> Clock:
    clock = clock_of(times)
    if clock is None:
        value = next(field for field in times if clock_of([field]) is None)
        raise BadInput(
            f"{name}: {value!r} in column {column} is no time that is read (an ISO date, or a number since 1970); "
            'to leave times out, set ingest.columns.timestamp = "none"'
        )
    return clock


def _guess_id_type(wanted: IdType, sample: list[str], integers_by_format: bool) -> Literal["integer", "string"]:
    if wanted != "auto":
        return wanted
    if integers_by_format and not any_padded(sample):
        return "integer"
    return "integer" if are_integers(sample) else "string"
