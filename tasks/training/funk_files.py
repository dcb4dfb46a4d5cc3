"""Features of Simon Funk's form on disk, each by itself, and a shard of the whole model put together from them.

Covers: writing and reading them. Does not cover: how they come about (funk.py), or when they are written (pipeline).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from funkflow.tasks.errors import DamagedFile, Diverged
from funkflow.tasks.grid.factor_shard import FactorShard, room_for, write_shard
from funkflow.tasks.grid.scaling import Scaling
from funkflow.tasks.kernels.vector import BIAS
from funkflow.tasks.storage import npy
from funkflow.tasks.training.funk import Vectors, scaled_biases


def write_vectors(url: str, vectors: Vectors) -> str:
    """Write one side of a finished feature, all its shards after one another; return the file's checksum.

    Raises
    ------
    Diverged
        Not all numbers are finite.
    """
    whole = np.concatenate(vectors)
    if not np.isfinite(whole).all():
        raise Diverged(f"{url}: holds numbers that are not finite")
    return npy.write_array(url, whole)


def read_vectors(url: str, expected_checksum: str, sizes: Sequence[int]) -> Vectors:
    """Read what `write_vectors` wrote, given the rows of all shards of the side.

    Raises
    ------
    DamagedFile
        Missing, not matching its checksum, or of another size.
    """
    whole = npy.read_array(url, expected_checksum)
    if whole.dtype != np.float32 or whole.shape != (sum(sizes),):
        raise DamagedFile(
            f"{url}: {whole.dtype} {whole.shape} is no feature of {sum(sizes)} rows; delete the run's folder"
        )
    return tuple(np.split(whole, np.cumsum(sizes)[:-1]))


def write_factors(
    url: str, biases: FactorShard, scaling: Scaling, rank: int, features: Sequence[tuple[str, str]],
    sizes: Sequence[int], number: int,
) -> str:  # fmt: skip
    """Put one shard of the model together from its biases and the files of all features; return its checksum.

    Features that were not needed for `rank` are zero. biases : in rating units; features : url and checksum of each;
    sizes : rows of all shards of the side; number : the shard's.
    """
    shard = room_for(sizes[number], rank)
    shard.factors[:], shard.states[:] = 0.0, 0.0
    shard.states[:, BIAS] = scaled_biases(biases, scaling)
    for column, where in enumerate(features):
        shard.factors[:, column] = read_vectors(*where, sizes)[number]
    return write_shard(url, shard)
