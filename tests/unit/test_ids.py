"""Ids by a table equal ids by a hash, whatever integers they are; scratch gives back what it was given.

Covers: the two ways of ids.unique and ids.look_up, buckets by chunk, and tasks/storage/arrow_groups.py. Does not cover:
whole datasets (test_ingest.py).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from funkflow.tasks.errors import DamagedFile
from funkflow.tasks.parsing import ids
from funkflow.tasks.storage.arrow_groups import narrow_integers, read_groups, write_groups

CLOSE = st.integers(-50, 1000)
ANY = st.one_of(CLOSE, st.integers(-(2**63), 2**63 - 1))
CHUNKS = st.one_of(*(st.lists(st.lists(each, max_size=30), max_size=4) for each in (CLOSE, ANY)))


def column(chunks: list[list[int]]) -> pa.ChunkedArray:
    return pa.chunked_array(chunks, pa.int64())


@given(CHUNKS)
def test_unique_is_sorted_and_distinct(chunks: list[list[int]]) -> None:
    assert ids.unique(column(chunks)).to_pylist() == sorted({each for chunk in chunks for each in chunk})


@given(CHUNKS, st.lists(ANY, unique=True, max_size=40))
def test_look_up_gives_places(chunks: list[list[int]], known: list[int]) -> None:
    places = {raw_id: place for place, raw_id in enumerate(known)}
    expected = [places.get(each, -1) for chunk in chunks for each in chunk]
    assert ids.look_up(column(chunks), pa.array(known, pa.int64())).tolist() == expected


def test_both_ways_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    raw, known = column([[7, 9, 7], [-3]]), pa.array([9, 7])
    by_table = ids.unique(raw), ids.look_up(raw, known)
    monkeypatch.setattr(ids, "_TABLE_IDS", 1)
    assert (ids.unique(raw).to_pylist(), ids.look_up(raw, known).tolist()) == ([-3, 7, 9], [1, 0, 1, -1])
    assert (by_table[0].to_pylist(), by_table[1].tolist()) == ([-3, 7, 9], [1, 0, 1, -1])


@given(CHUNKS, st.sampled_from([1, 2, 64, 4096]))
def test_buckets_do_not_depend_on_chunks(chunks: list[list[int]], buckets: int) -> None:
    whole = column([[each for chunk in chunks for each in chunk]])
    assert ids.buckets_of(column(chunks), buckets).tolist() == ids.buckets_of(whole, buckets).tolist()


@given(CHUNKS)
def test_narrowed_integers_are_the_same(chunks: list[list[int]]) -> None:
    narrow = narrow_integers(column(chunks))
    assert narrow.tolist() == column(chunks).to_pylist()
    fits = [each for each in (np.int16, np.int32, np.int64) if np.array_equal(narrow.astype(each), narrow)]
    assert narrow.dtype == fits[0]


def test_groups_come_back(tmp_path: Path) -> None:
    table = pa.table({"user": pa.chunked_array([["a"], ["b", "c"]]), "rating": pa.array([1, 2, 3], pa.float32())})
    url = str(tmp_path / "scratch.arrow")
    write_groups(url, table, [0, 2, 2, 3])
    assert read_groups(url, [2, 1, 0]).to_pylist() == table.take([2, 0, 1]).to_pylist()
    assert read_groups(url, [1]).schema == table.schema
    write_groups(url, table.slice(0, 0), [0, 0])
    assert read_groups(url, [0]).num_rows == 0


def test_scratch_that_is_gone_or_cut_short_is_named(tmp_path: Path) -> None:
    url = tmp_path / "scratch.arrow"
    with pytest.raises(DamagedFile, match=r"scratch\.arrow: scratch cannot be read .* run again"):
        read_groups(str(url), [0])
    write_groups(str(url), pa.table({"user": [1, 2]}), [0, 2])
    url.write_bytes(url.read_bytes()[:-9])
    with pytest.raises(DamagedFile, match=r"scratch\.arrow: scratch cannot be read"):
        read_groups(str(url), [0])
