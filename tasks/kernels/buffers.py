"""Memory for long arrays that is handed on from one to the next instead of to the system and back.

Covers: taking memory for an array of float32, and having it back when the array and all views of it are gone; telling
how many bytes an object holds.
Does not cover: what lies in it (tasks/grid/factor_shard.py), or short arrays, which NumPy serves as well.

Each step of training copies a shard and lets go of an older one of its size. Handed back, its pages are cleared by the
system before they can be written again, which costs as much as the copy itself: at the Netflix shape, rank 64, pure
steps in a bare loop took 1.12 times as long as the same steps in place, and take 1.06 times as long this way.
"""

from __future__ import annotations

import dataclasses
import weakref
from collections import defaultdict, deque
from typing import Any

import numpy as np
import numpy.typing as npt

LEAST_FLOATS = 1 << 18
_ROUND_FLOATS = 1 << 20
"""Sizes are rounded up to 4 MiB, so that shards that differ by a row pass memory on to each other."""

_spare: defaultdict[int, deque[memoryview]] = defaultdict(deque)
"""By size. What is in use and what is spare together are never more than what was in use at one time."""


def uninitialised(floats: int) -> npt.NDArray[np.float32]:
    """Return float32 (floats,) with anything in it. Its memory is taken again only when no view of it is left."""
    if floats < LEAST_FLOATS:
        return np.empty(floats, np.float32)
    size = -(-floats // _ROUND_FLOATS) * _ROUND_FLOATS
    spare = _spare[size]
    try:
        memory = spare.pop()
    except IndexError:
        memory = np.empty(size, np.float32).data
    # NumPy's views refer to the first array that does not rest on another one: this one, which rests on a buffer.
    array = np.frombuffer(memory, np.float32)[:floats]
    weakref.finalize(array.base, spare.append, memory).atexit = False
    return array


def forget_spare() -> None:
    """Hand all memory that is not in use back to the system, and what is in use once none of its size is any more.

    So it does not matter when results are let go of: the error of a failed stage may hold some for long.
    """
    _spare.clear()


class Weighed:
    """A dataclass that tells how large it is, arrays included: Dask places tasks where most bytes of their inputs lie.

    Without it `sys.getsizeof` sees some dozens of bytes, and user shards would travel as readily as numbers.
    """

    def __sizeof__(self) -> int:
        fields: list[Any] = [getattr(self, field.name) for field in dataclasses.fields(self)]  # type: ignore[arg-type]
        return object.__sizeof__(self) + sum(_size(each) for each in fields)


def _size(part: Any) -> int:
    if isinstance(part, tuple):
        return part.__sizeof__() + sum(_size(each) for each in part)
    return part.nbytes if isinstance(part, np.ndarray) else int(part.__sizeof__())
