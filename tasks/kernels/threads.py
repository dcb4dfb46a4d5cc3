"""Work that several threads share: the same function for several arguments, or one loop that all of them run.

Covers: the threads, which stay for the next time, and calls that have nothing to do with each other.
Does not cover: calls of which some wait for others (wavefront.py), or how many threads there are (pipeline).

Threads are kept because a new one often begins on the core that its maker runs on, and two such visits of 4 ms took 8
until the system moved one of them; those that slept wake up where they were.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")

_MOST = 512
"""Threads kept. Where they are all busy, who asks for more goes on alone."""


def _new_pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_MOST, thread_name_prefix="share")  # it starts a thread only where none is idle


_pool = _new_pool()


def _forget_pool() -> None:
    global _pool
    _pool = _new_pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)  # a child has none of its parent's threads


def together(loop: Callable[[], None], threads: int) -> None:
    """Run `loop` in this thread and in `threads` - 1 others at once; return when all of them have returned.

    The work is over when one of them returns: a thread that has not begun by then is not waited for.
    """
    others = [_pool.submit(loop) for _ in range(threads - 1)]
    try:
        loop()
    finally:
        begun = [each for each in others if not each.cancel()]
        failures = [each.exception() for each in begun]
    for failure in failures:
        if failure is not None:
            raise failure


def all_of(function: Callable[..., T], *arguments: Iterable[Any], threads: int) -> list[T]:
    """Return what `map` does, in its order; the first failure is raised once all calls are over."""
    if threads == 1:
        return list(map(function, *arguments))
    calls = list(zip(*arguments, strict=False))
    results: dict[int, T] = {}
    failures: dict[int, Exception] = {}
    numbers = itertools.count()

    def loop() -> None:
        while (number := next(numbers)) < len(calls):
            try:
                results[number] = function(*calls[number])
            except Exception as failure:
                failures[number] = failure

    together(loop, min(threads, max(1, len(calls))))
    if failures:
        raise failures[min(failures)]
    return [results[number] for number in range(len(calls))]
