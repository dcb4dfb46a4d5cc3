"""What Dask costs: seconds an epoch through Dask beside the same blocks in a plain loop on as many threads.

Covers: epochs without validation, on one worker with two threads. Does not cover: other numbers of workers (growth.py).
"""

from __future__ import annotations

import statistics
from functools import partial
from typing import Any

from bench import ours
from bench.context import Bench
from bench.measure import Measurement, Row

SECTION = "Dask: one epoch, blocks in memory, 2 threads"


def rows(bench: Bench) -> list[Row]:
    """Return a row for the plain loop and one for Dask."""
    words = ("--rank", bench.rank, "--threads", 2, "--iterations", bench.form.iterations)
    contestants = {
        "plain loop": partial(bench.ask, "bench.plain_loop", partial(_plain, ratings=bench.data.ratings), *words),
        "through Dask": partial(_dask, bench),
    }
    return bench.compare(SECTION, f"k = {bench.rank}", contestants)


def _plain(content: dict[str, Any], ratings: int) -> Measurement:
    passes = content["iteration_seconds"]
    return Measurement(statistics.fmean(passes[1:]), ratings, content["rmse"])


def _dask(bench: Bench) -> Measurement:
    training = ours.train_through_dask(
        bench.data.raw, bench.folder / "funkflow", bench.rank, bench.form.iterations, validate=False
    )
    return Measurement(training.epoch_seconds, bench.data.ratings, more={"epoch_ended_seconds": training.seconds})
