"""What Dask costs: seconds an epoch through Dask beside the same blocks in a plain loop on as many threads.

Covers: epochs alone, and with validation and checkpoints as by default, on one worker with two threads.
Does not cover: other numbers of workers (growth.py).
"""

from __future__ import annotations

import statistics
from functools import partial
from typing import Any

from bench import training
from bench.context import Bench
from bench.measure import Measurement, Row

_EPOCHS = 20
"""At least: a checkpoint is written after ten."""
SECTION = "Dask: one epoch, blocks in memory, 2 threads"


def rows(bench: Bench) -> list[Row]:
    """Return a row for the plain loop, one for Dask, and one for Dask with all that training does besides."""
    words = ("--rank", bench.rank, "--threads", 2, "--iterations", bench.form.iterations)
    contestants = {
        "plain loop": partial(bench.ask, "bench.plain_loop", partial(_plain, ratings=bench.data.ratings), *words),
        "through Dask": partial(_dask, bench, whole=False),
        "validated, checkpointed": partial(_dask, bench, whole=True),
    }
    return bench.compare(SECTION, f"k = {bench.rank}", contestants)


def _plain(content: dict[str, Any], ratings: int) -> Measurement:
    passes = content["iteration_seconds"]
    return Measurement(statistics.fmean(passes[1:]), ratings, content["rmse"])


def _dask(bench: Bench, whole: bool) -> Measurement:
    epochs = training.enough_epochs(bench.data.ratings, _EPOCHS)
    trained = training.train_through_dask(bench.data.raw, bench.folder / "funkflow", bench.rank, epochs, whole=whole)
    return Measurement(trained.epoch_seconds, bench.data.ratings, more={"epoch_ended_seconds": trained.seconds})
