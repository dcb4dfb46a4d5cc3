"""Tables of raw ids cut to pieces, and matched with others, beside lists and dictionaries.

Covers: tasks/dataset/id_pieces.py, tasks/dataset/matches.py. Does not cover: which tasks read them (test_reads.py).
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sessions import examples

from funkflow.tasks.dataset.id_pieces import cut_by_part, cut_by_shard, read_piece
from funkflow.tasks.dataset.matches import find_places, match_by_part, read_match
from funkflow.tasks.model.parts import split_places
from funkflow.tasks.parsing.ids import buckets_of
from funkflow.tasks.storage import files

RAW_IDS = st.one_of(
    st.lists(st.integers(-(2**62), 2**62), unique=True, max_size=60), st.lists(st.text(max_size=4), unique=True)
)


def ids(folder: Path | str, name: str, raw_ids: Any) -> tuple[str, str]:
    url = f"{folder}/{name}.parquet"
    return url, files.write_table(url, pa.table({"raw_id": pa.array(raw_ids)}))


@given(raw_ids=RAW_IDS, bits=st.integers(0, 4), shards=st.integers(1, 5))
@settings(max_examples=examples(40), deadline=None)
def test_pieces_are_the_ids_of_a_part_and_of_a_shard(raw_ids: list[Any], bits: int, shards: int) -> None:
    kind = pa.string() if raw_ids and isinstance(raw_ids[0], str) else pa.int64()
    array, parts = pa.array(raw_ids, kind), 2**bits
    with tempfile.TemporaryDirectory() as folder:
        table = ids(folder, "users", array)
        by_part = cut_by_part(table, parts, f"{folder}/parts.arrow")
        by_shard = cut_by_shard(table, shards, f"{folder}/shards.arrow")
        for part in range(parts):
            piece = read_piece(by_part, part)
            expected = [dense for dense, bucket in enumerate(buckets_of(array, parts)) if bucket == part]
            assert piece.dense.tolist() == expected
            assert piece.raw_of(piece.dense[::-1]).to_pylist() == [raw_ids[dense] for dense in expected[::-1]]
            everyone = np.arange(len(raw_ids), dtype=np.int32)
            assert np.flatnonzero(piece.has(everyone)).tolist() == expected
            found = [dense if dense in expected else -1 for dense in range(len(raw_ids))]
            assert piece.dense_of(array).tolist() == found
        for shard in range(shards):
            assert read_piece(by_shard, shard).raw_ids.to_pylist() == raw_ids[shard::shards]


def test_an_id_of_another_part_is_named(tmp_path: Path) -> None:
    piece = read_piece(cut_by_part(ids(tmp_path, "users", range(50)), 4, str(tmp_path / "users.arrow")), 1)
    other = int(np.setdiff1d(np.arange(50), piece.dense)[0])
    with pytest.raises(ValueError, match=rf"id {other} is not among the {len(piece.dense)} of its part"):
        piece.places_of(np.array([piece.dense[0], other], np.int32))


@given(own=RAW_IDS, seed=st.integers(0, 100))
@settings(max_examples=examples(40), deadline=None)
def test_matches_are_those_of_a_dictionary(own: list[Any], seed: int) -> None:
    kind, rng = pa.string() if own and isinstance(own[0], str) else pa.int64(), np.random.default_rng(seed)
    others = [own[place] for place in rng.permutation(len(own))[: len(own) // 2]]
    others += [f"{each} and more" for each in others] if kind == pa.string() else [2**62 + 1]
    with tempfile.TemporaryDirectory() as folder:
        table = ids(folder, "own", pa.array(own, kind))
        halves = [ids(folder, f"{n}", pa.array(others[n::2], kind)) for n in range(2)]
        places = {raw: place for place, raw in enumerate([*others[0::2], *others[1::2]])}
        expected = [places.get(raw, -1) for raw in own]
        assert find_places(table, halves).tolist() == expected
        url = match_by_part(table, halves, 4, f"{folder}/match.arrow")
        pieces = [read_match(url, part) for part in range(4)]
        assert {dense: place for each in pieces for dense, place in zip(each.dense, each.places, strict=True)} == dict(
            enumerate(expected)
        )


def test_a_place_in_several_tables_is_one_in_one_of_them() -> None:
    part, row = split_places(np.array([0, 1, 2, 4, -1]), (0, 2, 0, 3))
    assert part[:4].tolist() == [1, 1, 3, 3]
    assert row.tolist() == [0, 1, 0, 2, -1]
