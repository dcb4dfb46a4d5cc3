"""The parts of a saved model, for tasks that read only some of them.

Covers: the places of the parts, and reading one part or one side.
Does not cover: writing (model.py), `model.json` (about.py), or predictions (score_rows.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from funkflow.tasks.kernels.buffers import Weighed
from funkflow.tasks.model.about import SIDES, About, Place, SideName, part_files, scale_of
from funkflow.tasks.model.canonical import Matrix, largest_of_q, qr_r, with_biases
from funkflow.tasks.model.times.effects import ITEM_COLUMN, USER_COLUMNS, ItemBins, UserDays
from funkflow.tasks.storage import files
from funkflow.tasks.storage.arrow_arrays import numbers_of
from funkflow.tasks.transform import Transform


@dataclass(frozen=True)
class ModelPart:
    """Some rows of one side of a model: raw ids (n,), biases float32 (n,), factors float32 (n, k)."""

    raw_ids: npt.NDArray[Any]
    biases: npt.NDArray[np.float32]
    factors: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Rows(Weighed):
    """Some rows of one side without raw ids: biases float32 (n,), factors float32 (n, k).

    times : effects of time beside those of the last days, where the model has some, and they were read.
    """

    biases: npt.NDArray[np.float32]
    factors: npt.NDArray[np.float32]
    times: UserDays | ItemBins | None = None

    def take(self, rows: npt.NDArray[np.integer]) -> Rows:
        """Return some of the rows."""
        return Rows(self.biases[rows], self.factors[rows])

    def is_finite(self) -> bool:
        """Return whether all numbers are finite."""
        return bool(np.isfinite(self.biases).all() and np.isfinite(self.factors).all())


@dataclass(frozen=True)
class ModelParts:
    """Places and row counts of the parts of a saved model, in its order, and the numbers that all parts share.

    edges : of the bins of its effects of time; None: it has none.
    """

    users: tuple[Place, ...]
    items: tuple[Place, ...]
    user_counts: tuple[int, ...]
    item_counts: tuple[int, ...]
    rank: int
    mean: float
    scale: tuple[float, float] | None
    transform: Transform = "none"
    edges: tuple[int, ...] | None = None

    @classmethod
    def of(cls, folder: str, about: About) -> ModelParts:
        """Return the parts of the model in `folder` from its `model.json`."""
        users, items = (tuple(part_files(folder, side, about)) for side in SIDES)
        user_counts, item_counts = (tuple(int(part["rows"]) for part in about["parts"][side]) for side in SIDES)
        return cls(
            users=users, items=items, user_counts=user_counts, item_counts=item_counts, rank=int(about["rank"]),
            mean=float(about["mean"]), scale=scale_of(about), transform=about.get("transform", "none"),
            edges=edges_of(about),
        )  # fmt: skip

    def user_part(self, number: int) -> ModelPart:
        """Read one part of the users."""
        return read_part(*self.users[number], self.rank)

    def item_side(self) -> ModelPart:
        """Read all items; they fit every worker, as in training."""
        parts = [read_part(*place, self.rank) for place in self.items]
        ids, biases, factors = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("raw_ids", "biases", "factors")
        )
        return ModelPart(ids, biases, factors)

    def matrix_of(self, side: SideName, number: int, fold_biases: bool) -> Matrix:
        """Read one part of a side, and return its factors as `matrix` does."""
        return self.matrix(self.rows_of_part(side, number), side, fold_biases)

    def rows_of_part(self, side: SideName, number: int) -> Rows:
        """Read biases and factors of one part of a side."""
        return read_part_rows(*(self.users if side == "user" else self.items)[number], self.rank)

    def matrix(self, part: ModelPart | Rows, side: SideName, fold_biases: bool) -> Matrix:
        """Return factors as float64 (n, k), or with folded-in biases (n, k + 2)."""
        return with_biases(part.factors, part.biases, self.mean, side) if fold_biases else part.factors.astype(float)


def read_part(url: str, expected_checksum: str, rank: int) -> ModelPart:
    """Read one part of a side."""
    return ModelPart(*factor_columns(files.read_table(url, expected_checksum=expected_checksum), rank))


def read_part_rows(url: str, expected_checksum: str, rank: int) -> Rows:
    """Read biases and factors of a part, without raw ids."""
    return table_rows(files.read_table(url, ["bias", "factors"], expected_checksum), rank)


def read_timed_users(url: str, expected_checksum: str, rank: int) -> Rows:
    """Read a part of the users of a model with effects of time, with these."""
    table = files.read_table(url, ["bias", "factors", *USER_COLUMNS], expected_checksum)
    return replace(table_rows(table, rank), times=UserDays.of_table(table).from_last_days())


def read_side(places: Sequence[Place], rank: int) -> Rows:
    """Read biases and factors of all parts of a side."""
    parts = [read_part_rows(*place, rank) for place in places]
    biases, factors = (np.concatenate([getattr(part, name) for part in parts]) for name in ("biases", "factors"))
    return Rows(biases, factors)


def read_timed_items(places: Sequence[Place], rank: int, edges: Sequence[int] | None) -> Rows:
    """Read all items of a model with its effects of bins; edges : of these, none or None without."""
    return replace(read_side(places, rank), times=read_item_times(places, edges or ()))


def read_user_times(places: Sequence[Place]) -> UserDays:
    """Read the effects of time on all users, beside those of their last days."""
    tables = [files.read_table(url, list(USER_COLUMNS), checksum) for url, checksum in places]
    return UserDays.of_table(pa.concat_tables(tables)).from_last_days()


def read_item_times(places: Sequence[Place], edges: Sequence[int]) -> ItemBins | None:
    """Read the effects of time on all items, beside those of the last bin; None where there is one bin alone."""
    if not edges:
        return None
    tables = [files.read_table(url, [ITEM_COLUMN], checksum) for url, checksum in places]
    return ItemBins.of_table(pa.concat_tables(tables), edges).from_last_bin()


def edges_of(about: About) -> tuple[int, ...] | None:
    """Return the edges of the bins of a model's effects of time; None: it has no effects."""
    times = about.get("times")
    return tuple(times["edges"]) if times else None


def factor_columns(
    table: pa.Table, rank: int
) -> tuple[npt.NDArray[Any], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return raw ids (n,), biases (n,) and factors (n, k) of a factor table."""
    rows = table_rows(table.combine_chunks(), rank)
    return table["raw_id"].to_numpy(), rows.biases, rows.factors


def table_rows(table: pa.Table, rank: int) -> Rows:
    """Return biases and factors of a factor table."""
    factors = numbers_of(pc.list_flatten(table["factors"])).reshape(table.num_rows, rank)
    return Rows(numbers_of(table["bias"]), np.ascontiguousarray(factors))


def split_places(places: npt.NDArray[np.integer], counts: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the table, of several concatenated ones, of each place, and the place within that table; -1 stays -1.

    counts : the number of rows of each table.
    """
    starts = np.array([0, *accumulate(counts)])
    part = np.searchsorted(starts, places, side="right") - 1
    return part, np.where(places < 0, -1, places - starts[np.maximum(part, 0)]).astype(np.int32)


def rows_of_own(dense: npt.NDArray[np.int32], counts: Sequence[int]) -> npt.NDArray[np.int64]:
    """Return the rows of dense ids in the model of their own grid. Dense id d is row d div P of part d mod P.

    counts : the number of rows of each part.
    """
    starts = np.cumsum([0, *counts], dtype=np.int64)
    rows: npt.NDArray[np.int64] = starts[dense % len(counts)] + dense // len(counts)
    return rows


def dense_of_row(row: int, counts: Sequence[int]) -> int:
    """Return the dense id of a row of the model of its own grid, the inverse of `rows_of_own`."""
    (part,), (within,) = split_places(np.array([row]), counts)
    return int(within) * len(counts) + int(part)


def part_triangle(parts: ModelParts, side: SideName, number: int, fold_biases: bool) -> Matrix:
    """Return R of the QR of one part of a side."""
    return qr_r(parts.matrix_of(side, number, fold_biases), f"{side} factors")


def largest_of_items(parts: ModelParts, number: int, fold_biases: bool, turn: Matrix) -> Matrix:
    """Return the largest entries of one part of V; `turn` : of the part, from the core."""
    return largest_of_q(parts.matrix_of("item", number, fold_biases), turn, "item factors")
