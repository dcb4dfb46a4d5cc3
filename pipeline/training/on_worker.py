"""Wrappers of task functions that need the threads or the metrics of their worker.

Covers: the number of threads of a task, and passing it to a function of tasks/.
Does not cover: the functions (tasks/training/).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from distributed import get_worker

from funkflow.pipeline.progress.live.metrics import BLOCK_SECONDS

Made = TypeVar("Made")


def threads_of_task(crowd: int) -> int:
    """Return the number of threads of a task on this worker, if `crowd` of its kind may run at once."""
    return max(1, int(get_worker().state.nthreads) // crowd)


def on_threads(function: Callable[..., Made], crowd: int, *arguments: Any, **named: Any) -> Made:
    """Call a function with the threads of its task."""
    return function(*arguments, **named, threads=threads_of_task(crowd))


def on_timed_threads(function: Callable[..., Made], crowd: int, *arguments: Any, **named: Any) -> Made:
    """Call a function as `on_threads` does, and measure the seconds of each block."""
    return function(*arguments, **named, threads=threads_of_task(crowd), took=BLOCK_SECONDS.observe)
