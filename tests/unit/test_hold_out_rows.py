"""The rows that are held out: found by pair, taken from a part, and put in order for scoring.

Covers: tasks/dataset/pair_rows.py, tasks/storage/stored_table.py, the order of `held_out_table`.
Does not cover: which rows a split holds out (test_split.py).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funkflow.tasks.dataset.pair_rows import find_pairs, find_rows
from funkflow.tasks.errors import DamagedFile
from funkflow.tasks.storage import files
from funkflow.tasks.storage.stored_table import StoredTable
from funkflow.tasks.training import score
from funkflow.tasks.training.score import held_out_table

PAIR = st.tuples(st.integers(-1, 9), st.integers(-1, 30))


@settings(deadline=None)
@given(st.sets(PAIR.filter(lambda pair: min(pair) >= 0), max_size=120), st.lists(PAIR, max_size=60))
def test_rows_of_pairs(rows: set[tuple[int, int]], wanted: list[tuple[int, int]]) -> None:
    ordered = sorted(rows)
    users, items = np.array(ordered, np.int32).reshape(-1, 2).T.copy()
    user, item = np.array(wanted, np.int32).reshape(-1, 2).T.copy()
    place = {pair: row for row, pair in enumerate(ordered)}
    assert find_pairs(users, items, user, item).tolist() == [place.get(pair, -1) for pair in wanted]


def test_rows_of_pairs_in_a_file(tmp_path: Path) -> None:
    """Its stretches end between users and within one; the last one may be empty."""
    rng = np.random.default_rng(2)
    users, items = np.unique(rng.integers(0, 40, (2, 500), dtype=np.int32), axis=1)
    pairs = np.unique(rng.integers(-1, 42, (2, 300), dtype=np.int32), axis=1)
    for count in (len(users), 0):
        own = users[:count], items[:count]
        url = str(tmp_path / "part.parquet")
        files.write_table(url, pa.table(own, names=["user", "item"]), row_group_rows=64)
        assert find_rows(StoredTable(url), *pairs).tolist() == find_pairs(*own, *pairs).tolist()


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-1, 9), st.integers(-1, 9), st.sampled_from([1.0, 2.0])), max_size=40))
def test_order_for_scoring(rows: list[tuple[int, int, float]]) -> None:
    """Pairs of unknown ids may be there several times."""
    users, items, ratings = np.array(rows, np.float32).reshape(-1, 3).T
    whole = users.astype(np.int32), items.astype(np.int32)
    order = sorted(
        (max(i, 0) % 2, -1 if u < 0 else u // 2, -1 if i < 0 else i // 2, r) for u, i, r in rows if max(u, 0) % 2 == 1
    )
    table = held_out_table(*whole, ratings, 2, 1)
    assert [tuple(row.values()) for row in table.to_pylist()] == order


def test_order_of_ids_that_do_not_fit_into_one_number(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    users, items = rng.integers(-1, 2**31, (2, 500), dtype=np.int32)
    before = held_out_table(users, items, np.ones(500, np.float32), 1, 0)
    monkeypatch.setattr(score, "_KEY_BITS", 0)
    assert held_out_table(users, items, np.ones(500, np.float32), 1, 0).equals(before)


def test_rows_of_a_stored_table(tmp_path: Path) -> None:
    columns = {"user": range(20), "time": pa.array(range(20), pa.timestamp("ms")), "rating": np.ones(20)}
    url = str(tmp_path / "part.parquet")
    files.write_table(url, table := pa.table(columns), row_group_rows=6)
    stored = StoredTable(url)
    assert (stored.names, stored.num_rows) == (["user", "time", "rating"], 20)
    for rows in ([], [0], [5, 6], [19], [1, 2, 11, 12, 17, 18], list(range(20))):
        chosen = np.array(rows, np.int64)
        assert stored.take(chosen, ["rating", "time"]).equals(table.take(chosen).select(["rating", "time"]))
        assert stored.take(np.array(rows, np.int64), []).num_columns == 0
    assert pa.concat_tables(stored.stretches(["time", "user"])).equals(table.select(["time", "user"]))
    assert stored.column("time").equals(table["time"])


def test_a_damaged_table_is_named(tmp_path: Path) -> None:
    url = str(tmp_path / "part.parquet")
    Path(url).write_bytes(b"PAR1 and no more")
    with pytest.raises(DamagedFile, match=r"part\.parquet: not a readable Parquet file"):
        StoredTable(url)
    checksum = files.write_table(url, pa.table({"user": [1]}))
    assert StoredTable(url, checksum).column("user").to_pylist() == [1]
    with pytest.raises(DamagedFile, match="do not match checksum"):
        StoredTable(url, checksum[::-1])
