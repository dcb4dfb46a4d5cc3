"""The live page: what is known of a run, drawn on the dashboard of Dask's scheduler twice a second.

Covers: the document, the choice among runs, and when anything is drawn anew.
Does not cover: the single figures (sections.py), what is known (story.py, blocks.py), how the page comes into the
dashboard (plugin.py, routes.py).

Tests and programs find its parts by name: `funkflow-run` (the choice), `funkflow-summary`, `funkflow-epochs` (the data
of the curves), `funkflow-learning`, `funkflow-rate`, `funkflow-grid`, `funkflow-memory`, `funkflow-lines`.
"""

from __future__ import annotations

from typing import Any

from bokeh.document import Document
from bokeh.layouts import column, row
from bokeh.models.widgets import Div, Select
from distributed.dashboard.components.scheduler import BOKEH_THEME, env

from pipeline.live.plugin import NAME, PAGE, LivePlugin
from pipeline.live.sections import GridFigure, LearningFigure, MemoryFigure, RateFigure, lines_table, summary
from pipeline.live.story import Story

_NEWEST = "newest"
_MILLISECONDS = 500
_EMPTY = "<p>No run yet on this cluster. <code>funkflow run CONF</code> begins one, and it shows here.</p>"


class LivePage:
    """The parts of one open page. `update` brings them to what is known now."""

    def __init__(self, scheduler: Any) -> None:
        self._scheduler = scheduler
        self._drawn: tuple[Any, ...] = ()
        self._options: list[Any] = [(_NEWEST, "the newest")]
        self._choice = Select(title="run", value=_NEWEST, options=self._options, name="funkflow-run", width=420)
        self._choice.on_change("value", lambda _attribute, _old, _new: self.update())
        self._summary = Div(text=_EMPTY, name="funkflow-summary", sizing_mode="stretch_width")
        self._lines = Div(text="", name="funkflow-lines", sizing_mode="stretch_width")
        self._learning, self._rate = LearningFigure(), RateFigure()
        self._grid, self._memory = GridFigure(), MemoryFigure()

    @property
    def root(self) -> Any:
        left = column(self._learning.root, self._rate.root, sizing_mode="stretch_width")
        right = column(self._grid.root, self._memory.root, width=460)
        return column(
            row(self._choice), self._summary, row(left, right, sizing_mode="stretch_width"), self._lines,
            sizing_mode="stretch_width",
        )  # fmt: skip

    def update(self) -> None:
        """Draw what has changed since this was last called."""
        plugin = self._scheduler.plugins.get(NAME)
        stories = plugin.stories.newest_first() if isinstance(plugin, LivePlugin) else []
        options: list[Any] = [(_NEWEST, "the newest"), *((story.run, _named(story)) for story in stories)]
        if options != self._options:
            self._choice.options = self._options = options
        story = next((each for each in stories if each.run == self._choice.value), stories[0] if stories else None)
        if story is None:
            self._summary.text = _EMPTY
            return
        grid, workers = plugin.grid_of(story), plugin.workers()
        now = (story.run, story.heard, story.done, grid.version, tuple(workers))
        if now == self._drawn:
            return
        self._drawn = now
        self._summary.text = summary(story, sorted(workers))
        self._learning.draw(story)
        self._rate.draw(story)
        self._grid.draw(story, grid, sorted(workers))
        self._memory.draw(story)
        self._lines.text = lines_table(story)


def live_document(scheduler: Any, extra: dict[str, Any], document: Document) -> None:
    """Fill a document with the page, in the frame of Dask's own pages."""
    page = LivePage(scheduler)
    page.update()
    document.title = "funkflow: training"
    document.add_root(page.root)
    document.add_periodic_callback(page.update, _MILLISECONDS)
    document.template = env.get_template("simple.html")
    document.template_variables.update(extra)
    document.theme = BOKEH_THEME


def _named(story: Story) -> str:
    return f"{story.name[:8]} {story.facts.get('method', '')} ({story.state}, execution {story.run})"


PAGES = {PAGE: live_document, "/individual-funkflow": live_document}
"""By where they are; those that begin with `individual` are offered by JupyterLab's extension, too."""
