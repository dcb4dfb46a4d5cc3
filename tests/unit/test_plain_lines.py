"""The compiled loop reads the numbers and days of plain lines as Python does, and gives up at any other line.

Covers: tasks/parsing/rows/plain_lines.py and its kernel: notations one by one, forms, lines at the end of the text.
Does not cover: text of any form against the reference parser (test_parse.py).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funkflow.tasks.kernels.ingest import plain_lines as kernel
from funkflow.tasks.parsing.format.formats import Form
from funkflow.tasks.parsing.rows.plain_lines import read_plain_lines

NETFLIX = Form("netflix", "", 3, 0, -1, 1, 2, clock="iso")
PROBE = Form("netflix", "", 1, 0, -1, -1, -1)
CSV = Form("text", "", 4, 0, 1, 2, 3)
DAYS = st.dates(date(1900, 1, 1), date(2099, 12, 31))


def read(text: str, form: Form, item: str = "") -> dict[str, list[object]] | None:
    found = read_plain_lines(text.encode(), form, item)
    return None if found is None else {name: column.to_pylist() for name, column in found[0].items()}


@settings(deadline=None)
@given(st.lists(st.integers(-(10**18) + 1, 10**18 - 1), min_size=1, max_size=12), st.sampled_from(["\n", "\r\n"]))
def test_integers(numbers: list[int], end: str) -> None:
    columns = read("".join(f"{number},{-number},1,{number}{end}" for number in numbers), CSV)
    assert columns is not None
    assert columns["c0"] == columns["c3"] == numbers
    assert columns["c1"] == [-number for number in numbers]


@settings(deadline=None)
@given(st.integers(0, 10**15 - 1), st.integers(0, 15), st.booleans(), st.sampled_from([".", ","]))
def test_ratings(digits: int, decimals: int, negative: bool, sign: str) -> None:
    whole, part = divmod(digits, 10**decimals)
    written = f"{whole}.{part:0{decimals}}" if decimals else f"{whole}"
    written = ("-" if negative else "") + written
    columns = read(f"1\t2\t{written.replace('.', sign)}\t4\n", replace(CSV, delimiter="\t", decimal=sign))
    if len(written.lstrip("-").replace(".", "")) > 15:
        assert columns is None
    else:
        assert columns is not None
        assert columns["c2"] == [float(written)]


@settings(deadline=None)
@given(st.lists(DAYS, min_size=1, max_size=12))
def test_days(days: list[date]) -> None:
    found = read_plain_lines("".join(f"7,3,{day}\n" for day in days).encode(), NETFLIX, "1")
    assert found is not None
    expected = [datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() for day in days]
    assert found[0]["c2"].cast(pa.int64()).to_pylist() == expected


def test_headers_name_the_movie_of_the_rows_below_them() -> None:
    found = read_plain_lines(b"7,3,2000-01-01\n12:\n13:\n8,4,2000-02-29\n0:\n", NETFLIX, "5")
    assert found is not None
    assert found[0]["c-1"].to_pylist() == [5, 13]
    assert found[1] == "0"
    assert read("3:\n10\n11", PROBE) == {"c-1": [3, 3], "c0": [10, 11]}


@pytest.mark.parametrize(
    "line",
    [
        "", "7", "7,3", "7,3,2000-01-01,", ",3,2000-01-01", "7,,2000-01-01", "7,3,", " 7,3,2000-01-01",
        "7,3,2000-01-01 ", "07,3,2000-01-01", "-0,3,2000-01-01", "+7,3,2000-01-01", "0x7,3,2000-01-01",
        "7,3.,2000-01-01", "7,.5,2000-01-01", "7,3e0,2000-01-01", "7,+3,2000-01-01", "7,nan,2000-01-01",
        "7,3,2000-1-01", "7,3,2000-00-01", "7,3,2000-13-01", "7,3,2000-01-00", "7,3,2001-02-29", "7,3,1900-02-29",
        "7,3,1899-12-31", "7,3,2100-01-01", "7,3,2000/01/01", "7,3,2000-01-0a", "7,3,2000-01-01T00:00",
        "7,3,20000101", "7:3,2000-01-01", "12:x", "x12:", ":", "-3:", "007:", "7,3,2000-01-01\r\r",
        "1000000000000000000,3,2000-01-01", "7,1000000000000000,2000-01-01", '"7",3,2000-01-01',
    ],
)  # fmt: skip
def test_other_lines_are_left_to_others(line: str) -> None:
    assert read(f"1:\n7,3,2000-01-01\n{line}\n7,3,2000-01-01\n", NETFLIX) is None


@pytest.mark.parametrize("length", range(2 * kernel.READ_AHEAD_BYTES))
def test_the_loop_ends_with_the_text(length: int) -> None:
    """It reads ahead, and the last lines come from a copy."""
    columns = read(f"1\t{'2' * 9}\t3\t4\n" * 3 + f"5\t6\t7\t{'x' * length}", replace(CSV, delimiter="\t", timestamp=-1))
    assert columns is not None
    assert columns["c0"] == [1, 1, 1, 5]
    assert columns["c2"] == [3, 3, 3, 7]


@pytest.mark.parametrize("movie", ["", "007", "9" * 19])
def test_a_row_below_no_plain_movie_is_left_to_others(movie: str) -> None:
    assert read("7,3,2000-01-01\n", NETFLIX, movie) is None


def test_a_field_that_nobody_needs_may_be_anything_but_quoted() -> None:
    form = replace(CSV, width=5, delimiter="::", timestamp=-1)
    assert read("1::2::3:::é::::\n", form) is None
    columns = read("1::2::3::é::\n4::5::6::::x\n", form)
    assert columns is not None
    assert columns["c1"] == [2, 5]
    quoted = '1,2,3,"a,b"\n'
    assert read(quoted, replace(CSV, timestamp=-1, quoted=True)) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"user_type": "string"}, {"item_type": "string"}, {"clock": "date"}, {"clock": "zoned"}, {"fractional": True},
        {"delimiter": "."}, {"delimiter": "5"},
    ],
)  # fmt: skip
def test_forms_without_plain_lines(changed: dict[str, object]) -> None:
    assert read("1,2,3,4\n", replace(CSV, **changed)) is None  # type: ignore[arg-type]
