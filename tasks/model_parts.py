"""The parts of a saved model, one by one: for tasks that need not read all of it.

Covers: where the parts of a side lie, and reading one.
Does not cover: writing them, `model.json`, or predictions (model.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tasks import files


def part_files(folder: str, side: str, about: dict[str, Any]) -> list[tuple[str, str]]:
    """Return where the parts of one side ("user", "item") lie, and their checksums."""
    place = files.join(folder, f"{side}_factors.parquet")
    return [(files.join(place, part["path"]), part["checksum"]) for part in about["parts"][side]]


def read_part(
    url: str, expected_checksum: str, rank: int
) -> tuple[npt.NDArray[Any], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Read what `write_factors` wrote: raw ids, biases (n,), factors (n, rank)."""
    return columns_of(files.read_table(url, expected_checksum=expected_checksum), rank)


def columns_of(table: pa.Table, rank: int) -> tuple[npt.NDArray[Any], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return raw ids, biases and factors of a factor table, or of several put together."""
    table = table.combine_chunks()
    factors = pc.list_flatten(table["factors"]).to_numpy().reshape(table.num_rows, rank)
    return table["raw_id"].to_numpy(), table["bias"].to_numpy(), np.ascontiguousarray(factors)
