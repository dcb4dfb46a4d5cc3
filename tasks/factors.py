"""One shard of a factor matrix: factors, biases and step-size accumulators together.

Covers: the shard, where a dense id lives, initial values, and the shard's form on disk.
Does not cover: how a shard changes (descend.py), which worker holds it or when it is written (pipeline).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks import files
from tasks.errors import DamagedFile
from tasks.kernels_vector import BIAS, BIAS_SQUARES, FACTOR_SQUARES, STATE_WIDTH

INITIAL_FACTOR_LENGTH = 0.05
"""Expected length of an initial factor row, ratings scaled to unit deviation. Measured on MovieLens 1M and 100K: small
rows that grow into the signal end 0.002-0.006 RMSE better than rows of length 0.5, and can do with half the L2."""

SIDES = ("user", "item")

_LINE_FLOATS = 16
_KEPT_WIDTH = 3
"""Columns of the states that are written: bias and the two sums. The rest is derived."""


@dataclass(frozen=True)
class FactorShard:
    """Rows `shard`, `shard + P`, `shard + 2P`, … of U or V, and all that training keeps for them.

    Attributes
    ----------
    factors : float32 (rows, k)
    states : float32 (rows, 8), see kernels_descend.py: bias, accumulated squares for the steps of factors and of bias,
        and what is derived from these and made anew before it is used.

    Ratings are centred and scaled to unit deviation, so factors and biases are in those units.
    """

    factors: npt.NDArray[np.float32]
    states: npt.NDArray[np.float32]

    @property
    def biases(self) -> npt.NDArray[np.float32]:
        return self.states[:, BIAS]

    def copy(self) -> FactorShard:
        """Return a shard that may be changed: Dask may share the original or run its task twice."""
        factors, states = aligned(self.factors.shape), aligned(self.states.shape)
        np.copyto(factors, self.factors)
        np.copyto(states, self.states)
        return FactorShard(factors, states)


def aligned(shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Return an uninitialised float32 array that begins at a cache line, so that rows of 16 floats stay within lines.

    NumPy's own begins 16 bytes after one: every vector of 16 floats then lies across two lines.
    """
    size = math.prod(shape)
    room = np.empty(size + _LINE_FLOATS, dtype=np.float32)
    start = -(room.ctypes.data // room.itemsize) % _LINE_FLOATS
    return room[start : start + size].reshape(shape)


def shard_rows(ids: int, shards: int, shard: int) -> int:
    """Return how many of `ids` dense ids live in `shard`: id d is row d div P of shard d mod P."""
    return (ids - shard + shards - 1) // shards


def initial_shard(seen: npt.NDArray[np.bool_], rank: int, seed: int, side: str, shard: int, shards: int) -> FactorShard:
    """Return small random factors for the rows that have ratings, zeros for the rest.

    A row without training ratings is never touched again, so its prediction falls back to the other side's bias.

    Parameters
    ----------
    seen : bool (rows,), whether the row has any training rating.
    seed, side, shard : with the shard's number, the seed of its own random stream.
    shards : P. The random numbers of a row depend on (seed, side, shard, P), not on which worker draws them.
    """
    generator = np.random.default_rng(np.random.SeedSequence([seed, SIDES.index(side), shards, shard]))
    factors = generator.standard_normal((len(seen), rank), dtype=np.float32)
    factors *= np.float32(INITIAL_FACTOR_LENGTH / np.sqrt(rank))
    factors[~seen] = 0.0
    states = np.zeros((len(seen), STATE_WIDTH), dtype=np.float32)
    states[:, FACTOR_SQUARES] = 1.0
    states[:, BIAS_SQUARES] = 1.0
    return FactorShard(factors, states)


def write_shard(url: str, shard: FactorShard) -> str:
    """Write one shard as one npy array, factors and what is kept of the states side by side; return its checksum."""
    return files.write_array(url, np.concatenate([shard.factors, shard.states[:, :_KEPT_WIDTH]], axis=1))


def read_shard(url: str, expected_checksum: str, rank: int) -> FactorShard:
    """Read what `write_shard` wrote, bit for bit.

    Raises
    ------
    DamagedFile
        Missing, not matching its checksum, or of another rank.
    """
    array = files.read_array(url, expected_checksum)
    if array.ndim != 2 or array.shape[1] != rank + _KEPT_WIDTH or array.dtype != np.float32:
        raise DamagedFile(
            f"{url}: {array.dtype} {array.shape} is not a shard of rank {rank}; delete the run's folder and run again"
        )
    factors, states = aligned((len(array), rank)), aligned((len(array), STATE_WIDTH))
    factors[:] = array[:, :rank]
    states[:, :_KEPT_WIDTH] = array[:, rank:]
    states[:, _KEPT_WIDTH:] = 0.0
    return FactorShard(factors, states)
