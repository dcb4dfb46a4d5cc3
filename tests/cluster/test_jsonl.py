"""JSON lines: which columns are found, that the fast reader equals reading line by line, and bad lines with number.

Covers: hypothesis properties over objects and damage, kinds of id that differ between lines, files that are refused.
Does not cover: single values (test_typed_rows.py), packed files (test_packed.py).
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from ingesting import ingest, refusal, settings, table
from sessions import examples

from funkflow.pipeline.cluster.context import Context
from funkflow.tasks.errors import BadInput
from funkflow.tasks.parsing.format.formats import Form, Wanted
from funkflow.tasks.parsing.pairs import read_pairs
from funkflow.tasks.parsing.rows import jsonl
from funkflow.tasks.parsing.rows.jsonl import numbered_rows, recognise_jsonl
from funkflow.tasks.parsing.rows.rows import RejectedRow, row_schema
from funkflow.tasks.parsing.rows.text import parse_chunk
from funkflow.tasks.parsing.sources.chunks import Chunk, RawFile, cut, whole

FORM = Form("jsonl", "", 4, 0, 1, 2, 3, "integer", "string", header=("user", "item", "rating", "time"))

integers = st.integers(-(2**63), 2**63 - 1) | st.integers(0, 99)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=4) | st.sampled_from(["a", "7", "007", "2018-01-02"])
plain = st.fixed_dictionaries(
    {
        "user": integers,
        "item": words.filter(bool),
        "rating": st.integers(1, 5) | st.floats(1, 5),
        "time": st.integers(10**8, 10**10) | st.just(20180102),
        "review": words,
    }
)
values = (
    st.none()
    | st.booleans()
    | integers
    | st.floats()
    | words
    | st.just(10**30)
    | st.sampled_from([[1], {"a": None}, 1.0])
)
odd = st.dictionaries(st.sampled_from(["user", "item", "rating", "time", "x"]), values, max_size=5)
NOISE = st.sampled_from(
    ["", "null", "[1, 2]", "1", "{}", "{", '{"user": 1} {"user": 2}', '{"user": 01}', " null", '{"user": "\\ud800"}',
     '{"user": 1, "user": 2, "item": "a", "rating": 3, "time": 5}', '{"user":1,"item":"a","rating":1e999,"time":1}',
     '{"user":1,"item":"a","rating":3,"time":1}null', ' {"user":1,"item":"a","rating":3,"time":1}', "\r"]
)  # fmt: skip


def chunks_of(text: bytes, chunk_bytes: int, folder: str) -> list[Chunk]:
    path = Path(folder, "r.jsonl")
    path.write_bytes(text)
    return cut([whole(RawFile(str(path), 0, len(text), "r.jsonl"))], chunk_bytes)


def by_both(text: str, form: Form, chunk_bytes: int) -> list[tuple[pa.Table, list[RejectedRow]]]:
    with tempfile.TemporaryDirectory() as folder:
        parsed = [parse_chunk(chunk, form) for chunk in chunks_of(text.encode(), chunk_bytes, folder)]
    found = [each for _, each in jsonl._read_one_by_one(text.encode(), form, "r.jsonl", 1)]
    slow = jsonl._rows_table([each for each in found if not isinstance(each, RejectedRow)], form)
    fast = pa.concat_tables([row_schema(form).empty_table(), *(each.table for each in parsed)])
    return [
        (fast, [row for each in parsed for row in each.rejected]),
        (slow, [each for each in found if isinstance(each, RejectedRow)]),
    ]


def written(objects: Sequence[object]) -> str:
    return "".join(json.dumps(each) + "\n" for each in objects)


forms = st.builds(
    replace,
    st.just(FORM),
    user_type=st.sampled_from(["integer", "string"]),
    item_type=st.sampled_from(["integer", "string"]),
    clock=st.sampled_from(["seconds", "milliseconds", "nanoseconds", "date"]),
)


@hypothesis_settings(deadline=None, max_examples=examples(50))
@given(objects=st.lists(plain, min_size=1, max_size=20), form=forms, chunk_bytes=st.sampled_from([60, 10**6]))
def test_the_fast_reader_equals_the_slow_one(objects: list[object], form: Form, chunk_bytes: int) -> None:
    fast, slow = by_both(written(objects), form, chunk_bytes)
    assert fast[0].equals(slow[0])
    assert fast[1] == slow[1]


@hypothesis_settings(deadline=None, max_examples=examples(100))
@given(
    lines=st.lists(plain.map(json.dumps) | odd.map(json.dumps) | NOISE, min_size=1, max_size=12),
    form=forms,
    chunk_bytes=st.sampled_from([60, 10**6]),
    end=st.sampled_from(["\n", "\r\n", "\n\n"]),
)
def test_the_fast_reader_equals_the_slow_one_on_damaged_text(
    lines: list[str], form: Form, chunk_bytes: int, end: str
) -> None:
    fast, slow = by_both(end.join(lines), form, chunk_bytes)
    assert fast[0].equals(slow[0])
    assert fast[1] == slow[1]


@pytest.mark.parametrize(
    "objects",
    [
        [{"user": 1, "item": "a", "rating": 3.5, "time": 10**9}, {"user": 2, "item": "b", "rating": 4, "time": 10**9}],
        [{"user": "1", "item": 7, "rating": "3", "time": "2018-01-02", "x": {"y": [1]}}],
        [{"user": 1, "item": "a", "rating": True, "time": 1.5e9}],
    ],
)
def test_plain_lines_never_take_the_slow_path(
    objects: list[object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Otherwise the properties above would compare the slow path with itself."""
    monkeypatch.setattr(jsonl, "_read_one_by_one", None)
    (chunk,) = chunks_of(written(objects).encode(), 10**6, str(tmp_path))
    assert parse_chunk(chunk, FORM).table.num_rows == len(objects)


def test_one_bad_line_sends_little_to_the_slow_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    line = '{"user": %d, "item": "a", "rating": 3, "time": 1000000000}\n'
    lines = [line % number for number in range(20_000)]
    lines[7_777] = "null\n"
    read: list[int] = []
    slow = jsonl._read_one_by_one

    def counting(data: bytes, form: Form, file: str, line: int) -> Iterator[tuple[int, Any]]:
        read.append(len(data))
        return slow(data, form, file, line)

    monkeypatch.setattr(jsonl, "_read_one_by_one", counting)
    (chunk,) = chunks_of("".join(lines).encode(), 10**9, str(tmp_path))
    parsed = parse_chunk(chunk, FORM)
    assert parsed.table["user"].to_pylist() == [number for number in range(20_000) if number != 7_777]
    assert [(row.line, row.text) for row in parsed.rejected] == [(7_778, "null")]
    assert sum(read) <= 128 * 1024


def recognised(*objects: object, **wanted: object) -> Form:
    return recognise_jsonl(written(objects).encode(), "r.jsonl", Wanted(**wanted))  # type: ignore[arg-type]


def test_columns_are_found_by_their_keys() -> None:
    form = recognised(
        {"reviewerID": "A0", "overall": 3.0, "extra": {"a": 1}},
        {"asin": "B0", "reviewerID": "A0", "overall": 4.0, "unixReviewTime": 1_400_000_000_000},
    )
    assert form.header == ("reviewerID", "overall", "extra", "asin", "unixReviewTime")
    assert (form.user, form.item, form.rating, form.timestamp) == (0, 3, 1, 4)
    assert (form.user_type, form.item_type, form.clock) == ("string", "string", "milliseconds")


@pytest.mark.parametrize(
    ("users", "kind"), [([1, 2], "integer"), ([1.0, 2], "integer"), (["1", "2"], "string"), ([1, "a"], "string")]
)
def test_kinds_of_id(users: list[object], kind: str) -> None:
    assert recognised(*({"user": user, "item": 1, "rating": 2} for user in users)).user_type == kind


@pytest.mark.parametrize("item", [[1], {"id": 1}, True])
def test_what_cannot_be_an_id_is_refused_by_name(item: object) -> None:
    with pytest.raises(BadInput, match=r"r.jsonl:1: column 'item' holds .*, which cannot be the item; name another"):
        recognised({"user": 1, "item": item, "rating": 2})
    assert recognised({"user": 1, "item": item, "rating": 2, "sku": 5}, columns=(None, "sku", None, None)).item == 3


def test_ids_do_not_depend_on_the_chunk(context: Context, tmp_path: Path) -> None:
    objects = [{"user": str(n % 7) if n > 1100 else n % 7, "item": f"i{n}", "rating": 3} for n in range(1200)]
    (tmp_path / "r.jsonl").write_text(written(objects))
    manifest = ingest(context, settings(tmp_path / "r.jsonl", chunk_bytes=20_000))
    assert (manifest.users, manifest.ratings, manifest.user_id_type) == (7, 1200, "integer")


def test_a_bad_line_is_named_or_quarantined(context: Context, tmp_path: Path) -> None:
    lines = [json.dumps({"user": n, "item": n % 5, "rating": 3}) for n in range(100)]
    lines[60] = '{"user": 60, "item": 1, "rating": null}'
    path = tmp_path / "r.ndjson"
    path.write_text("\n".join(lines) + "\n")
    said = f"{path}:61: the rating is empty: '{lines[60]}'; set ingest.on_bad_rows"
    assert refusal(context, path).startswith(said)
    manifest = ingest(context, settings(path, on_bad_rows="quarantine"))
    assert (manifest.ratings, manifest.quarantined) == (99, 1)
    rejected = pd.read_parquet(Path(context.store.dataset(manifest.id)) / "quarantine.parquet")
    assert rejected[["line", "text"]].to_numpy().tolist() == [[61, lines[60]]]


@pytest.mark.parametrize("name", ["r.json", "r.txt", "r.jsonl"])
def test_an_object_at_the_beginning_tells_the_form(name: str, context: Context, tmp_path: Path) -> None:
    (tmp_path / name).write_text(written([{"user": 1, "item": 2, "rating": 3}, {"user": 2, "item": 2, "rating": 4}]))
    manifest = ingest(context, settings(tmp_path))
    assert manifest.format == "JSON lines (columns user, item, rating)"
    frame = table(context, manifest).sort_values("user")
    assert frame.to_numpy().tolist() == [[1, 2, 3], [2, 2, 4]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '{\n "user": 1,\n "item": 2\n}\n',
            ":1: the line is not one JSON object; write one object a line, for instance",
        ),
        ("[1, 2, 3]\n", ":1: the line is not one JSON object"),
        ('[\n {"user": 1}]', ": this is JSON in one array; write one object a line, for instance by jq -c '.[]'"),
        ('{"user": "zo\udceb"}\n', ":1: wrong encoding, these bytes are not UTF-8"),
        ('{"who": 1, "item": 2, "rating": 3}\n', ":1: no column for the user among who, item, rating"),
    ],
)
def test_files_that_are_refused(text: str, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        recognise_jsonl(text.encode("utf-8", "surrogateescape"), "r.jsonl", Wanted())
    assert str(caught.value).startswith(f"r.jsonl{said}")


def test_wrong_bytes_further_down(tmp_path: Path) -> None:
    line = b'{"user": 1, "item": "a", "rating": 3, "time": 1}\n'
    (chunk,) = chunks_of(line * 3 + line.replace(b"a", b"\xeb"), 10**6, str(tmp_path))
    with pytest.raises(BadInput, match=r"r.jsonl:4: wrong encoding, these bytes are not UTF-8: '\{\"user\": 1"):
        parse_chunk(chunk, FORM)


def test_pairs_and_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(written([{"user": 5, "item": "a"}]) + "\n" + written([{"user": 6, "item": "b"}]))
    assert read_pairs(str(path)).table.to_pydict() == {"user": [5, 6], "item": ["a", "b"]}
    form = recognise_jsonl(path.read_bytes(), "pairs.jsonl", Wanted(ratings=False))
    file = RawFile(str(path), 0, path.stat().st_size, "pairs.jsonl")
    assert list(numbered_rows(whole(file), form, 1)) == [(1, (5, "a")), (3, (6, "b"))]
