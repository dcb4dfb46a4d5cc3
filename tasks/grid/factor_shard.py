"""One shard of a factor matrix: factors, biases and step-size accumulators together.

Covers: the shard and the means of its rows, where a dense id lives, initial values, and the shard's form on disk.
Does not cover: how a shard changes (tasks/training/sgd.py), which worker holds it or when it is written (pipeline).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from funkflow.tasks.errors import DamagedFile, ShardMismatch
from funkflow.tasks.grid.default_rule import INITIAL_LENGTH
from funkflow.tasks.kernels.buffers import Weighed, aligned_copy, uninitialised
from funkflow.tasks.kernels.vector import BIAS, BIAS_SQUARES, FACTOR_SQUARES, STATE_WIDTH
from funkflow.tasks.storage import files, npy

SIDES = ("user", "item")

_LINE_FLOATS = 16
_WRITTEN_ROWS = 8_192
_KEPT_WIDTH = 3
"""Columns of the states that are written: bias and the two sums. The rest is derived."""


@dataclass(frozen=True)
class RowMeans(Weighed):
    """The rows to which the L2 term pulls a shard's rows, by who rated what, and the shard's second factors.

    A user's mean row is m + n^(-1/2) times the sum of y_b over the n items that the user rated: y is a second factor an
    item, and m the same for all users. The mean row of an item has a second factor a user, likewise (Koren 2008, there
    as a part of the prediction).

    Nothing is changed in place.

    Attributes
    ----------
    factors, biases : float32 (rows, k) and (rows,), the mean rows.
    second : float32 (rows, k + 1), the second factors, with one for the other side's biases at the end.
    counts : float32 (rows,), the number n of pairs, those of training ratings and further ones; 0 without ratings.
    """

    factors: npt.NDArray[np.float32]
    biases: npt.NDArray[np.float32]
    second: npt.NDArray[np.float32]
    counts: npt.NDArray[np.float32]

    @classmethod
    def zeros(cls, counts: npt.NDArray[np.int64], rank: int) -> RowMeans:
        """Return means and second factors of zeros."""
        rows = len(counts)
        return cls(
            np.zeros((rows, rank), np.float32), np.zeros(rows, np.float32), np.zeros((rows, rank + 1), np.float32),
            counts.astype(np.float32),
        )  # fmt: skip

    @staticmethod
    def width(rank: int) -> int:
        """Return the number of columns in a shard's file."""
        return 2 * (rank + 1) + 1

    @classmethod
    def of(cls, columns: npt.NDArray[np.float32]) -> RowMeans:
        """Return the means from the columns of a file."""
        rank = (columns.shape[1] - 3) // 2
        return cls(
            aligned_copy(columns[:, :rank]), columns[:, rank].copy(), columns[:, rank + 1 : -1].copy(),
            columns[:, -1].copy(),
        )  # fmt: skip

    @property
    def columns(self) -> tuple[npt.NDArray[np.float32], ...]:
        """The columns of a file."""
        return self.factors, self.biases[:, None], self.second, self.counts[:, None]

    @property
    def arrays(self) -> tuple[npt.NDArray[np.float32], ...]:
        """All arrays."""
        return self.factors, self.biases, self.second, self.counts


@dataclass(frozen=True)
class FactorShard(Weighed):
    """Rows `shard`, `shard + P`, `shard + 2P`, … of U or V, with their states in training.

    Attributes
    ----------
    factors : float32 (rows, k)
    states : float32 (rows, 8), see tasks/kernels/sgd.py: bias, accumulated squares for the steps of factors and of
        bias, and numbers that training derives from these before it uses them.
    means : the rows to which the L2 term pulls, where who rated what is part of the model; None: zeros.

    Ratings are centred and scaled to unit deviation, so factors and biases are in those units.
    """

    factors: npt.NDArray[np.float32]
    states: npt.NDArray[np.float32]
    means: RowMeans | None = None

    @property
    def biases(self) -> npt.NDArray[np.float32]:
        return self.states[:, BIAS]

    @property
    def arrays(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Factors and states, as kernels take them."""
        return self.factors, self.states

    def is_finite(self) -> bool:
        """Return whether all numbers are finite, by their sum, which needs no memory."""
        means = self.means.arrays if self.means else ()
        return all(bool(np.isfinite(np.sum(array))) for array in (self.factors, self.states, *means))

    def copy(self) -> FactorShard:
        """Return a copy to change, with the same means; Dask may share the original, or run its task twice."""
        room = room_for(*self.factors.shape)
        np.copyto(room.factors, self.factors)
        np.copyto(room.states, self.states)
        return replace(room, means=self.means)


def refuse_other_shards(cut_for: tuple[int, int], users: int, items: int) -> None:
    """Raise ShardMismatch unless a block was cut for shards of so many rows."""
    if cut_for != (users, items):
        raise ShardMismatch(f"a block of {cut_for} rows met shards of {users} and {items} rows")


def shard_of(factors: npt.NDArray[np.floating[Any]], biases: npt.NDArray[np.floating[Any]]) -> FactorShard:
    """Return factors (rows, k) and biases (rows,) as a shard in float32, without step sizes."""
    states = np.zeros((len(factors), STATE_WIDTH), dtype=np.float32)
    states[:, BIAS] = biases
    return FactorShard(np.ascontiguousarray(factors, dtype=np.float32), states)


def room_for(rows: int, rank: int) -> FactorShard:
    """Return a shard of uninitialised numbers in one piece of memory; rows of 16 floats stay within cache lines.

    NumPy's arrays begin 16 bytes after a line, so every vector of 16 floats lies across two. One long piece comes in
    pages of 2 MiB, and later shards reuse it (tasks/kernels/buffers.py).
    """
    sizes = [rows * width for width in (rank, STATE_WIDTH)]
    places = [-(-size // _LINE_FLOATS) * _LINE_FLOATS for size in sizes]
    room = uninitialised(sum(places) + _LINE_FLOATS)
    start = -(room.ctypes.data // room.itemsize) % _LINE_FLOATS
    factors, states = (room[start + before :][:size] for before, size in zip((0, places[0]), sizes, strict=True))
    return FactorShard(factors.reshape(rows, rank), states.reshape(rows, STATE_WIDTH))


def written_room(rows: int, rank: int) -> FactorShard:
    """Return a shard of zeros whose memory has been written to.

    Once it is released, the next shard of its size need not wait for the system, which finds and clears each page at
    its first write: at the Netflix shape that doubled the time of the first epochs.
    """
    room = room_for(rows, rank)
    room.factors[:], room.states[:] = 0.0, 0.0
    return room


def shard_rows(ids: int, shards: int, shard: int) -> int:
    """Return how many of `ids` dense ids live in `shard`: id d is row d div P of shard d mod P."""
    return (ids - shard + shards - 1) // shards


@dataclass(frozen=True)
class ShardStart:
    """The rank, seed and number P of the first shards, and the expected length of a row."""

    rank: int
    seed: int
    shards: int
    length: float = INITIAL_LENGTH


def initial_shard(rated: npt.NDArray[np.bool_], start: ShardStart, side: str, shard: int) -> FactorShard:
    """Return small random factors for the rows that have ratings, zeros for the rest.

    Training does not change a row without ratings, so its prediction has the other side's bias alone.

    Parameters
    ----------
    rated : bool (rows,), whether the row has training ratings.
    side, shard : "user" or "item", and the shard's number. With seed and P they decide the random numbers of a row; the
        worker that draws them does not matter.
    """
    generator = np.random.default_rng(np.random.SeedSequence([start.seed, SIDES.index(side), start.shards, shard]))
    first = room_for(len(rated), start.rank)
    generator.standard_normal(dtype=np.float32, out=first.factors)
    first.factors[:] *= np.float32(start.length / np.sqrt(start.rank))
    first.factors[~rated] = 0.0
    first.states[:] = 0.0
    first.states[:, [FACTOR_SQUARES, BIAS_SQUARES]] = 1.0
    return first


def write_shard(url: str, shard: FactorShard) -> str:
    """Write one shard as one npy array, factors beside the first columns of the states; return its checksum.

    Means come behind, where there are some.
    """
    rows = len(shard.factors)
    columns = [shard.factors, shard.states[:, :_KEPT_WIDTH], *(shard.means.columns if shard.means else ())]
    slices = (
        np.concatenate([column[part] for column in columns], axis=1)
        for part in (slice(start, start + _WRITTEN_ROWS) for start in range(0, max(rows, 1), _WRITTEN_ROWS))
    )
    return npy.write_slices(url, slices, (rows, sum(column.shape[1] for column in columns)))


def read_shard(url: str, expected_checksum: str, rank: int) -> FactorShard:
    """Read a shard that `write_shard` wrote, bit for bit.

    Raises
    ------
    DamagedFile
        Missing, not matching its checksum, or of another rank.
    """
    array = npy.read_array(url, expected_checksum)
    own = rank + _KEPT_WIDTH
    if array.ndim != 2 or array.shape[1] not in (own, own + RowMeans.width(rank)) or array.dtype != np.float32:
        raise DamagedFile(
            f"{url}: {array.dtype} {array.shape} is not a shard of rank {rank}; delete the run's folder and run again"
        )
    shard = room_for(len(array), rank)
    shard.factors[:] = array[:, :rank]
    shard.states[:, :_KEPT_WIDTH] = array[:, rank:own]
    shard.states[:, _KEPT_WIDTH:] = 0.0
    return replace(shard, means=RowMeans.of(array[:, own:]) if array.shape[1] > own else None)


def verify_shard(url: str, expected_checksum: str) -> None:
    """Raise DamagedFile unless a shard's file matches its checksum."""
    files.read_bytes(url, expected_checksum)
