"""Losing a worker at a chosen moment, with the proof that it was lost.

Covers: plugins that do it. Does not cover: what has to hold then (test_train.py, test_train_batch.py).
"""

from __future__ import annotations

import os
import signal
from typing import Any

from distributed.diagnostics.plugin import SchedulerPlugin


class KillAfter(SchedulerPlugin):
    """Kill the worker that holds a task as soon as the task is done."""

    name = "kill-after"

    def __init__(self, key: str, process_ids: dict[str, int]) -> None:
        self.key, self.process_ids, self.lost = key, process_ids, 0

    def transition(self, key: Any, start: str, finish: str, *args: Any, worker: str = "", **rest: Any) -> None:
        if key == self.key and finish == "memory" and self.process_ids:
            os.kill(self.process_ids[worker], signal.SIGKILL)
            self.process_ids = {}

    def remove_worker(self, scheduler: Any, worker: str, **rest: Any) -> None:
        self.lost += 1


class KillAfterPrefix(KillAfter):
    """The same, for a task of which only beginning and end of the key are known."""

    def __init__(self, ends: list[str], process_ids: dict[str, int]) -> None:
        super().__init__("", process_ids)
        self.ends = ends

    def transition(self, key: Any, start: str, finish: str, *args: Any, worker: str = "", **rest: Any) -> None:
        first, last = self.ends
        if str(key).startswith(first) and str(key).endswith(last):
            self.key = key
        super().transition(key, start, finish, *args, worker=worker, **rest)


class KillBetween(SchedulerPlugin):
    """Kill the worker that holds a task when that task is done, before another one is; note what was seen, in order.

    `first`, `second` : how the keys of those tasks begin, and no others'; of `second` there may be several ways.
    `begun` lists the tasks that were started after the worker was lost.
    """

    name = "kill-between"

    def __init__(self, first: str, second: str | tuple[str, ...], process_ids: dict[str, int]) -> None:
        self.first, self.second, self.process_ids = first, second, process_ids
        self.seen: list[str] = []
        self.begun: list[str] = []

    def transition(self, key: Any, start: str, finish: str, *args: Any, worker: str = "", **rest: Any) -> None:
        if finish == "processing" and "lost" in self.seen:
            self.begun.append(str(key))
        if (start, finish) != ("processing", "memory"):
            return
        if str(key).startswith(self.first) and "killed" not in self.seen:
            self.seen += ["first", "killed"]
            os.kill(self.process_ids[worker], signal.SIGKILL)
        elif str(key).startswith(self.second):
            self.seen.append("second")

    def remove_worker(self, scheduler: Any, worker: str, **rest: Any) -> None:
        self.seen.append("lost")
