"""Lost workers, as lines that name the repeated work and its start.

Covers: messages of the scheduler, in the client's thread, and events between two events of the run.
Does not cover: repeating the work, which Dask does from stored results (pipeline/training/methods/sgd_graph.py,
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

_Message = dict[str, Any]
"""A message of Dask's scheduler."""
_TOPICS = ("all", "scheduler")
"""Topics of Dask's scheduler: changes of workers, and workers that do not answer."""


class LossListener:
    """A listener that passes on losses of workers before it passes on an event.

    Parameters
    ----------
    notify : the next listener; may call this one again.
    kept : describes the start of repeated work in the current stage, such as "the checkpoint of epoch 4".

    Attributes
    ----------
    lost : number of workers lost so far.
    """

    def __init__(self, notify: Listener, kept: Callable[[str], str]) -> None:
        self._tell, self._kept = notify, kept
        self._heard: deque[_Message] = deque()
        self._silent: set[str] = set()
        self._stage = ""
        self.lost = 0

    def __call__(self, event: Event) -> None:
        if isinstance(event, StageStarted):
            self._stage = event.stage
        while self._heard:
            message = self._heard.popleft()
            self._tell(WorkerLost(message["worker"], self._line(message)))

    @contextmanager
    def listening(self, client: Client) -> Iterator[None]:
        """Listen for losses while the body runs; closing the cluster later is no loss."""
        for topic in _TOPICS:
            client.subscribe_topic(topic, self._hear)
        try:
            yield
        finally:
            for topic in _TOPICS if client.status == "running" else ():
                client.unsubscribe_topic(topic)

    def _hear(self, event: tuple[float, Any]) -> None:
        message = event[1]
        action = message.get("action") if isinstance(message, dict) else None
        if action == "worker-ttl-timed-out":
            self._silent |= set(message["workers"])
        elif action == "remove-worker":
            work = message["processing-tasks"] or message["lost-computed-tasks"]
            if work or not message["expected"]:
                self.lost += 1
                self._heard.append(message)

    def _line(self, message: _Message) -> str:
        address, running = message["worker"], len(message["processing-tasks"])
        held = len(message["lost-computed-tasks"])
        how = "stopped answering and was given up" if address in self._silent else "was lost"
        work = f"{running} of its tasks and {held} results that only it held are computed again"
        return f"worker {address} on {get_address_host(address)} {how}: {work}, from {self._kept(self._stage)}"
