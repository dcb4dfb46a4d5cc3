"""The kernel: seconds a pass over ratings that lie in memory, ours beside LIBMF, on one thread and on two.

Covers: passes alone, for each rank of the form. Does not cover: reading and set-up, which the rows' notes give apart.

The first pass is left out on both sides: LIBMF moves only the first eight factors in it.
"""

from __future__ import annotations

import statistics
from functools import partial
from typing import Any

from bench.context import Bench
from bench.measure import Measurement, Row

SECTION = "kernel: one pass over the ratings in memory"
_PLAIN_LOOP = "bench.plain_loop"


def rows(bench: Bench) -> list[Row]:
    """Return a row for each rank, number of threads and contestant."""
    found = []
    for rank in bench.form.ranks:
        for threads in (2, 1):
            words = ("--rank", rank, "--threads", threads, "--iterations", bench.form.kernel_iterations)
            read = partial(_pass, ratings=bench.data.ratings)
            contestants = {"ours": partial(bench.ask, _PLAIN_LOOP, read, *words)}
            if "libmf" in bench.peers:
                contestants["libmf"] = partial(bench.ask_peer, "libmf", read, *words)
            found += bench.compare(SECTION, f"k = {rank}, {threads} thread{'s' * (threads > 1)}", contestants)
    return found


def _pass(content: dict[str, Any], ratings: int) -> Measurement:
    passes = content["iteration_seconds"]
    return Measurement(
        seconds=statistics.median(passes[1:]),
        ratings=ratings,
        rmse=content["rmse"],
        note=f"set-up {content['setup_seconds']:.3g} s, first pass {passes[0]:.3g} s",
        more={"setup_seconds": content["setup_seconds"], "pass_seconds": passes},
    )
