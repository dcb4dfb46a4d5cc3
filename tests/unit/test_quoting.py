"""Quotes by RFC 4180: text that is cut anywhere, also inside a quote, gives the rows that Python's csv module gives.

Covers: hypothesis properties of the fast and the slow way, in order and in parallel; the scans; the guess; lone
carriage returns. Does not cover: whole ingests and what is refused (test_quoted_files.py).
"""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sessions import examples

from funkflow.tasks.errors import BadInput
from funkflow.tasks.parsing.format.formats import Form, Wanted, recognise_text
from funkflow.tasks.parsing.format.quoting import ends_open, first_fault, guess_quoting, is_sound, record_end, records
from funkflow.tasks.parsing.format.records import doubtful_places, inside_quotes, quote_ends, start_inside
from funkflow.tasks.parsing.rows import text as parse
from funkflow.tasks.parsing.rows.rows import ParsedRows
from funkflow.tasks.parsing.rows.text import parse_chunk, parse_in_order
from funkflow.tasks.parsing.sources.chunks import Chunk, RawFile, cut, whole

Row = tuple[str, str, float]

FIELD = st.text(st.sampled_from('ab é,;\t|"\r\n'), min_size=1, max_size=8)
ID = FIELD.filter(lambda text: text.strip(" "))
TABLE = st.lists(st.tuples(ID, ID, st.integers(0, 9), st.just("") | FIELD), min_size=1, max_size=8)
LETTERS = st.text(st.sampled_from('ab,"""\n'), max_size=14)


def form_with(delimiter: str) -> Form:
    return Form("text", "", 4, 0, 1, 2, -1, "string", "string", delimiter, ("u", "i", "r", "t"), True)


def written(table: list[Any], delimiter: str, quoting: Any, end: str = "\r\n") -> bytes:
    file = io.StringIO()
    writer = csv.writer(file, delimiter=delimiter, quoting=quoting, lineterminator=end)
    writer.writerows([("u", "i", "r", "t"), *table])
    return file.getvalue().encode()


def by_csv(data: bytes, delimiter: str) -> list[Row]:
    rows = list(csv.reader(io.StringIO(data.decode(), newline=""), delimiter=delimiter))
    return [(user.strip(" "), item.strip(" "), float(rating)) for user, item, rating, _ in rows[1:]]


def chunks_of(data: bytes, chunk_bytes: int, folder: str | Path) -> list[Chunk]:
    path = Path(folder, "ratings")
    path.write_bytes(data)
    return cut([whole(RawFile(str(path), 0, len(data), "ratings"))], chunk_bytes)


def in_parallel(chunks: list[Chunk], form: Form) -> list[ParsedRows]:
    """Read chunks as a cluster does: each by itself, then those again that begin inside a quote."""
    parsed: list[ParsedRows | None] = []
    for chunk in chunks:
        try:
            parsed.append(parse_chunk(chunk, form))
        except BadInput:  # it was read from inside a quote
            parsed.append(None)
    doubted = doubtful_places(chunks, [each is not None and each.leaves_open for each in parsed])
    for place in inside_quotes(doubted, [quote_ends(chunks[place][0], form) for place in doubted]):
        parsed[place] = parse_chunk(start_inside(chunks[place]), form)
    return [each for each in parsed if each]


def rows_of(parsed: list[ParsedRows]) -> list[Row]:
    assert not [row.message() for each in parsed for row in each.rejected]
    return [(row["user"], row["item"], row["rating"]) for each in parsed for row in each.table.to_pylist()]


WAYS: dict[str, Callable[[list[Chunk], Form], list[ParsedRows]]] = {
    "in order": lambda chunks, form: list(parse_in_order(chunks, form)),
    "in parallel": in_parallel,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("speed", ["fast", "slow"])
@settings(deadline=None, max_examples=examples(25))
@given(
    table=TABLE, delimiter=st.sampled_from(",;\t|"), quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    chunk_bytes=st.integers(1, 60),
)  # fmt: skip
def test_cut_anywhere_a_table_is_what_pythons_csv_module_reads(
    way: str, speed: str, table: list[Any], delimiter: str, quoting: int, chunk_bytes: int
) -> None:
    data = written(table, delimiter, quoting)
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        if speed == "slow":
            patch.setattr(parse, "_read_fast", lambda *_: None)
        found = WAYS[way](chunks_of(data, chunk_bytes, folder), form_with(delimiter))
    assert rows_of(found) == by_csv(data, delimiter)


@pytest.mark.parametrize("way", WAYS)
def test_chunks_of_every_size(way: str, tmp_path: Path) -> None:
    table = [("ann", "x", 1, 'one\n,"3"\n\n4'), ("b\nob", '"', 2, ""), ("c", "z", 3, "g,z,5\ng,z,5\n")]
    data = written(table, ",", csv.QUOTE_MINIMAL, "\n")
    for chunk_bytes in range(1, len(data) + 1):
        found = WAYS[way](chunks_of(data, chunk_bytes, tmp_path), form_with(","))
        assert rows_of(found) == by_csv(data, ","), chunk_bytes


def test_line_breaks_in_quotes_never_take_the_slow_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Otherwise the property of the fast way would compare the slow one with itself."""
    monkeypatch.setattr(parse, "LineReader", None)
    data = written([("a", "b", 3, 'x\r\n"y",z'), ("c", "d\n", 4, "")] * 50, ",", csv.QUOTE_MINIMAL)
    chunks = chunks_of(data, 100, tmp_path)
    assert len(chunks) > 10
    assert rows_of(list(parse_in_order(chunks, form_with(",")))) == by_csv(data, ",")


@settings(max_examples=examples(200))
@given(text=LETTERS)
def test_the_scans_say_what_pythons_csv_module_says(text: str) -> None:
    data = text.encode()

    def rows(text: str, strict: bool) -> list[list[str]] | str:
        try:
            return list(csv.reader(io.StringIO(text, newline=""), strict=strict))
        except csv.Error as cause:
            return str(cause)

    found = records(data, ",")
    assert b"".join(found) == data
    assert is_sound(data, ",") == isinstance(rows(text, strict=True), list)
    assert ends_open(data, ",") == (rows(text + "\n\n\n", strict=False)[-1] != [])
    if not ends_open(data, ","):
        split = [list(csv.reader([each.decode().removesuffix("\n")])) for each in found]
        assert [row for each in split for row in (each or [[]])] == rows(text, strict=False)
        assert record_end(data, ",") == (len(found[0]) if found and found[0].endswith(b"\n") else -1)


@settings(max_examples=examples(200))
@given(before=LETTERS, after=LETTERS)
def test_a_text_goes_on_as_the_text_before_it_ends(before: str, after: str) -> None:
    first, second = (before + "\n").encode(), after.encode()
    inside = ends_open(first, ",")
    assert ends_open(first + second, ",") == ends_open(second, ",", inside)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('a,"b"\n', -1),
        ('5" disk,3\n', -1),
        ('"Ace" Kim,3\nx,"y\nz"\n', -1),
        ('a,"b\n', 2),
        ('a,b\nc,"d\ne"f,3\n', 6),
        ('a,b, "c\nd",3\n', 5),
        ('a, "b",3\n', 3),
        ('a,"b \\"c\\" d"\n', 2),
        ('a,"C:\\",3\n', -1),
    ],
)
def test_a_quote_that_may_hold_rows_is_found(text: str, fault: int) -> None:
    assert first_fault(text.encode(), ",") == (fault if fault >= 0 else len(text))


@pytest.mark.parametrize(
    ("lines", "delimiter", "quoted"),
    [
        (["u0\ti0\t1", '"Ace" Kim\ti7\t2', "Ace Kim\ti14\t3"], "\t", False),
        (['"Weird Al" Y,x,3', '"Heroes",x,4', '"A" b,x,5'], ",", False),
        (['"u0"\t"i0"\t"1"'], "\t", True),
        (['u,i,3,"so \\"nice\\""', 'u,j,3,"\\"no\\" that"'], ",", True),
        (['"a,b",c,3', '"d",e,4', '"f" g,h,5'], ",", True),
        (['a,"one', 'two ""three"", four', 'five",3'], ",", True),
        (['a,"one', '"Ace" two'], ",", False),
        (["a,b,3"], ",", True),
        (["a;b;3"], ";", True),
        (["a\tb\t3"], "\t", True),
        (['5" disk\tb\t3', '"Bo" K\tc\t4', '"Jo\tc\t4'], "\t", False),
        (['a::"b"::3'], "::", False),
        (['a "b" 3'], " ", False),
    ],
)
def test_whole_fields_decide_whether_quotes_count(lines: list[str], delimiter: str, quoted: bool) -> None:
    assert guess_quoting(lines, delimiter) is quoted


def test_the_guess_can_be_overruled() -> None:
    text = b'user,item,rating\n"Ace" Kim,x,3\n'
    assert not recognise_text(text, "r.csv", Wanted()).quoted
    assert recognise_text(text, "r.csv", Wanted(quoting="double")).quoted
    assert not recognise_text(b'user,item,rating\n"a",x,3\n', "r.csv", Wanted(quoting="none")).quoted
    with pytest.raises(BadInput, match="'::' have no quotes"):
        recognise_text(b"1::2::3::4\n", "ratings.dat", Wanted(quoting="double"))


def test_a_first_record_that_is_never_over_is_named() -> None:
    with pytest.raises(
        BadInput, match=r"r\.csv:1: a quote that is opened and not closed where its field ends: 'a,\"b,3'; close it"
    ):
        recognise_text(b'a,"b,3\na,b,3\na,"c",3\n', "r.csv", Wanted(quoting="double"))


def test_a_header_and_first_rows_with_line_breaks_are_recognised(tmp_path: Path) -> None:
    data = b'user,item,rating,"the\r\ntext"\r\nann,x,3,"first\nsecond, third"\nbob,y,4,\n'
    form = recognise_text(data, "r.csv", Wanted())
    assert (form.header, form.width) == (("user", "item", "rating", "the\ntext"), 4)
    for chunk_bytes in (10, 1000):
        found = rows_of(list(parse_in_order(chunks_of(data, chunk_bytes, tmp_path), form)))
        assert found == [("ann", "x", 3.0), ("bob", "y", 4.0)]


@settings(deadline=None, max_examples=examples(25))
@given(
    rows=st.lists(st.tuples(st.integers(0, 99), st.integers(0, 9)), min_size=1, max_size=15), size=st.integers(1, 50)
)
def test_lone_carriage_returns_end_lines(rows: list[Any], size: int) -> None:
    data = b"user,item,rating\r" + b"".join(b"%d,%d,3\r" % row for row in rows)
    form = recognise_text(data, "r.csv", Wanted())
    assert form.line_end == "\r"
    with tempfile.TemporaryDirectory() as folder:
        parsed = list(parse_in_order(chunks_of(data, size, folder), form))
    assert rows_of(parsed) == [(*row, 3.0) for row in rows]
