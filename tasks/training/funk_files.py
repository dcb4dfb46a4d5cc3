"""Files of features of Simon Funk's form, and the shards of the model made of them.

Covers: writing and reading them.
Does not cover: finding features (funk.py), the loop that writes them (pipeline/training/methods/funk.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from funkflow.tasks.errors import DamagedFile, Diverged
from funkflow.tasks.grid.factor_shard import FactorShard, room_for, write_shard
from funkflow.tasks.grid.scaling import Scaling
from funkflow.tasks.kernels.vector import BIAS
from funkflow.tasks.model.about import Place
from funkflow.tasks.storage import npy
from funkflow.tasks.training.funk import Vectors, scaled_biases


def write_feature(url: str, vectors: Vectors) -> str:
    """Write one side of a finished feature, one shard after another; return the file's checksum.

    Raises
    ------
    Diverged
        Not all numbers are finite.
    """
    whole = np.concatenate(vectors)
    if not np.isfinite(whole).all():
        raise Diverged(f"{url}: holds numbers that are not finite")
    return npy.write_array(url, whole)


def read_feature(url: str, expected_checksum: str, sizes: Sequence[int]) -> Vectors:
    """Read a file of `write_feature`, given the rows of all shards of the side.

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


def write_features_as_shard(
    url: str, biases: FactorShard, scaling: Scaling, rank: int, features: Sequence[Place], sizes: Sequence[int],
    number: int,
) -> str:  # fmt: skip
    """Write one shard of the model, from its biases and the files of all features; return its checksum.

    Factors beyond the features found are zero. biases : in rating units; sizes : rows of all shards of the side;
    number : of the shard.
    """
    shard = room_for(sizes[number], rank)
    shard.factors[:], shard.states[:] = 0.0, 0.0
    shard.states[:, BIAS] = scaled_biases(biases, scaling)
    for column, feature in enumerate(features):
        shard.factors[:, column] = read_feature(*feature, sizes)[number]
    return write_shard(url, shard)
