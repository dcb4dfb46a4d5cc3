"""Kernels of a run in one process, compiled or loaded in a thread of their own while the first stages read ratings.

Covers: the kernels of stochastic descent on ratings, its baseline, its score and its ranking, in the order of need.
Does not cover: other methods, and workers in other processes, whose tasks compile what they call; the cache
(tasks/kernels/cache.py).

The first run on a machine compiles for 3.5 s of a processor, and LLVM holds no lock of Python's. A task that needs a
kernel meanwhile waits for the compiler, and loads it from the cache.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from funkflow.pipeline.settings.train import TrainSettings
from funkflow.tasks.kernels import top_n
from funkflow.tasks.kernels.blocks.pair_sums import add_items, add_users
from funkflow.tasks.kernels.cache import why_uncached
from funkflow.tasks.kernels.row_sums import residual_sums
from funkflow.tasks.kernels.score import score_ratings
from funkflow.tasks.kernels.sgd import descend_tiles

_CODING = "u1"
"""Of ratings with up to 256 values; a grid with more of them compiles for its own."""
_PAUSE_SECONDS = 0.02
"""A task that waits for the compiler gets it in this time; a lock that is taken again at once passes it over."""


@contextmanager
def compile_ahead(train: TrainSettings, trains: bool, ranks: bool) -> Iterator[None]:
    """Compile what training needs, and ranking, while the body runs. Its end waits for the kernel in work alone."""
    stop = threading.Event()
    thread = threading.Thread(target=_compile, args=(_kernels(train, ranks), stop), name="kernels")
    if trains and train.method == "sgd" and not train.weighs_missing_cells and not why_uncached():
        thread.start()
    try:
        yield
    finally:
        stop.set()
        if thread.ident is not None:
            thread.join()


def _compile(kernels: list[Callable[[], object]], stop: threading.Event) -> None:
    for kernel in kernels:
        with suppress(Exception):  # the task that needs it raises it
            kernel()
        if stop.wait(_PAUSE_SECONDS):
            return


def _kernels(train: TrainSettings, ranks: bool) -> list[Callable[[], object]]:
    width = train.rank + 1
    training = [lambda: residual_sums(_CODING), score_ratings, lambda: descend_tiles(train.rank, _CODING)]
    second_factors = [
        lambda: add_items(width, "f4"),
        lambda: add_users(width, "f4"),
        lambda: descend_tiles(train.rank, _CODING, to_means=True),
    ]
    ranking = [top_n.place_seen, top_n.take_best]
    return [*training, *(second_factors if train.implicit != "none" else ()), *(ranking if ranks else ())]
