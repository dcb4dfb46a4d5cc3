"""Random normal numbers that depend on where they are used, not on who draws them.

Covers: the generators of a sweep by name and place, and noise for the targets of ratings.
Does not cover: what the numbers are for (tasks/training/posterior/).
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Stream:
    """The random numbers of one sweep of one chain.

    The same seed, chain, sweep, name and place have the same numbers on every worker, at any time.
    """

    seed: int
    chain: int
    sweep: int

    def generator(self, name: str, *place: int) -> np.random.Generator:
        """Return a generator for a use, by name, at a place such as the numbers of a shard and a block."""
        words = (self.seed, self.chain, self.sweep, zlib.crc32(name.encode()), *(each + 1 for each in place))
        return np.random.Generator(np.random.SFC64(np.random.SeedSequence(words)))


@dataclass(frozen=True)
class Noise:
    """Normal numbers with a standard deviation, drawn one after another, on targets that have weights.

    roots : (users,), the square root of the weight of each user's ratings.
    """

    generator: np.random.Generator
    deviation: float
    roots: npt.NDArray[Any]

    def add_to(self, targets: npt.NDArray[Any], users: npt.NDArray[Any]) -> None:
        """Weigh targets, float32 or float64 (n,), and add a number to each, in place; users : int (n,), of each."""
        targets *= self.roots[users].astype(targets.dtype)
        drawn = self.generator.standard_normal(len(targets), dtype=targets.dtype.type)
        drawn *= targets.dtype.type(self.deviation)
        targets += drawn
