"""Dask's dashboard on a scheduler of this process, loaded at the first request for one of its pages.

Covers: `LATE`, the options for a cluster that brings no dashboard, and `load_when_asked`, which adds it.
Does not cover: schedulers of other processes, which load theirs at once; the live page (page.py); routes that need no
Bokeh, such as the metrics.

Bokeh takes 0.55 s of a processor and 17 MiB, which a run that nobody watches saves.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import pkgutil
from typing import Any

from tornado.web import Application, RequestHandler

LATE: dict[str, Any] = {"dashboard": False}
"""Options of a scheduler whose web server starts without Dask's dashboard."""
_DASHBOARD = "distributed.dashboard.scheduler"
_ADD_PAGE = "funkflow.pipeline.progress.live.page:add_page"


class LateDashboard(Application):
    """The last of a scheduler's web applications, which answers what no other does, until the dashboard is there."""

    def __init__(self, scheduler: Any) -> None:
        super().__init__([(r".*", _FirstRequest)])
        self._scheduler, self._lock = scheduler, asyncio.Lock()

    async def load(self) -> None:
        """Put the dashboard with the live page in the place of this application. Imports happen in another thread."""
        known = self._scheduler.http_application
        async with self._lock:
            if self in known.applications:
                dashboard = await asyncio.to_thread(importlib.import_module, _DASHBOARD)
                add_page = await asyncio.to_thread(pkgutil.resolve_name, _ADD_PAGE)
                known.applications.remove(self)
                dashboard.connect(known, self._scheduler.http_server, self._scheduler, prefix="/")
                add_page(self._scheduler)


class _FirstRequest(RequestHandler):
    async def get(self) -> None:
        application = self.application
        assert isinstance(application, LateDashboard)
        await application.load()
        self.redirect("/" + (self.request.uri or "").lstrip("/"))  # the same page again; //host would lead elsewhere


def load_when_asked(scheduler: Any) -> None:
    """Add the dashboard to a scheduler of this process that was made with the options `LATE`."""
    if importlib.util.find_spec("bokeh") is not None:
        scheduler.http_application.add_application(LateDashboard(scheduler))


def is_late(scheduler: Any) -> bool:
    """Return whether the dashboard and the live page load at the first request for them."""
    known = getattr(scheduler, "http_application", None)
    return known is not None and any(isinstance(each, LateDashboard) for each in known.applications)
