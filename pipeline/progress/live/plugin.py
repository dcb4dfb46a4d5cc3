"""What runs in Dask's scheduler: it hears the events of runs and the tasks of their epochs, and keeps what matters.

Covers: the plugin's life, and what it keeps.
Does not cover: what is known of a run (pipeline/progress/story.py, blocks.py), the page and its place in the dashboard
(page.py), the metrics (metrics.py).

Every change of every task's state on the cluster comes through here, so what is of no interest leaves at once. What is
kept changes under a lock, and who draws is given copies, whichever thread they draw in.
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
from funkflow.pipeline.progress.live.blocks import PREFIXES, Grid, visit_of
from funkflow.pipeline.progress.story import MOST_RUNS, Stories, Story

NAME = "funkflow-live"
PAGE = "/funkflow"
"""Where the page is, below the dashboard's address."""
TOPIC = "funkflow"
"""Of the events that a run sends: mappings as pipeline/progress/story.py describes them."""
_ADD_PAGE = "funkflow.pipeline.progress.live.page:add_page"
"""By name, as Dask's settings name routes and preloads: a client has the plugin, too, and should not load Bokeh."""
_OURS = re.compile(r"(?P<kind>[a-z][a-z-]*?)-(?P<attempt>[0-9a-f]{8})(?:-|$)")
Ran = tuple[str, str, float, float]
"""A task that ran: worker, kind, start and stop in seconds since 1970."""
_MOST_TASKS = 20_000
"""Of which an attempt's times are kept, the newest."""


class LivePlugin(SchedulerPlugin):
    """Keeps the stories of runs and the state of their grids. Registering it again changes nothing."""

    name = NAME
    idempotent = True

    def __init__(self) -> None:
        self.stories = Stories()
        self.has_page = False
        self._lock = threading.Lock()
        self._grids: OrderedDict[str, Grid] = OrderedDict()
        self._timelines: OrderedDict[str, deque[Ran]] = OrderedDict()

    def __reduce__(self) -> tuple[type[LivePlugin], tuple[()]]:
        """Travel to a scheduler as what it is at first: nothing is known yet, and locks do not travel."""
        return LivePlugin, ()

    async def start(self, scheduler: Any) -> None:
        """Go on with the scheduler, and put the page into its dashboard, if it has one."""
        self._scheduler = scheduler
        metrics.read_from(self)
        has_dashboard = "dashboard" in scheduler.services or getattr(scheduler, "http_server", None)
        with suppress(ImportError):  # a scheduler without Bokeh shows no page at all
            self.has_page = bool(has_dashboard) and pkgutil.resolve_name(_ADD_PAGE)(scheduler)

    async def close(self) -> None:
        metrics.forget(self)

    def log_event(self, topic: str, msg: Any) -> None:
        if topic == TOPIC and isinstance(msg, dict) and "run" in msg:
            self.stories.take(msg)

    def transition(self, key: Any, start: str, finish: str, *_args: Any, **kwargs: Any) -> None:
        if not isinstance(key, str) or "processing" not in (start, finish):
            return
        if finish == "memory":
            self._note(key, kwargs)
        visit = visit_of(key) if key.startswith(PREFIXES) else None
        if visit is None:
            return
        with self._lock:
            grid = self._grid(visit.attempt)
            if finish == "processing":
                grid.begun(visit, self._worker_of(key))
            elif finish == "memory":
                grid.ended(visit, str(kwargs.get("worker") or ""), _compute_seconds(kwargs.get("startstops") or ()))
            else:
                grid.given_back(visit)

    def grid_of(self, story: Story) -> Grid:
        """Return the grid of a run as it is now, as far as its tasks were seen."""
        with self._lock:
            return self._grids.get(str(story.facts.get("attempt")), Grid()).copy()

    def timeline_of(self, attempt: str) -> list[Ran]:
        """Return when and where the tasks of an attempt ran, as far as they are remembered."""
        with self._lock:
            return list(self._timelines.get(attempt, ()))

    def workers(self) -> dict[str, int]:
        """Return the addresses of the workers that are there now, with the bytes of memory that each uses."""
        return {address: int(state.metrics.get("memory", 0)) for address, state in self._scheduler.workers.items()}

    def _note(self, key: str, told: dict[str, Any]) -> None:
        """Note when and where a task of ours ran; its key has the attempt in its middle."""
        found = _OURS.match(key)
        if found is None:
            return
        kind, worker = found["kind"], str(told.get("worker") or "")
        ran = [
            (worker, kind, float(each["start"]), float(each["stop"]))
            for each in told.get("startstops") or ()
            if each.get("action") == "compute"
        ]
        with self._lock:
            self._timelines.setdefault(found["attempt"], deque(maxlen=_MOST_TASKS)).extend(ran)
            while len(self._timelines) > MOST_RUNS:
                self._timelines.popitem(last=False)

    def _grid(self, attempt: str) -> Grid:
        grid = self._grids.setdefault(attempt, Grid())
        while len(self._grids) > MOST_RUNS:
            self._grids.popitem(last=False)
        return grid

    def _worker_of(self, key: str) -> str:
        task = self._scheduler.tasks.get(key)
        worker = getattr(task, "processing_on", None)
        return str(getattr(worker, "address", ""))


def _compute_seconds(startstops: Any) -> float:
    """Return how long a task computed."""
    return float(sum(each["stop"] - each["start"] for each in startstops if each.get("action") == "compute"))
