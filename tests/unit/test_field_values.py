"""What kind of values a column has: clocks, decimals, integers that come back as they were written.

Covers: the judgement over a sample, and the look at the bytes of a chunk.
Does not cover: reading rows (test_parse.py), or which column is what (test_columns.py).
"""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from funkflow.tasks.parsing.format.delimiters import guess_delimiter, single_spaces, split_line
from funkflow.tasks.parsing.format.field_values import (
    any_padded,
    are_integers,
    clock_of,
    has_decimal_commas,
    looks_like_times,
)
from funkflow.tasks.parsing.format.padded_ids import may_have_padded


@pytest.mark.parametrize(
    ("fields", "clock"),
    [
        (["978300760"], "seconds"),
        (["978300760.25", "978300761"], "seconds"),
        (["1514862245000"], "milliseconds"),
        (["1514862245000000"], "microseconds"),
        (["1514862245000000000"], "nanoseconds"),
        (["10", "20", "978300760000"], "seconds"),
        (["20180102", "19991231"], "date"),
        (["20180102", "20181345"], "seconds"),
        (["201801", "201812"], "date"),
        (["2018"], "date"),
        (["2018-01-02", "2018-01-02 03:04"], "iso"),
        (["2018-01-02T03:04:05.5"], "fraction"),
        (["", "2018-01-02T03:04:05Z"], "zoned"),
        (["02/01/2018"], None),
        (["last week", "2018-02-31"], None),
    ],
)
def test_clocks(fields: list[str], clock: str | None) -> None:
    assert clock_of(fields) == clock


@pytest.mark.parametrize(
    ("fields", "are"),
    [
        (["1500000000"], True),
        (["4", "5"], False),
        (["2018-01-02"], True),
        (["20180102"], True),
        (["2018"], False),
        (["x"], False),
    ],
)
def test_what_looks_like_times(fields: list[str], are: bool) -> None:
    assert looks_like_times(fields) == are


def test_decimal_commas_need_agreement() -> None:
    assert has_decimal_commas(["3,5", "4", " 2,0 "])
    assert not has_decimal_commas(["3,5", "4.5"])
    assert not has_decimal_commas(["1,234,567"])
    assert not has_decimal_commas(["3", "4"])


@given(st.integers(-(2**63), 2**63 - 1))
def test_an_integer_comes_back_as_it_was_written(number: int) -> None:
    assert are_integers([str(number)])
    assert not any_padded([str(number)])
    assert any_padded([str(number).replace("-", "-0") if number < 0 else f"0{number}"])


def test_an_integer_that_does_not_fit_64_bits_is_text() -> None:
    assert are_integers([str(2**63 - 1), str(-(2**63))])
    assert not are_integers([str(2**63)])


fields = st.from_regex(re.compile(r"\A[ +-]?(0|[0-9]{1,3}|0[0-9]|a0|0\.5|\"0\")?\Z"))


@given(st.lists(st.lists(fields, min_size=2, max_size=3), min_size=1), st.sampled_from([",", "::", "\t"]))
def test_no_padded_field_is_missed(rows: list[list[str]], delimiter: str) -> None:
    data = "\n".join(delimiter.join(row) for row in rows).encode()
    padded = any(re.match(r'[ "+]*[+-]?0[0-9]|[ "]*-0', field) for row in rows for field in row)
    assert may_have_padded(data, delimiter) or not padded
    for sides in ({"first": True, "later": False}, {"first": False, "later": True}):
        asked = [field for row in rows for field in (row[:1] if sides["first"] else row[1:])]
        padded = any(re.match(r'[ "+]*[+-]?0[0-9]|[ "]*-0', field) for field in asked)
        assert may_have_padded(data, delimiter, **sides) or not padded


def test_plain_integers_and_ratings_of_half_a_star_are_not_padded() -> None:
    assert not may_have_padded(b"0,10,0.5,0\n100,0,0,2018-01-02\n-5,7,-1,0\n", ",")


def test_texts_beside_integers_are_not_looked_at() -> None:
    assert not may_have_padded(b"01a,2,3\n", ",", first=False)
    assert not may_have_padded(b"1,02a,3\n", ",", later=False)


def test_padded_fields_are_found_across_pieces() -> None:
    plain = b"1,2,3\n" * 60_000
    for cut in range(131_060, 131_090):
        assert may_have_padded(plain[: cut - cut % 6] + b"01,2,3\n" + plain, ",")
    assert not may_have_padded(plain, ",")


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("1;2;3,5\n4;5;4,0", ";"),
        ("1,2,3;x\n4,5,4;y", ","),
        ("1 2 3\n  14  5   4 ", " "),
        ("1\t2\t3\n4\t5\t4", "\t"),
        ("1::2::3::4\n4::5::4::5", "::"),
        ("1|2|3|2018-01-02 10:00\n4|5|4|2018-01-02 11:00", "|"),
        ('"a, b";2;3,5\n"c";5;4', ";"),
        ("1,2,3,Mon Jan 5 2018\n4,5,4,Tue Jan 6 2018\nbad", ","),
        ("user;item;rating\n1;2;3,5", ";"),
    ],
)
def test_the_delimiter_gives_all_lines_the_same_number_of_fields(text: str, delimiter: str) -> None:
    def has_a_rating(rows: list[list[str]]) -> bool:
        return len(rows[0]) >= 3

    assert guess_delimiter(text.split("\n"), has_a_rating) == delimiter


@given(st.lists(st.lists(st.text("ab1", min_size=1), min_size=1), min_size=1), st.sampled_from([" ", "  ", " \t"]))
def test_single_spaces_are_cut_as_runs_are(rows: list[list[str]], blank: str) -> None:
    text = "\n".join(blank + blank.join(row) + blank for row in rows)
    assert [line.split(" ") for line in single_spaces(text.encode()).decode().split("\n")] == [
        split_line(line, " ", False) for line in text.split("\n")
    ]
