"""The plugin in Dask's scheduler: it collects the events of runs and the tasks of their epochs.

Covers: the plugin's life, and its data.
Does not cover: the state of a run (pipeline/progress/story.py, blocks.py), the page and its place in the dashboard
(page.py), the metrics (metrics.py).

Every change of every task's state on the cluster comes through here, so irrelevant ones leave at once. The data change
under a lock, and drawing threads get copies.
"""

from __future__ import annotations

import pkgutil
import re
import threading
from collections import OrderedDict, deque
from contextlib import suppress
from typing import Any

from distributed import SchedulerPlugin

from funkflow.pipeline.progress.live import metrics
from funkflow.pipeline.progress.live.blocks import PREFIXES, BlockGrid, visit_of
from funkflow.pipeline.progress.live.first_request import is_late
from funkflow.pipeline.progress.story import MOST_RUNS, Stories, Story

NAME = "funkflow-live"
PAGE = "/funkflow"
"""Path of the page below the dashboard's address."""
TOPIC = "funkflow"
"""Topic of the events that a run sends (sending.py)."""
_ADD_PAGE = "funkflow.pipeline.progress.live.page:add_page"
"""Function by name, as a client imports the plugin too, and should not load Bokeh."""
_OURS = re.compile(r"(?P<kind>[a-z][a-z-]*?)-(?P<attempt>[0-9a-f]{8})(?:-|$)")
TaskTime = tuple[str, str, float, float]
"""Worker, kind, start and stop of a task, in seconds since 1970."""
_MOST_TASKS = 20_000
"""Most tasks of an attempt whose times are kept, the newest."""


class LivePlugin(SchedulerPlugin):
    """Keeps the stories of runs and the states of their grids. A second registration has no effect."""

    name = NAME
    idempotent = True

    def __init__(self) -> None:
        self.stories = Stories()
        self.has_page = False
        self._lock = threading.Lock()
        self._grids: OrderedDict[str, BlockGrid] = OrderedDict()
        self._timelines: OrderedDict[str, deque[TaskTime]] = OrderedDict()

    def __reduce__(self) -> tuple[type[LivePlugin], tuple[()]]:
        """Travel to a scheduler as a new plugin, as locks do not travel."""
        return LivePlugin, ()

    async def start(self, scheduler: Any) -> None:
        """Start in the scheduler, and add the page to its dashboard, if it has one."""
        self._scheduler = scheduler
        metrics.add_source(self)
        if is_late(scheduler):
            self.has_page = True
            return
        has_dashboard = "dashboard" in scheduler.services or getattr(scheduler, "http_server", None)
        with suppress(ImportError):  # a scheduler without Bokeh shows no page at all
            self.has_page = bool(has_dashboard) and pkgutil.resolve_name(_ADD_PAGE)(scheduler)

    async def close(self) -> None:
        metrics.remove_source(self)

    def log_event(self, topic: str, msg: Any) -> None:
        if topic == TOPIC and isinstance(msg, dict) and "run" in msg:
            self.stories.take(msg)

    def transition(self, key: Any, start: str, finish: str, *_args: Any, **kwargs: Any) -> None:
        if not isinstance(key, str) or "processing" not in (start, finish):
            return
        worker, startstops = str(kwargs.get("worker") or ""), kwargs.get("startstops") or ()
        if finish == "memory":
            self._note(key, worker, startstops)
        visit = visit_of(key) if key.startswith(PREFIXES) else None
        if visit is None:
            return
        with self._lock:
            grid = self._grid(visit.attempt)
            if finish == "processing":
                grid.begun(visit, self._worker_of(key))
            elif finish == "memory":
                grid.ended(visit, worker, _compute_seconds(startstops))
            else:
                grid.given_back(visit)

    def grid_of(self, story: Story) -> BlockGrid:
        """Return a copy of a run's grid, as far as the plugin has seen its tasks."""
        with self._lock:
            return self._grids.get(str(story.facts.get("attempt")), BlockGrid()).copy()

    def timeline_of(self, attempt: str) -> list[TaskTime]:
        """Return the times of the newest tasks of an attempt."""
        with self._lock:
            return list(self._timelines.get(attempt, ()))

    def workers(self) -> dict[str, int]:
        """Return the addresses of the current workers, with the bytes of memory that each uses."""
        return {address: int(state.metrics.get("memory", 0)) for address, state in self._scheduler.workers.items()}

    def _note(self, key: str, worker: str, startstops: Any) -> None:
        """Note the times of a task of ours; its key has the attempt in its middle."""
        found = _OURS.match(key)
        if found is None:
            return
        times = [
            (worker, found["kind"], float(each["start"]), float(each["stop"]))
            for each in startstops
            if each.get("action") == "compute"
        ]
        with self._lock:
            self._timelines.setdefault(found["attempt"], deque(maxlen=_MOST_TASKS)).extend(times)
            while len(self._timelines) > MOST_RUNS:
                self._timelines.popitem(last=False)

    def _grid(self, attempt: str) -> BlockGrid:
        grid = self._grids.setdefault(attempt, BlockGrid())
        while len(self._grids) > MOST_RUNS:
            self._grids.popitem(last=False)
        return grid

    def _worker_of(self, key: str) -> str:
        task = self._scheduler.tasks.get(key)
        worker = getattr(task, "processing_on", None)
        return str(getattr(worker, "address", ""))


def _compute_seconds(startstops: Any) -> float:
    """Return the seconds that a task computed."""
    return float(sum(each["stop"] - each["start"] for each in startstops if each.get("action") == "compute"))
