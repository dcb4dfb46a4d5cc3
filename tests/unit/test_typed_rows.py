"""Typed columns become the same rows as their values, judged one by one, do; and which types are refused.

Covers: hypothesis properties over Arrow types and ways to store them, ids that are equal in whatever type they come.
Does not cover: Parquet files (test_parquet.py), JSON lines (test_jsonl.py), text (test_parse.py).
"""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sessions import examples

from funkflow.tasks.errors import BadInput
from funkflow.tasks.parsing.format.formats import Form, IdKind
from funkflow.tasks.parsing.format.typed_columns import plain_values, refuse_type, stored_type
from funkflow.tasks.parsing.rows import rows, typed_rows
from funkflow.tasks.parsing.rows.lines import BadField
from funkflow.tasks.parsing.rows.rows import row_schema, value_array
from funkflow.tasks.parsing.rows.typed_rows import convert, make_judges
from funkflow.tasks.parsing.rows.typed_values import clock_of_values

TIMED = Form("parquet", "", 4, 0, 1, 2, 3, header=("user", "item", "rating", "timestamp"))

edges = st.sampled_from([0, 1, -1, 7, 2**11, 2**24, 2**24 + 2, 2**53, 2**53 + 2, 2**62, -(2**63), 2**63 - 1])
NUMBERS: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.int8(): st.integers(-128, 127),
    pa.int32(): st.integers(-(2**31), 2**31 - 1)
    | st.sampled_from([20180102, 20180230, 20180100, 2018, 201801, 2018010]),
    pa.int64(): edges | st.integers(-(2**63), 2**63 - 1),
    pa.uint64(): st.sampled_from([0, 5, 2**63 - 1, 2**63, 2**64 - 1]),
    pa.float16(): st.floats(width=16) | st.sampled_from([1.0, 2048.0, 4096.0]),
    pa.float32(): st.floats(width=32) | st.sampled_from([1.0, 2.0**24, 2.0**24 + 2]),
    pa.float64(): st.floats() | edges.map(float) | st.sampled_from([1.5e9, 1.5e9 + 0.25, 20180102.0]),
    pa.decimal128(20, 0): st.integers(-(10**19), 10**19).map(Decimal),
    pa.decimal128(10, 3): st.decimals(-999, 999, places=3),
}
words = st.sampled_from(
    ["u0", "007", "7", "-7", "0", "-0", " 5", "", "3.5", "+3", "1e3", "nan", "1e999", "9223372036854775808", "zoë"]
) | st.text(max_size=4)
moments = st.sampled_from(
    ["2018-01-02", "2018-02-30", "2018-01-02 10:00:00", "2018-01-02T10:00:00Z", "2018-01-02 10:00:00.5", "1500000000",
     "1500000000.5", "20180102", "20180230", "x"]
)  # fmt: skip
TEXTS: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.string(): words | moments,
    pa.large_string(): words,
    pa.string_view(): words | moments,
    pa.binary(): words.map(str.encode) | st.binary(max_size=4),
    pa.large_binary(): words.map(str.encode),
    pa.binary_view(): words.map(str.encode),
    pa.binary(3): st.sampled_from([b"abc", b"123", b"a\xffb"]),
    pa.binary(16): st.binary(min_size=16, max_size=16),
}
INSTANTS: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.timestamp("s"): st.integers(-(2**40), 2**40),
    pa.timestamp("ms", "UTC"): st.integers(-(2**62), 2**62),
    pa.timestamp("us", "Europe/Paris"): st.integers(-(2**62), 2**62),
    pa.timestamp("ns"): st.integers(-(2**62), 2**62),
    pa.date32(): st.integers(-(2**31), 2**31 - 1),
    pa.date64(): st.integers(-(2**30), 2**30).map(lambda day: day * 86_400_000),
}
KINDS = {
    "user": NUMBERS | TEXTS,
    "item": NUMBERS | TEXTS,
    "rating": NUMBERS | TEXTS | {pa.bool_(): st.booleans(), pa.null(): st.none()},
    "timestamp": NUMBERS | TEXTS | INSTANTS,
}


@st.composite
def columns(draw: st.DrawFn, role: str, rows: int) -> pa.Array:
    """Draw a column of any type that its role may have, with nulls, and perhaps as a dictionary."""
    kind = draw(st.sampled_from(sorted(KINDS[role], key=str)))
    values = draw(st.lists(st.none() | KINDS[role][kind], min_size=rows, max_size=rows))
    if kind in INSTANTS:
        width = pa.int32() if kind == pa.date32() else pa.int64()
        return pa.array(values, width).cast(kind)
    if kind == pa.float16():
        values = [None if value is None else np.float16(value) for value in values]
    column = pa.array(values, kind)
    if draw(st.booleans()) and kind in (pa.string(), pa.int64(), pa.float64(), pa.binary()):
        return column.dictionary_encode()
    return column


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    rows = draw(st.integers(1, 6))
    return pa.table({role: draw(columns(role, rows)) for role in KINDS})


@st.composite
def forms(draw: st.DrawFn) -> Form:
    kinds: st.SearchStrategy[IdKind] = st.sampled_from(["integer", "string"])
    return Form(
        "parquet", "", 4, 0, 1, 2, 3, draw(kinds), draw(kinds), header=tuple(KINDS),
        clock=draw(st.sampled_from(["seconds", "milliseconds", "nanoseconds", "date"])),
        scale=draw(st.sampled_from([None, (1.0, 5.0)])),
    )  # fmt: skip


def one_by_one(raw: pa.Table, form: Form) -> tuple[pa.Table, list[tuple[int, str, str]]]:
    """Judge every value by itself: the good rows, and line, reason and remedy of the bad ones."""
    bare = [plain_values(column.combine_chunks()) for column in raw.columns]
    each_judge = make_judges(form, {name: stored_type(raw[name].type) for name in raw.column_names})
    good, bad = [], []
    for number, row in enumerate(zip(*(column.to_pylist() for column in bare), strict=True), start=1):
        try:
            good.append([judge(value) for judge, value in zip(each_judge, row, strict=True)])
        except BadField as cause:
            bad.append((number, cause.reason, cause.remedy))
    schema = row_schema(form)
    by_column = list(zip(*good, strict=True)) or [()] * len(schema)
    arrays = [value_array(list(values), kind) for values, kind in zip(by_column, schema.types, strict=True)]
    return pa.table(arrays, schema=schema), bad


@settings(deadline=None, max_examples=examples(100))
@given(raw=tables(), form=forms())
def test_whole_columns_give_the_rows_that_their_values_give(raw: pa.Table, form: Form) -> None:
    parsed = convert(raw, form, "r.parquet", 1)
    expected, bad = one_by_one(raw, form)
    assert parsed.table.equals(expected)
    assert [(row.line, row.reason, row.remedy) for row in parsed.rejected] == bad


@settings(deadline=None, max_examples=examples(50))
@given(raw=tables(), form=forms(), data=st.data())
def test_a_row_does_not_depend_on_what_else_is_in_its_chunk(raw: pa.Table, form: Form, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, raw.num_rows))
    whole = convert(raw, form, "r.parquet", 1)
    parts = [
        convert(raw.slice(0, place), form, "r.parquet", 1),
        convert(raw.slice(place), form, "r.parquet", place + 1),
    ]
    assert pa.concat_tables([part.table for part in parts]).equals(whole.table)
    assert parts[0].rejected + parts[1].rejected == whole.rejected


def plain_rows(ids: pa.Array, user_type: IdKind) -> pa.Table:
    """Convert ids with ratings that are all good, and no nulls."""
    raw = pa.table({"user": ids, "item": ids, "rating": [3] * len(ids), "timestamp": [10] * len(ids)})
    form = Form("parquet", "", 4, 0, 1, 2, 3, user_type, user_type, header=TIMED.header)
    parsed = convert(raw, form, "r.parquet", 1)
    assert not parsed.rejected
    return parsed.table


@pytest.mark.parametrize("user_type", ["integer", "string"])
def test_equal_ids_are_equal_in_every_type(user_type: IdKind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typed_rows, "make_judges", None)  # all of these are plain
    numbers = [1, 2, 30]
    same = [
        *(pa.array(numbers, kind) for kind in (pa.int8(), pa.int32(), pa.int64(), pa.uint64(), pa.float32())),
        pa.array([1.0, 2.0, 30.0]),
        pa.array([Decimal(number) for number in numbers], pa.decimal128(9, 0)),
        pa.array([Decimal(number) for number in numbers], pa.decimal128(9, 2)),
        *(pa.array(["1", "2", "30"], kind) for kind in (pa.string(), pa.large_string(), pa.string_view())),
        pa.array([b"1", b"2", b"30"]),
        pa.array(["1", "2", "30"]).dictionary_encode(),
    ]  # fmt: skip
    tables = [plain_rows(ids, user_type) for ids in same]
    assert tables[0]["user"].to_pylist() == (numbers if user_type == "integer" else ["1", "2", "30"])
    assert all(table.equals(tables[0]) for table in tables)


def test_uuids_are_written_as_uuids_with_and_without_their_logical_type() -> None:
    ids = [uuid.UUID(int=number * 2**100 + 7) for number in range(3)]
    bare = pa.array([each.bytes for each in ids], pa.binary(16))
    for column in (bare, pa.ExtensionArray.from_storage(pa.uuid(), bare)):
        assert plain_rows(column, "string")["user"].to_pylist() == [str(each) for each in ids]


@pytest.mark.parametrize(
    ("ids", "user_type", "reason", "remedy"),
    [
        (pa.array(["7", "007"]), "integer", "user '007' would become 7", 'ingest.id_type = "string"'),
        (pa.array([b"7", b"007"]), "integer", "user '007' would become 7", 'ingest.id_type = "string"'),
        (pa.array([1, 2**63], pa.uint64()), "integer", f"user {2**63} does not fit", 'id_type = "string"'),
        (pa.array([1.0, 1.5]), "integer", "user 1.5 is not a whole number", "as text"),
        (pa.array([1.0, 1.5]), "string", "user 1.5 is not a whole number", "as text"),
        (pa.array([1.0, 2.0**24], pa.float32()), "integer", "user 1.67772e+07 cannot be told", "quarantine"),
        (pa.array([b"a", b"\xff"]), "string", "the user has bytes that are not UTF-8", "quarantine"),
        (pa.array(["a", ""]), "string", "the user is empty", "quarantine"),
        (pa.array([1, None]), "string", "the user is empty", "quarantine"),
    ],
)  # fmt: skip
def test_ids_that_are_bad_rows(ids: pa.Array, user_type: IdKind, reason: str, remedy: str) -> None:
    raw = pa.table({"user": ids, "item": [1, 2], "rating": [3, 4]})
    form = Form("parquet", "", 3, 0, 1, 2, -1, user_type, header=("user", "item", "rating"))
    parsed = convert(raw, form, "r.parquet", 11)
    assert parsed.table["item"].to_pylist() == [1]
    (row,) = parsed.rejected
    assert row.line == 12
    assert row.reason.startswith(reason)
    assert remedy in row.remedy


@pytest.mark.parametrize(
    ("role", "kind"),
    [
        *(("user", kind) for kind in (pa.list_(pa.int64()), pa.struct([("a", pa.int64())]), pa.bool_(), pa.date32())),
        *(("item", kind) for kind in (pa.map_(pa.string(), pa.int8()), pa.timestamp("s"), pa.time32("s"))),
        ("item", pa.list_(pa.string(), 2)),
        ("rating", pa.list_(pa.float32())),
        ("rating", pa.timestamp("ns")),
        ("timestamp", pa.bool_()),
        ("timestamp", pa.time64("us")),
    ],
)  # fmt: skip
def test_types_that_are_refused(role: str, kind: pa.DataType) -> None:
    with pytest.raises(
        BadInput, match=rf"r.parquet: column 'c' has type .* cannot be the {role}; .*ingest.columns.{role}"
    ):
        refuse_type(kind, role, "c", "r.parquet")


def test_so_many_bad_rows_are_no_stray_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MOST_REJECTED", 3)
    raw = pa.table({"user": [1] * 4, "item": [2] * 4, "rating": pa.nulls(4)})
    with pytest.raises(BadInput, match=r"r.parquet:1: the rating is empty: .*more than 3 rows from there on are bad"):
        convert(raw, Form("parquet", "", 3, 0, 1, 2, -1, header=("user", "item", "rating")), "r.parquet", 1)


@pytest.mark.parametrize(
    ("values", "clock"),
    [
        ([], "seconds"),
        ([10, 20], "seconds"),
        ([1.5e9, None, float("nan")], "seconds"),
        ([1_500_000_000_000, 0, 1_500_000_000_000], "milliseconds"),
        ([1.5e15], "microseconds"),
        ([Decimal(15 * 10**17)], "nanoseconds"),
        (["1500000000000"], "milliseconds"),
        ([20180102, 19991231], "date"),
        (["20180102", None], "date"),
        ([20180102, 20181302], "seconds"),
        (["2018"], "date"),
        ([201801, 201812], "date"),
        ([2018.5, 2018], "seconds"),
    ],
)
def test_what_numbers_count_is_told_by_their_size(values: list[Any], clock: str) -> None:
    assert clock_of_values(values) == clock
