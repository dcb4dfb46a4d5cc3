"""The parts of a saved model, one by one: for tasks that need not read all of it.

Covers: where the parts lie, whether they are all there, and reading one, or one side put together.
Does not cover: writing them, `model.json`, or predictions (model.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from funkflow.tasks.kernels.buffers import Weighed
from funkflow.tasks.model.about import Place, part_files
from funkflow.tasks.model.canonical import Matrix, Rotations, combine_r, qr_r, with_biases
from funkflow.tasks.storage import files
from funkflow.tasks.transform import Transform


@dataclass(frozen=True)
class Part:
    """Some rows of one side of a model: raw ids (n,), biases float32 (n,), factors float32 (n, k)."""

    raw_ids: npt.NDArray[Any]
    biases: npt.NDArray[np.float32]
    factors: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Rows(Weighed):
    """The same without the ids: biases float32 (n,), factors float32 (n, k)."""

    biases: npt.NDArray[np.float32]
    factors: npt.NDArray[np.float32]

    def is_finite(self) -> bool:
        """Say whether all numbers are finite."""
        return bool(np.isfinite(self.biases).all() and np.isfinite(self.factors).all())


@dataclass(frozen=True)
class ModelParts:
    """Where a saved model lies, and what goes with all of its parts. Users and items are in the model's order."""

    users: tuple[Place, ...]
    items: tuple[Place, ...]
    user_counts: tuple[int, ...]
    item_counts: tuple[int, ...]
    rank: int
    mean: float
    scale: tuple[float, float] | None
    transform: Transform = "none"

    @classmethod
    def of(cls, folder: str, about: dict[str, Any]) -> ModelParts:
        """Return the parts of the model in `folder`; `about` is the content of its `model.json`."""
        users, items = (tuple(part_files(folder, side, about)) for side in ("user", "item"))
        user_counts, item_counts = (
            tuple(int(part["rows"]) for part in about["parts"][side]) for side in ("user", "item")
        )
        scale = tuple(about["scale"]) if about["scale"] is not None else None
        numbers = int(about["rank"]), float(about["mean"]), scale
        return cls(users, items, user_counts, item_counts, *numbers, about.get("transform", "none"))

    def user_part(self, number: int) -> Part:
        return read_part(*self.users[number], self.rank)

    def item_side(self) -> Part:
        """Read all items: every worker has room for them, as in training."""
        parts = [read_part(*place, self.rank) for place in self.items]
        ids, biases, factors = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("raw_ids", "biases", "factors")
        )
        return Part(ids, biases, factors)

    def matrix(self, part: Part, side: Literal["user", "item"], fold_biases: bool) -> Matrix:
        """Return a part's factors as float64; with its biases as two more columns, where they are folded in."""
        return with_biases(part.factors, part.biases, self.mean, side) if fold_biases else part.factors.astype(float)


def read_part(url: str, expected_checksum: str, rank: int) -> Part:
    """Read what `write_factors` wrote."""
    return Part(*columns_of(files.read_table(url, expected_checksum=expected_checksum), rank))


def read_rows(url: str, expected_checksum: str, rank: int) -> Rows:
    """Read the numbers of a part, without its raw ids."""
    return _rows_of(files.read_table(url, ["bias", "factors"], expected_checksum), rank)


def read_side(places: Sequence[Place], rank: int) -> Rows:
    """Read the numbers of all parts of a side, put together."""
    parts = [read_rows(*place, rank) for place in places]
    return Rows(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("biases", "factors")))


def columns_of(table: pa.Table, rank: int) -> tuple[npt.NDArray[Any], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return raw ids, biases and factors of a factor table, or of several put together."""
    rows = _rows_of(table.combine_chunks(), rank)
    return table["raw_id"].to_numpy(), rows.biases, rows.factors


def _rows_of(table: pa.Table, rank: int) -> Rows:
    factors = pc.list_flatten(table["factors"]).to_numpy().reshape(table.num_rows, rank)
    return Rows(table["bias"].to_numpy(), np.ascontiguousarray(factors))


def part_triangle(parts: ModelParts, number: int, fold_biases: bool) -> Matrix:
    """Return R of the QR of one user part."""
    return qr_r(parts.matrix(parts.user_part(number), "user", fold_biases), "user factors")


def core_rotations(triangles: list[Matrix], parts: ModelParts, fold_biases: bool) -> Rotations:
    """Return the rotations, given R of every user part; reads the item side."""
    return combine_r(triangles, parts.matrix(parts.item_side(), "item", fold_biases))[0].rotations
