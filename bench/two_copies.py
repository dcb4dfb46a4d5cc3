"""Two copies of the plain loop at once, on one thread each, as a process that answers like a peer.

Covers: the time of a pass where nothing is shared but the machine: half of what a pass of one copy takes.
Does not cover: the loop itself (ours.py).
"""

from __future__ import annotations

import itertools
import statistics
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bench.peers.contract import Task, answer
from bench.process import run_module

COPIES = 2


def train(task: Task) -> dict[str, Any]:
    """Train both; raise SystemExit with the reason if one fails."""
    words = (task.folder, "--rank", task.rank, "--threads", 1, "--iterations", task.iterations)
    with ThreadPoolExecutor(COPIES) as pool:
        answers = list(pool.map(lambda _: run_module("bench.plain_loop", *words), range(COPIES)))
    if failed := next((each.failed for each in answers if each.failed), ""):
        raise SystemExit(failed)
    passes = itertools.chain.from_iterable(each.content["iteration_seconds"][1:] for each in answers)
    return {"pass_seconds": statistics.median(passes) / COPIES, "rmse": answers[0].content["rmse"]}


if __name__ == "__main__":
    answer(train)
