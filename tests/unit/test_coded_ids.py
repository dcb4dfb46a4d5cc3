"""Ids that are texts come back from scratch as they were, row by row, and are looked up once for each chunk.

Covers: tasks/dataset/coded_ids.py. Does not cover: whole datasets of texts (tests/cluster/test_samples.py).
"""

from __future__ import annotations

import tempfile

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from funkflow.tasks.dataset.coded_ids import gather_ids, number_chunk, write_distinct
from funkflow.tasks.dataset.sorting import stable_order
from funkflow.tasks.parsing.ids import buckets_of
from funkflow.tasks.storage.arrow_groups import read_groups, write_groups

IDS = st.one_of(st.text("abé", max_size=3), st.uuids().map(str))
CHUNKS = st.lists(st.lists(st.tuples(IDS, IDS), max_size=20), min_size=1, max_size=3)
BUCKETS, SIDES = 4, ("user", "item")


@given(CHUNKS, st.sampled_from([range(1), range(2, 4), range(BUCKETS)]))
def test_texts_of_some_groups(chunks: list[list[tuple[str, str]]], groups: range) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tables, expected = [], []
        for number, rows in enumerate(chunks):
            sides = {
                side: pa.chunked_array([[row[n] for row in rows]], pa.string())
                for n, side in enumerate(("user", "item"))
            }
            users, items = number_chunk("user", sides["user"], BUCKETS), number_chunk("item", sides["item"], 1)
            assert users.buckets.tolist() == buckets_of(sides["user"], BUCKETS).tolist()
            order, starts = stable_order(users.buckets, BUCKETS)
            table = pa.table({each.column: pa.array(each.numbers[order]) for each in (users, items)})
            for side, each in (("user", users), ("item", items)):
                write_distinct(folder, side, number, each.distinct, each.starts)
            write_groups(f"{folder}/rows-{number}", table, starts.tolist())
            tables.append(read_groups(f"{folder}/rows-{number}", groups))
            expected += [rows[n] for n in order[starts[groups.start] : starts[groups.stop]].tolist()]
        for n, side in enumerate(SIDES):
            found = gather_ids(folder, side, tables, groups)
            wanted = [row[n] for row in expected]
            asked: list[str] = []

            def lengths(texts: pa.ChunkedArray, asked: list[str] = asked) -> npt.NDArray[np.int32]:
                asked.extend(texts.to_pylist())
                return np.array([len(text) for text in texts.to_pylist()], np.int32)

            assert len(found) == len(wanted)
            assert found.raw().to_pylist() == wanted
            assert found.dense(lengths).tolist() == [len(text) for text in wanted]
            assert len(asked) <= sum(len({row[n] for row in rows}) for rows in chunks)
