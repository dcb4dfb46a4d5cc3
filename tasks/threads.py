"""The same function for several arguments, in threads.

Covers: calls that have nothing to do with each other.
Does not cover: calls of which some wait for others (wavefront.py), or how many threads there are (pipeline).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def all_of(function: Callable[..., T], *arguments: Iterable[Any], threads: int) -> list[T]:
    """Return what `map` does, in its order; the first failure is raised once all calls are over."""
    if threads == 1:
        return list(map(function, *arguments))
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, *arguments))
