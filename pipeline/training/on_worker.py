"""The shells of task functions that need their worker: its threads, or its metrics.

Covers: how many threads a task takes, and handing them to a function of tasks/.
Does not cover: what the functions do (tasks/training/).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from distributed import get_worker

from funkflow.pipeline.progress.live.metrics import BLOCK_SECONDS

Made = TypeVar("Made")


def threads_of_task(crowd: int) -> int:
    """Return how many threads a task on this worker takes, where `crowd` of its kind may run at once."""
    return max(1, int(get_worker().state.nthreads) // crowd)


def on_threads(function: Callable[..., Made], crowd: int, *arguments: Any) -> Made:
    """Call a function with the threads that its task may take."""
    return function(*arguments, threads=threads_of_task(crowd))


def on_timed_threads(function: Callable[..., Made], crowd: int, *arguments: Any) -> Made:
    """Call it so, and measure the seconds of each block."""
    return function(*arguments, threads=threads_of_task(crowd), took=BLOCK_SECONDS.observe)
