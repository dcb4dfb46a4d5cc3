"""Which workers were lost on the way, as lines that say what was redone and from where.

Covers: hearing of it from the scheduler, in the client's own thread, and telling it between two events of the run.
Does not cover: redoing the work, which Dask does by itself from what is stored (pipeline/training/sgd_graph.py,
pipeline/training/checkpoint.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from distributed import Client
from distributed.comm.addressing import get_address_host

from funkflow.pipeline.progress.events import Event, Listener, StageStarted, WorkerLost

_TOPICS = ("all", "scheduler")
"""Where Dask's scheduler tells what becomes of its workers, and of which it has heard nothing for too long."""


class Losses:
    """A listener that hands on what the scheduler told of lost workers before it lets an event pass.

    Parameters
    ----------
    tell : who is to know; may call this very listener again.
    kept : says from where work is redone in the stage that is under way, such as "the checkpoint of epoch 4".

    Attributes
    ----------
    lost : how many workers were lost so far.
    """

    def __init__(self, tell: Listener, kept: Callable[[str], str]) -> None:
        self._tell, self._kept = tell, kept
        self._heard: deque[dict[str, Any]] = deque()
        self._silent: set[str] = set()
        self._stage = ""
        self.lost = 0

    def __call__(self, event: Event) -> None:
        if isinstance(event, StageStarted):
            self._stage = event.stage
        while self._heard:
            told = self._heard.popleft()
            self._tell(WorkerLost(told["worker"], self._line(told)))

    @contextmanager
    def listening(self, client: Client) -> Iterator[None]:
        """Hear of losses while the body runs; a cluster that is closed afterwards loses nothing."""
        for topic in _TOPICS:
            client.subscribe_topic(topic, self._hear)
        try:
            yield
        finally:
            for topic in _TOPICS if client.status == "running" else ():
                client.unsubscribe_topic(topic)

    def _hear(self, event: tuple[float, Any]) -> None:
        told = event[1]
        action = told.get("action") if isinstance(told, dict) else None
        if action == "worker-ttl-timed-out":
            self._silent |= set(told["workers"])
        elif action == "remove-worker":
            redone = told["processing-tasks"] or told["lost-computed-tasks"]
            if redone or not told["expected"]:
                self.lost += 1
                self._heard.append(told)

    def _line(self, told: dict[str, Any]) -> str:
        address, running, held = told["worker"], len(told["processing-tasks"]), len(told["lost-computed-tasks"])
        how = "did not answer any more and was given up" if address in self._silent else "was lost"
        work = f"{running} of its tasks and {held} results that only it held are made again"
        return f"worker {address} on {get_address_host(address)} {how}: {work}, from {self._kept(self._stage)}"
