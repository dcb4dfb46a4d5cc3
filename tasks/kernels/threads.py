"""Threads that share work: one function for several arguments, or one loop in all threads.

Covers: a lasting pool of threads, and independent calls.
Does not cover: calls that wait for others (wavefront.py), or the number of threads (pipeline).

The pool lasts because a new thread often starts on its parent's core: two such calls of 4 ms took 8 ms until the system
moved one of them. A sleeping thread wakes up on its old core.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")

_MOST = 512
"""The most threads. If all are busy, a caller works alone."""


def _new_pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_MOST, thread_name_prefix="share")  # it starts a thread only where none is idle


_pool = _new_pool()


def _forget_pool() -> None:
    global _pool
    _pool = _new_pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)  # a child has none of its parent's threads


def run_together(loop: Callable[[], None], threads: int) -> None:
    """Run `loop` in this thread and in `threads` - 1 others in parallel; return once all have returned.

    The first loop that returns has finished the work: threads that have not started by then are cancelled.
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


def map_threads(function: Callable[..., T], *arguments: Iterable[Any], threads: int) -> list[T]:
    """Return the results of `map` in its order; raise the first failure once all calls are over."""
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

    run_together(loop, min(threads, max(1, len(calls))))
    if failures:
        raise failures[min(failures)]
    return [results[number] for number in range(len(calls))]
