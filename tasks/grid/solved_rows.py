"""Rows of alternating solves: a shard of factors, with biases as two columns more.

Covers: their form, initial values, files, and the factor shards that they become.
Does not cover: solving them (tasks/training/als.py), factor shards (factor_shard.py).

With biases a row has two columns more: (u, b_u, 1) for a user and (v, 1, b_i) for an item, so that the product of two
rows is u·v + b_u + b_i. The columns of ones are not solved for.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from funkflow.tasks.errors import DamagedFile
from funkflow.tasks.grid.factor_shard import FactorShard, ShardStart, initial_shard, shard_of, write_shard
from funkflow.tasks.storage import npy

Rows = npt.NDArray[Any]
"""A shard, float32 or float64 (rows, k), or (rows, k + 2) with biases."""
Matrix = npt.NDArray[np.float64]


def rows_of(factors: Rows, biases: Rows, side: str, with_biases: bool) -> Rows:
    """Return factors (rows, k) and biases (rows,) as rows."""
    if not with_biases:
        return np.ascontiguousarray(factors)
    ones = np.ones_like(biases)
    return np.column_stack([factors, *((biases, ones) if side == "user" else (ones, biases))])


def as_shard(rows: Rows, side: str, biases: bool) -> FactorShard:
    """Return the rows as a factor shard in float32, for scoring and export."""
    if not biases:
        return shard_of(rows, np.zeros(len(rows)))
    return shard_of(rows[:, :-2], rows[:, -2 if side == "user" else -1])


def start_rows(counts: Matrix, start: ShardStart, side: str, shard: int, number: str, biases: bool) -> Rows:
    """Return the initial factors of stochastic descent; with biases, which are 0, beside the column of ones."""
    factors = initial_shard(counts > 0, start, side, shard).factors
    return rows_of(factors.astype(number), np.zeros(len(factors), number), side, biases)


def write_rows(url: str, rows: Rows) -> str:
    """Write a shard of rows, bit for bit; return the file's checksum."""
    return npy.write_array(url, rows)


def write_as_shard(url: str, rows: Rows, side: str, biases: bool) -> str:
    """Write rows as a factor shard; return its checksum."""
    return write_shard(url, as_shard(rows, side, biases))


def load_rows(counts: Matrix, url: str, checksum: str, width: int) -> Rows:
    """Read a shard of rows, on the worker that holds their counts.

    Raises
    ------
    DamagedFile
        Missing, not matching its checksum, or of another form.
    """
    rows: Rows = npy.read_array(url, checksum)
    if rows.shape != (len(counts), width) or rows.dtype.kind != "f":
        raise DamagedFile(
            f"{url}: {rows.dtype} {rows.shape} are no rows of {width} numbers; delete the run's folder and run again"
        )
    return rows
