"""The live page: the state of a run, drawn on the dashboard of Dask's scheduler twice a second.

Covers: the document, the choice among runs, the times of updates, and its place in a dashboard.
Does not cover: the figures (curves.py, block_figure.py), the text (panels.py), the style (frame.py), the state of a run
(pipeline/progress/story.py, blocks.py), a dashboard that has the page from the start (routes.py).

Tests and programs find its parts by name: `funkflow-run` (the choice), `funkflow-summary`, `funkflow-epochs` (the data
of the curves), `funkflow-learning`, `funkflow-rate`, `funkflow-grid`, `funkflow-memory`, `funkflow-lines`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from bokeh.document import Document
from bokeh.models.widgets import Div, Select
from distributed.dashboard.core import BokehApplication
from distributed.dashboard.scheduler import applications, template_variables
from tornado.ioloop import IOLoop

from funkflow.pipeline.progress.drawing import Drawing
from funkflow.pipeline.progress.live import panels
from funkflow.pipeline.progress.live.block_figure import BlockFigure
from funkflow.pipeline.progress.live.curves import Curves
from funkflow.pipeline.progress.live.frame import CHOICE, TEMPLATE, THEME, WAITING, WORDS
from funkflow.pipeline.progress.live.plugin import NAME, PAGE, LivePlugin
from funkflow.pipeline.progress.story import Story

_NEWEST = "newest"
_MILLISECONDS = 500
_EMPTY = "<p>No runs on this cluster yet. Start one: <code>funkflow run CONF</code></p>"


class LivePage:
    """The parts of one open page. `clock` : seconds since 1970."""

    def __init__(self, scheduler: Any, clock: Callable[[], float] = time.time) -> None:
        self._scheduler, self._clock = scheduler, clock
        self._drawing = Drawing("the live page")
        self._drawn: tuple[Any, ...] = ()
        self._options: list[Any] = [(_NEWEST, "newest run")]
        self._choice = Select(
            title="run", value=_NEWEST, options=self._options, name="funkflow-run", sizing_mode="stretch_width",
            stylesheets=[CHOICE], margin=0,
        )  # fmt: skip
        self._choice.on_change("value", lambda _attribute, _old, _new: self.update())
        self._words = {
            name: Div(
                text="", name=f"funkflow-{name}", sizing_mode="stretch_width", stylesheets=[WORDS],
                margin=(above, 0, 0, 0),
            )
            for name, above in (
                ("summary", 0), ("keys", 0), ("speed", 14), ("workers", 0), ("memory", 0), ("lines", 0),
            )
        }  # fmt: skip
        self._words["summary"].text = _EMPTY
        self._curves, self._blocks = Curves(), BlockFigure()
        for part in self.roots[2:]:
            part.css_classes = [WAITING]

    @property
    def roots(self) -> list[Any]:
        """All parts; the template places each by its name."""
        return [self._choice, *self._words.values(), self._curves.learning, self._curves.rate, self._blocks.root]

    def update(self) -> None:
        """Draw all changes since the last call."""
        with self._drawing:
            self._update()

    def _update(self) -> None:
        plugin = self._scheduler.plugins.get(NAME)
        stories = plugin.stories.newest_first() if isinstance(plugin, LivePlugin) else []
        options: list[Any] = [(_NEWEST, "newest run"), *((story.run, _option_words(story)) for story in stories)]
        if options != self._options:
            self._choice.options = self._options = options
        story = next((each for each in stories if each.run == self._choice.value), stories[0] if stories else None)
        if story is None:
            self._set_html("summary", _EMPTY)
            return
        grid, workers, now = plugin.grid_of(story), sorted(plugin.workers()), self._clock()
        self._set_html("summary", panels.state_panel(story, now, workers))
        self._set_html("lines", panels.lines_table(story, now))
        seen = (story.run, story.heard, len(story.epochs), grid.version, tuple(workers))
        if seen == self._drawn:
            return
        if not self._drawn:
            for part in self.roots:
                part.css_classes = []
        self._drawn = seen
        self._set_html("keys", panels.keys(story))
        self._set_html("speed", panels.SPEED)
        self._set_html("workers", panels.worker_keys(workers))
        self._set_html("memory", panels.memory(story))
        self._curves.draw(story)
        self._blocks.draw(story, grid, workers)

    def _set_html(self, name: str, html: str) -> None:
        if self._words[name].text != html:
            self._words[name].text = html


def live_document(scheduler: Any, extra: dict[str, object], document: Document) -> None:
    """Fill a document with the page; its navigation leads to Dask's own pages."""
    page = LivePage(scheduler)
    page.update()
    document.title = "funkflow: training"
    for root in page.roots:
        document.add_root(root)
    document.add_periodic_callback(page.update, _MILLISECONDS)
    document.template = TEMPLATE
    document.template_variables.update({**extra, "here": PAGE.strip("/")})
    document.theme = THEME


def _option_words(story: Story) -> str:
    return f"{story.name[:8]} {story.facts.get('method', '')} ({story.state}, execution {story.run})"


PAGES = {PAGE: live_document, "/individual-funkflow": live_document}
"""Pages by address; JupyterLab's extension also offers those that begin with `individual`."""


def add_page(scheduler: Any) -> bool:
    """Add the page to Dask's own, unless it was there from the start (routes.py); return whether it is there."""
    known = getattr(scheduler, "http_application", None)
    if known is None or not known.applications:
        return False
    variables = template_variables(scheduler)
    if PAGE.strip("/") not in variables["pages"]:
        variables["pages"].append(PAGE.strip("/"))
    if PAGE in applications:
        return True
    first = known.applications[0]
    added = BokehApplication(PAGES, scheduler, prefix=getattr(first, "prefix", ""), template_variables=variables)
    known.add_application(added)
    added.initialize(IOLoop.current())
    added.start()
    return True
