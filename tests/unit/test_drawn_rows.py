"""The files of a model's draws: rows come back, and only the groups that are asked for are read.

Covers: tasks/model/draws/drawn_rows.py, tasks/storage/row_groups.py.
Does not cover: the draws of a run (tests/cluster/test_intervals.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from funkflow.tasks.errors import DamagedFile
from funkflow.tasks.model.draws.drawn_rows import ColumnSums, DrawnRows, DrawnSide, RowPriors, write_part
from funkflow.tasks.storage import files, row_groups

DRAWS, RANK, SIZES = 3, 2, (4, 4, 2)
PRIORS = RowPriors(np.zeros((DRAWS, RANK + 1)), np.ones((DRAWS, RANK + 1)))


def written(folder: Path) -> tuple[DrawnSide, DrawnRows]:
    """Write two parts of ten rows, in groups of 4, 4 and 2; return them, and all rows."""
    rows = np.random.default_rng(0).normal(size=(20, DRAWS, RANK + 1)).astype(np.float32)
    places = []
    for part, own in enumerate((rows[:10], rows[10:])):
        url = str(folder / f"part.{part}.parquet")
        batches = ({"draws": each} for each in np.split(own, np.cumsum(SIZES)[:-1]))
        write_part(url, pa.array(np.arange(10)), batches, {"draws": DRAWS * (RANK + 1)})
        places.append((url, files.size(url)))
    return DrawnSide(places, DRAWS, RANK, PRIORS), rows


def test_rows_come_back_in_the_order_that_is_asked_for(tmp_path: Path) -> None:
    side, rows = written(tmp_path)
    asked = np.array([19, 0, 7, 7, 12])
    np.testing.assert_array_equal(side.take(asked), rows[asked])


def test_a_missing_row_is_0(tmp_path: Path) -> None:
    assert not written(tmp_path)[0].take(np.array([-1])).any()


def test_only_the_groups_with_a_row_that_is_asked_for_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    side, _ = written(tmp_path)
    read: list[tuple[str, list[int]]] = []
    real = row_groups.read_row_groups

    def watched(url: str, groups: Sequence[int], columns: Sequence[str]) -> list[pa.Table]:
        read.append((url.rsplit("/", 1)[1], list(groups)))
        return real(url, groups, columns)

    monkeypatch.setattr(row_groups, "read_row_groups", watched)
    side.take(np.array([5, 18, 4]))
    side.take(np.array([6]))
    assert read == [("part.0.parquet", [1]), ("part.1.parquet", [2])]


def test_a_file_that_was_cut_short_is_refused(tmp_path: Path) -> None:
    side, _ = written(tmp_path)
    cut = tmp_path / "part.1.parquet"
    cut.write_bytes(cut.read_bytes()[:-1])
    with pytest.raises(DamagedFile, match=r"part\.1\.parquet.*bytes"):
        side.take(np.array([0]))


def test_sums_over_batches_give_the_moments_of_all_rows(tmp_path: Path) -> None:
    _, rows = written(tmp_path)
    priors = (ColumnSums.of(rows[:7]) + ColumnSums.of(rows[7:])).priors()
    np.testing.assert_allclose(priors.mean, rows.mean(axis=0, dtype=np.float64))
    np.testing.assert_allclose(priors.variance, rows.var(axis=0, dtype=np.float64), rtol=1e-6)
