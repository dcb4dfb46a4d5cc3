"""The curves of the live page: RMSE, NDCG and speed by epoch, over one axis.

Covers: the figures and their updates.
Does not cover: their keys and headings (panels.py), times of updates (page.py), the data (pipeline/progress/story.py).

A run may have many thousands of epochs: only new ones go to the browser.
"""

from __future__ import annotations

from typing import Any

from bokeh.models.axes import LinearAxis
from bokeh.models.ranges import DataRange1d
from bokeh.models.sources import ColumnDataSource
from bokeh.models.tools import HoverTool
from bokeh.plotting import figure

from funkflow.pipeline.progress.colours import BLUE, GREEN, GREY, VERMILION
from funkflow.pipeline.progress.story import EpochPoint, Story

_MOST_DOTS = 30
_HELD_OUT = ("stopping_rmse", "stopping_ndcg")
_TOOLS = ["pan", "box_zoom", "reset", "save"]


class Curves:
    """RMSE in training and on the held-out ratings, with the bias baseline; below it ratings per second.

    Where an NDCG decides, it is the held-out curve, with an axis of its own at the right.
    `learning`, `rate` : the figures. They share the x-axis, so both zoom together.
    """

    def __init__(self) -> None:
        self._run = ""
        self._epochs = ColumnDataSource(_columns([]), name="funkflow-epochs")
        self._dots = ColumnDataSource(_columns([]))
        self._marks = ColumnDataSource({"epoch": [], "rmse": [], "shape": []})
        self._biases = ColumnDataSource({"epoch": [], "rmse": []})
        self._best_ranked = ColumnDataSource({"epoch": [], "ndcg": []})
        self._ndcg_axis = LinearAxis(y_range_name="ndcg", visible=False)
        self.learning, lines = self._learning()
        self.rate = self._rate()
        self._hover = HoverTool(
            renderers=lines[:1], mode="vline", visible=False, tooltips=_tooltip("epoch", _HELD_OUT[0]),
            formatters={"@training_rmse": "printf", "@stopping_rmse": "printf", "@stopping_ndcg": "printf"},
        )  # fmt: skip
        self.learning.add_tools(self._hover)

    def draw(self, story: Story) -> None:
        history = story.history
        self._update(self._epochs, story.run, history)
        every = max(1, -(-len(history) // _MOST_DOTS))
        self._dots.data = _columns([each for number, each in enumerate(history, 1) if number % every == 0])
        self._run = story.run
        best, newest = story.best, story.epochs.get(max(story.checkpoints, default=0))
        ranked = [best] if best and best.stopping_ndcg is not None else []
        self._best_ranked.data = {
            "epoch": [each.epoch for each in ranked], "ndcg": [each.stopping_ndcg for each in ranked],
        }  # fmt: skip
        self._ndcg_axis.visible = bool(ranked)
        self._ndcg_axis.axis_label = f"NDCG@{best.places}" if best and ranked else None
        marks = [(best.epoch, best.loss, "circle")] if best and not ranked else []
        marks += [(newest.epoch, newest.training_rmse, "triangle")] if newest else []
        self._marks.data = {
            name: [mark[place] for mark in marks] for place, name in enumerate(("epoch", "rmse", "shape"))
        }
        biases = story.baselines.get("biases_rmse")
        ends = [1, max(2, history[-1].epoch)] if history and biases is not None else []
        self._biases.data = {"epoch": ends, "rmse": [biases] * len(ends)}
        held_out = next((name for name in _HELD_OUT for each in history[-1:] if getattr(each, name) is not None), "")
        tooltip = _tooltip(story.counted, held_out)
        if self._hover.tooltips != tooltip:
            self._hover.tooltips = tooltip
            self.rate.xaxis.axis_label = story.counted

    def _learning(self) -> tuple[figure, list[Any]]:
        plot = figure(
            name="funkflow-learning", height=330, sizing_mode="stretch_width", tools=",".join(_TOOLS),
            toolbar_location="above", active_drag=None, active_scroll=None,
        )  # fmt: skip
        lines: list[Any] = []
        for name, colour, marker in (("training_rmse", BLUE, "circle"), ("stopping_rmse", VERMILION, "square")):
            lines.append(plot.line("epoch", name, source=self._epochs, color=colour, line_width=2))
            plot.scatter("epoch", name, source=self._dots, color=colour, size=6, marker=marker)
        lines.append(plot.line("epoch", "rmse", source=self._biases, color=GREY, line_width=2, line_dash="dashed"))
        plot.scatter(
            "epoch", "rmse", source=self._marks, marker="shape", size=13, fill_alpha=0, line_width=2, line_color=GREY
        )
        plot.extra_y_ranges = {"ndcg": (ndcg_range := DataRange1d(range_padding=0.08))}
        plot.add_layout(self._ndcg_axis, "right")
        right: Any = {"y_range_name": "ndcg", "line_width": 2}
        ndcg: Any = plot.line("epoch", "stopping_ndcg", source=self._epochs, color=VERMILION, **right)
        plot.scatter("epoch", "stopping_ndcg", source=self._dots, color=VERMILION, size=6, marker="square", **right)
        plot.scatter("epoch", "ndcg", source=self._best_ranked, size=13, fill_alpha=0, line_color=GREY, **right)
        ndcg_range.renderers = [ndcg]
        plot.toolbar.stylesheets = [".bk-divider{background-color:var(--edge)}"]
        plot.y_range = DataRange1d(renderers=lines, range_padding=0.08)
        plot.x_range = DataRange1d(renderers=lines[:2], range_padding=0.02)
        plot.xaxis.major_label_text_font_size = "0px"  # the figure below has the same axis
        return plot, lines

    def _rate(self) -> figure:
        hover = HoverTool(tooltips="<div>@rate{0,0.0} M ratings/s</div>", mode="vline", visible=False)
        plot = figure(
            name="funkflow-rate", height=170, sizing_mode="stretch_width", tools=[hover], toolbar_location=None,
            x_range=self.learning.x_range, x_axis_label="epoch",
        )  # fmt: skip
        line: Any = plot.line("epoch", "rate", source=self._epochs, color=GREEN, line_width=2)
        hover.renderers = [line]
        plot.y_range = DataRange1d(start=0, range_padding=0.15)
        ticker: Any = plot.yaxis.ticker
        ticker.desired_num_ticks = 4
        return plot

    def _update(self, source: ColumnDataSource, run: str, history: list[EpochPoint]) -> None:
        """Add the new epochs to a source, or replace all of it if earlier ones differ."""
        there, epochs = list(source.data["epoch"]), [each.epoch for each in history]
        if run == self._run and there and there == epochs[: len(there)]:
            if len(epochs) > len(there):
                source.stream(_columns(history[len(there) :]))
        else:
            source.data = _columns(history)


def _columns(epochs: list[EpochPoint]) -> dict[str, Any]:
    return {
        "epoch": [each.epoch for each in epochs],
        "training_rmse": [each.training_rmse for each in epochs],
        "stopping_rmse": [float("nan") if each.stopping_rmse is None else each.stopping_rmse for each in epochs],
        "stopping_ndcg": [float("nan") if each.stopping_ndcg is None else each.stopping_ndcg for each in epochs],
        "rate": [each.ratings_per_second / 1e6 for each in epochs],
    }


def _tooltip(counted: str, held_out: str) -> str:
    """Return the tooltip; `held_out` : the column of the held-out measure, "" if there is none."""
    more = f"<br>validation @{held_out}{{%.5g}}" if held_out else ""
    return f"<div><b>{counted} @epoch{{0,0}}</b><br>training @training_rmse{{%.5g}}{more}</div>"
