"""The kernel for regular Netflix text reads what the line reader reads, or nothing, whatever the text.

Covers: parse_netflix.py with its kernel, against parse_lines.py. Does not cover: whole chunks (test_parse.py).
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.formats import Form, Wanted, recognise_text
from tasks.parse_lines import LineReader
from tasks.parse_netflix import read_regular

FORM: Form = recognise_text(b"1:\n7,5,2005-09-06\n", "mv_0000001.txt", Wanted())
NUMBERS = st.one_of(st.integers(0, 99), st.integers(0, 10**19))
DATES = st.one_of(
    st.dates().map(str),
    st.tuples(st.integers(0, 2101), st.integers(0, 13), st.integers(0, 32)).map("%04d-%02d-%02d".__mod__),
)
LINES = st.one_of(
    NUMBERS.map("{}:".format), st.tuples(NUMBERS, st.integers(0, 6), DATES).map(lambda row: "{},{},{}".format(*row))
)
GOOD = st.tuples(st.integers(0, 10**18 - 1), st.integers(1, 5), st.dates()).map(lambda row: "{},{},{}".format(*row))


def same_as_the_line_reader(data: bytes, form: Form, item: str) -> bool:
    """Whether the kernel took the text; if so, it gave what the line reader gives."""
    regular = read_regular(data, form, item)
    if regular is None:
        return False
    reader = LineReader(form, "mv_0000001.txt", 1, item)
    reader.read(data)
    parsed = reader.parsed()
    assert not parsed.rejected
    assert regular[0].equals(parsed.table)
    assert regular[1] == reader.item
    return True


@settings(deadline=None)
@given(st.lists(LINES, max_size=30), st.sampled_from(["", "17"]), st.booleans())
def test_any_lines(lines: list[str], item: str, ended: bool) -> None:
    same_as_the_line_reader("\n".join(lines + [""] * ended).encode(), FORM, item)


@settings(deadline=None)
@given(st.lists(GOOD, min_size=1, max_size=30), st.booleans(), st.sampled_from(["integer", "string"]))
def test_regular_text_is_taken(rows: list[str], ended: bool, kind: str) -> None:
    text = "\n".join(["3:", *rows, "12:"] + [""] * ended).encode()
    form = replace(FORM, item_type=kind)  # type: ignore[arg-type]
    assert same_as_the_line_reader(text, form, "")
    assert same_as_the_line_reader("\n".join(rows).encode(), form, "17")


@settings(deadline=None)
@given(st.lists(GOOD, min_size=1, max_size=5), st.data())
def test_one_byte_changed(rows: list[str], data: st.DataObject) -> None:
    text = bytearray("\n".join(["3:", *rows, ""]).encode())
    text[data.draw(st.integers(0, len(text) - 1))] = data.draw(
        st.one_of(st.sampled_from(b"0123456789,:-\n"), st.integers(0, 255))
    )
    same_as_the_line_reader(bytes(text), FORM, "")


@pytest.mark.parametrize(
    "text",
    [
        "7,5,2005-09-06", "1:\n7,5,2005-09-06\n\n", "1:\r\n7,5,2005-09-06\r\n", "01:\n7,5,2005-09-06",
        "1:\n007,5,2005-09-06", "1:\n7,5,2005-02-29", "1:\n7,5,0000-02-01", "1:\n7,6,2005-02-01", "1:\n7,5,2005-9-06",
        "1:\n7,5,2005-09-06,", "1:\n7", "1:2:", "1:\n1234567890123456789,5,2005-09-06",
    ],
)  # fmt: skip
def test_what_is_not_regular_is_left_to_others(text: str) -> None:
    assert read_regular(text.encode(), FORM, "") is None


def test_other_forms_are_left_to_others() -> None:
    text = b"1:\n7,5,2005-09-06\n"
    assert read_regular(text, FORM, "") is not None
    assert read_regular(text, replace(FORM, user_type="string"), "") is None
    assert read_regular(text, replace(FORM, width=2), "") is None
    assert read_regular(text, replace(FORM, scale=(1.0, 4.0)), "") is None
