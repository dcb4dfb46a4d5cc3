"""The page in a scheduler from its start, for users who start schedulers themselves; and its facts as JSON.

Covers: a module for `distributed.scheduler.http.routes`, and a preload: dask scheduler --preload
funkflow.pipeline.progress.live.routes.
Does not cover: runs, which register the plugin if it is missing (sending.py).

JupyterLab's extension lists only pages that are there when Dask builds its dashboard.
"""

from __future__ import annotations

from typing import Any

from distributed.dashboard.scheduler import applications
from distributed.http.utils import RequestHandler

from funkflow.pipeline.progress.live.page import PAGES
from funkflow.pipeline.progress.live.plugin import NAME, LivePlugin

applications.update(PAGES)


class RunsHandler(RequestHandler):
    """The states of the runs, newest first."""

    def get(self) -> None:
        plugin = self.server.plugins.get(NAME)
        stories = plugin.stories.newest_first() if isinstance(plugin, LivePlugin) else []
        self.write(
            {
                "runs": [
                    {
                        "run": story.run,
                        "state": story.state,
                        "facts": story.facts,
                        "baselines": story.baselines,
                        "epochs": [vars(each) for each in story.history],
                        "rmse": story.rmse,
                    }
                    for story in stories
                ]
            }
        )


routes: list[tuple[str, Any, dict[str, Any]]] = [(r"funkflow.json", RunsHandler, {})]


async def dask_setup(scheduler: Any) -> None:
    """Add the plugin as a preload, so that the page is in the navigation before the first run."""
    if NAME not in scheduler.plugins:
        plugin = LivePlugin()
        scheduler.add_plugin(plugin, name=NAME)
        await plugin.start(scheduler)
