"""The fast way to read raw ratings equals the slow one, however the text is cut.

Covers: hypothesis properties over every text form, damage anywhere, chunks of any size, odd but valid notations.
Does not cover: whole ingests (test_ingest.py), messages of single faults (test_bad_input.py).
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sessions import examples

from funkflow.tasks.errors import BadInput
from funkflow.tasks.parsing.format.formats import Form, Wanted, recognise_text
from funkflow.tasks.parsing.format.quoting import ends_open
from funkflow.tasks.parsing.rows import rows
from funkflow.tasks.parsing.rows import text as parse
from funkflow.tasks.parsing.rows.lines import LineReader
from funkflow.tasks.parsing.rows.rows import RejectedRow
from funkflow.tasks.parsing.rows.text import parse_chunk, parse_in_order
from funkflow.tasks.parsing.sources.chunks import Chunk, RawFile, cut, whole

NETFLIX = Form("netflix", "", 3, 0, -1, 1, 2, clock="iso", scale=(1.0, 5.0))
QUALIFYING = Form("netflix", "", 2, 0, -1, -1, 1, clock="iso")
PROBE = Form("netflix", "", 1, 0, -1, -1, -1)
DAT = Form("text", "", 4, 0, 1, 2, 3, delimiter="::", scale=(1.0, 5.0))
TSV = Form("text", "", 4, 0, 1, 2, 3, delimiter="\t")
CSV = Form("text", "", 4, 2, 0, 3, 1, "string", "integer", ",", ("i", "t", "u", "r"), True, "iso", (0.5, 5.0))
NAMES = Form("text", "", 3, 0, 1, 2, -1, "string", "string", ",", (), True)
SPACED = Form("text", "", 4, 0, 1, 2, 3, delimiter=" ", clock="milliseconds")
COMMAS = Form("text", "", 4, 0, 1, 2, 3, "string", "integer", ";", clock="date", decimal=",")
FLOATS = Form("text", "", 4, 0, 1, 2, 3, delimiter="\t", clock="microseconds", fractional=True)

FORMS = {
    "netflix": NETFLIX, "qualifying": QUALIFYING, "probe": PROBE, "dat": DAT, "tsv": TSV, "csv": CSV, "names": NAMES,
    "spaced": SPACED, "commas": COMMAS, "floats": FLOATS,
}  # fmt: skip

integers = st.integers(-(2**63), 2**63 - 1).map(str) | st.integers(0, 99).map(str) | st.sampled_from([" 5", "5 "])
ratings = st.sampled_from(["1", "5", "3", "2.5", "4.", "1e0", "+3", "03", " 2 ", "1.000000000000000000001"])
numbers = st.floats(width=32, allow_nan=False, allow_infinity=False).map(repr) | st.sampled_from(
    ["-.5", "1e-400", "16777217", "0.1"]
)
dates = st.dates().map(str)
moments = (
    dates
    | st.datetimes().map(lambda moment: moment.replace(microsecond=0).isoformat(" "))
    | st.datetimes().map(lambda m: m.isoformat()[:16])
)
seconds = st.integers(-62_135_596_800, 253_402_300_799).map(str) | st.just("007")
words = st.text(
    st.characters(codec="utf-8", exclude_characters='"\r\n,\x00\x85', exclude_categories=["Cs"]),
    min_size=1,
    max_size=6,
).filter(str.strip)  # blanks alone are no id
quoted = st.text(
    st.characters(codec="utf-8", exclude_characters="\r\n\x00", exclude_categories=["Cs"]), max_size=4
).map(lambda text: '"' + ("x" + text).replace('"', '""') + '"')

plain = st.integers(-(2**63), 2**63 - 1).map(str) | st.integers(0, 99).map(str)
decimals = st.sampled_from(["3,5", "4", "-0,25", "1000,125", " 2 "])
days = st.tuples(
    st.dates(date(1900, 1, 1), date(2099, 12, 31)),
    st.sampled_from(["%Y%m%d", "%Y%m%d", "%Y%m", "%Y", " %Y%m%d", "0%Y%m%d"]),
).map(lambda drawn: drawn[0].strftime(drawn[1]))
ticks = st.floats(-1e15, 1e16).map(repr) | st.integers(-(10**15), 10**16).map(str)

LINES: dict[str, st.SearchStrategy[str]] = {
    "netflix": st.integers(1, 10**6).map(lambda n: f"{n}:") | st.tuples(integers, ratings, dates).map(",".join),
    "qualifying": st.integers(1, 10**6).map(lambda n: f"{n}:") | st.tuples(integers, dates).map(",".join),
    "probe": st.integers(1, 10**6).map(lambda n: f"{n}:") | integers,
    "dat": st.tuples(integers, integers, ratings, seconds).map("::".join),
    "tsv": st.tuples(integers, integers, numbers, seconds).map("\t".join),
    "csv": st.tuples(integers, moments, words | quoted, ratings).map(",".join),
    "names": st.tuples(words | quoted, words | quoted, numbers).map(",".join),
    "spaced": st.tuples(plain, plain, numbers, st.integers(-(10**12), 10**13).map(str)).map("  ".join),
    "commas": st.tuples(words.filter(lambda word: ";" not in word), plain, decimals, days).map(";".join),
    "floats": st.tuples(plain, plain, numbers, ticks).map("\t".join),
}
NOISE = st.sampled_from(
    r"""
17x:
1::2::3
nan
1,2,3
1,nan,2000-01-01
0x10,3,2000-01-01
1,9,2000-01-01
1\t2\t3\t4\t5
"a" b,"c",3
1,3,2000-02-30
1::2::0x3::4
1:2:3::4::5
9223372036854775808,3,2000-01-01
1\t2\tinf\t4
1\t2\t1e39\t4
,,,
::::::
1,3,2000-01-01\r1,3,2000-01-02
17

:
1\t2\t3\t999999999999
5,2000-01-01,,3
5,,u,3
""".replace("\\t", "\t")
    .replace("\\r", "\r")
    .strip("\n")
    .split("\n")
)


def chunks_of(text: str, form: Form, chunk_bytes: int, folder: str) -> tuple[list[Chunk], Form]:
    path = Path(folder, "ratings")
    head = ",".join(form.header) + "\n" if form.header else ""
    data = (head + text).encode()
    path.write_bytes(data)
    return cut([whole(RawFile(str(path), 0, len(data), "ratings"))], chunk_bytes), form


def by_both(
    text: str, form: Form, chunk_bytes: int, compiled: bool = False
) -> tuple[tuple[pa.Table, list[RejectedRow]], tuple[pa.Table, list[RejectedRow]]]:
    with tempfile.TemporaryDirectory() as folder:
        chunks, form = chunks_of(text, form, chunk_bytes, folder)
        parsed = list(parse_in_order(chunks, form, compiled=compiled))
    slow = LineReader(form, "ratings", 2 if form.header else 1)
    slow.read(text.encode())
    fast = pa.concat_tables([each.table for each in parsed]), [row for each in parsed for row in each.rejected]
    return fast, (slow.parsed().table, list(slow.parsed().rejected))


def joined(lines: Sequence[str], end: str, form: str) -> str:
    first = ["1:"] if form in ("netflix", "qualifying", "probe") else []
    return end.join([*first, *lines, ""])


@pytest.mark.parametrize("form", FORMS)
@settings(deadline=None, max_examples=examples(50))
@given(data=st.data())
def test_fast_equals_slow_on_valid_text(form: str, data: st.DataObject) -> None:
    text = joined(
        data.draw(st.lists(LINES[form], min_size=1, max_size=30)), data.draw(st.sampled_from(["\n", "\r\n"])), form
    )
    chunk_bytes = data.draw(st.sampled_from([7, 40, 10**6]))
    fast, slow = by_both(text, FORMS[form], chunk_bytes, data.draw(st.booleans()))
    assert not slow[1]
    assert fast[0].equals(slow[0])
    assert not fast[1]


@pytest.mark.parametrize("form", FORMS)
@settings(deadline=None, max_examples=examples(50))
@given(data=st.data())
def test_fast_equals_slow_on_damaged_text(form: str, data: st.DataObject) -> None:
    lines = data.draw(st.lists(LINES[form] | NOISE, min_size=1, max_size=20))
    text = joined(lines, "\n", form)
    if data.draw(st.booleans()):
        text = text[: -data.draw(st.integers(1, 10))]
    assume("\n" in text or "\r" not in text)  # such a file has other line ends, and is refused
    assume(FORMS[form].kind == "netflix" or not text.lstrip().startswith(("# ", "% ")))  # a comment above the rows
    chunk_bytes = data.draw(st.sampled_from([11, 60, 10**6]))
    if FORMS[form].quoted and ends_open(text.encode(), FORMS[form].delimiter):
        with pytest.raises(BadInput, match="a quote that is opened and not closed"):
            by_both(text, FORMS[form], chunk_bytes)
        return
    fast, slow = by_both(text, FORMS[form], chunk_bytes, data.draw(st.booleans()))
    assert fast[0].equals(slow[0])
    assert fast[1] == slow[1]


@pytest.mark.parametrize("damaged", ["1:\n5,", "1:\n5,\n6,4,2000-01-02\n"])
def test_a_netflix_row_cut_after_its_user_is_no_header(damaged: str) -> None:
    """As a header it would be lost, and the rows below it would go to a movie 5."""
    fast, slow = by_both(damaged, FORMS["netflix"], 10**6)
    assert (fast[0].equals(slow[0]), fast[1]) == (True, slow[1])
    assert [row.line for row in fast[1]] == [2]


def test_valid_text_never_takes_the_slow_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the properties above would compare the slow path with itself."""
    monkeypatch.setattr(parse, "LineReader", None)
    examples = {
        "netflix": "1:\n5,3,2000-01-01\n6,4,2000-01-02\n2:\n5,1,2001-01-01\n",
        "qualifying": "1:\n5,2000-01-01\n2:\n5,2001-01-01\n",
        "probe": "1:\n5\n6\n2:\n5\n",
        "dat": "1::2::3::4\n5::6::4.5::8\n",
        "tsv": "1\t2\t3\t4\n",
        "csv": '1,2000-01-01 10:00:00,"a,""b""",3\n2,2000-01-01,c,0.5\n',
        "names": "a,b,3\n",
        "spaced": "1  2   3 1514862245000\n  4 5 3.5 1514862245000 \n",
        "commas": "a;2;3,5;20180102\nb;2;4;20180228\n",
        "floats": "1\t2\t3\t1514862245000000.5\n",
    }
    for form, text in examples.items():
        for end in ("\n", "\r\n"):
            with tempfile.TemporaryDirectory() as folder:
                chunks, known = chunks_of(text.replace("\n", end), FORMS[form], 10**6, folder)
                assert parse_chunk(chunks[0], known).table.num_rows == text.count("\n") - text.count(":\n")


@pytest.mark.parametrize("written", ["007,2,3", "1,02,3", "-0,2,3", " 07,2,3", '"03",2,3'])
def test_an_integer_that_does_not_come_back_as_it_was_written_is_a_fault_of_the_file(written: str) -> None:
    form = replace(CSV, width=3, user=0, item=1, rating=2, timestamp=-1, user_type="integer", header=(), scale=None)
    text = "1,2,3\n" * 500 + written + "\n" + "1,2,05\n" * 500
    with pytest.raises(
        BadInput, match=r"ratings:501: (user|item) '.*' is not the integer .*ingest\.id_type = \"string\""
    ):
        by_both(text, form, 10**6)
    as_text = replace(form, user_type="string", item_type="string")
    fast, _ = by_both(text, as_text, 10**6)
    assert fast[0].num_rows == 1001


def test_a_rating_with_a_leading_zero_is_no_padded_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parse, "LineReader", None)
    with tempfile.TemporaryDirectory() as folder:
        chunks, form = chunks_of("1\t2\t05\t007\n", TSV, 10**6, folder)
        assert parse_chunk(chunks[0], form).table["rating"].to_pylist() == [5.0]


def test_one_bad_row_sends_little_to_the_slow_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lines = [f"{number}::2::3::4" for number in range(100_000)]
    lines[77_777] = "77777::2::6::4"
    read: list[int] = []

    class Counting(LineReader):
        def read(self, data: bytes) -> None:
            read.append(len(data))
            super().read(data)

    monkeypatch.setattr(parse, "LineReader", Counting)
    chunks, form = chunks_of("\n".join(lines) + "\n", DAT, 10**9, str(tmp_path))
    parsed = parse_chunk(chunks[0], form)
    assert parsed.table["user"].to_numpy().tolist() == [number for number in range(100_000) if number != 77_777]
    assert [row.line for row in parsed.rejected] == [77_778]
    assert sum(read) <= parse.SLOW_BYTES


def test_rows_that_are_nearly_all_bad_are_no_stray_rows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(rows, "MOST_REJECTED", 50)
    chunks, form = chunks_of("1::2::9::4\n" * 51, DAT, 10**6, str(tmp_path))
    with pytest.raises(BadInput, match="more than 50 rows from there on are bad"):
        parse_chunk(chunks[0], form)


def test_line_numbers_count_from_the_top_of_the_file_in_any_chunk(tmp_path: Path) -> None:
    lines = [f"{number}::2::3::4" for number in range(1000)]
    lines[900] = "900::2::3::x"
    chunks, form = chunks_of("\n".join(lines) + "\n", DAT, 500, str(tmp_path))
    assert len(chunks) > 20
    assert [row.line for chunk in chunks for row in parse_chunk(chunk, form).rejected] == [901]


def test_a_piece_below_a_long_film_finds_its_header(tmp_path: Path) -> None:
    text = "7:\n" + "".join(f"{number},3,2000-01-01\n" for number in range(40_000))
    chunks, form = chunks_of(text, NETFLIX, 300_000, str(tmp_path))
    tables = [parse_chunk(chunk, form).table for chunk in chunks]
    assert len(tables) == 3
    assert set(np.concatenate([table["item"].to_numpy() for table in tables])) == {7}
    assert pa.concat_tables(tables)["user"].to_pylist() == list(range(40_000))


@pytest.mark.parametrize(
    ("clock", "written", "expected"),
    [
        ("zoned", "2005-01-01T10:00:00Z", 1104573600),
        ("zoned", "2005-01-01T10:00:00+01:00", 1104570000),
        ("fraction", "2005-01-01 10:00:00.75", 1104573600),
        ("fraction", "1969-12-31 23:59:59.5", -1),
    ],
)
def test_times_with_zone_or_fraction(clock: str, written: str, expected: int) -> None:
    form = replace(TSV, clock=clock)  # type: ignore[arg-type]
    fast, slow = by_both(f"1\t2\t3\t{written}\n", form, 10**6)
    assert fast[0].equals(slow[0])
    assert fast[0]["timestamp"].cast(pa.int64()).to_pylist() == [expected]
    assert recognise_text(f"1\t2\t3\t{written}\n".encode(), "r.tsv", Wanted()).clock == clock


def test_a_line_without_end_is_refused(tmp_path: Path) -> None:
    chunks, form = chunks_of("1" * 3_000_000, DAT, 1_000_000, str(tmp_path))
    with pytest.raises(BadInput, match="longer than 1048576 bytes"):
        parse_chunk(chunks[0], form)


def test_a_file_that_shrinks_meanwhile_is_named(tmp_path: Path) -> None:
    chunks, form = chunks_of("1::2::3::4\n" * 100, DAT, 10**6, str(tmp_path))
    (tmp_path / "ratings").write_text("1::2::3::4\n" * 50)
    with pytest.raises(BadInput, match="cut short while it was being read"):
        parse_chunk(chunks[0], form)
