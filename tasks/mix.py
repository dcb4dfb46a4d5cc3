"""Splitmix64, by which equal numbers have equal hashes on any machine (Steele, Lea and Flood 2014).

Covers: its two steps, for arrays, and for single numbers in compiled loops.
Does not cover: hashes of texts (tasks/parsing/text_hash.py), or what hashes are for (tasks/parsing/ids.py).
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

Words = TypeVar("Words", np.uint64, npt.NDArray[np.uint64])

ADDED = np.uint64(0x9E3779B97F4A7C15)


def mix(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return splitmix64 of each value, a bijection of uint64 that looks random."""
    return scrambled(values + ADDED)


def scrambled(values: Words) -> Words:
    """Return the second step of splitmix64; an array changes in place."""
    values ^= values >> np.uint64(30)
    values *= np.uint64(0xBF58476D1CE4E5B9)
    values ^= values >> np.uint64(27)
    values *= np.uint64(0x94D049BB133111EB)
    values ^= values >> np.uint64(31)
    return values
