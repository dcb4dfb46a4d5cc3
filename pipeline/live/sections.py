"""The figures of the live page: curves, speed, the grid of blocks, memory, and what is said in words.

Covers: how each looks, and bringing it to what is known of a run.
Does not cover: when they are drawn (page.py), what is known (story.py, blocks.py).

Colours are those of Okabe and Ito, told apart by the colour-blind; no meaning hangs on colour alone.
"""

from __future__ import annotations

import itertools
import time
from datetime import UTC, datetime
from html import escape
from typing import Any

from bokeh.models.annotations import Legend, LegendItem
from bokeh.models.ranges import DataRange1d, FactorRange, Range1d
from bokeh.models.sources import ColumnDataSource
from bokeh.models.tickers import FixedTicker
from bokeh.models.tools import HoverTool
from bokeh.plotting import figure
from dask.utils import format_bytes, format_time

from pipeline.live.blocks import Grid
from pipeline.live.story import Story
from tasks.digits import rounded

ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILION, PURPLE, GREY = (
    "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#8A8A8A",
)  # fmt: skip
WORKER_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, YELLOW)
_IDLE = "#E8E8E8"
_CURVES = (("training_rmse", "training", BLUE, "solid"), ("stopping_rmse", "held out", VERMILION, "solid"))
_BASELINES = (("biases_rmse", "biases alone", GREY, "dashed"), ("mean_rmse", "mean rating", GREY, "dotted"))
_LINES = 14


class LearningFigure:
    """RMSE by epoch in training and on the held-out ratings, checkpoints, and the baselines as lines."""

    def __init__(self) -> None:
        self._epochs = ColumnDataSource(
            {"epoch": [], "training_rmse": [], "stopping_rmse": [], "best": []}, name="funkflow-epochs"
        )
        self._kept = ColumnDataSource({"epoch": [], "rmse": []})
        self._baselines = ColumnDataSource({"epoch": [], "biases_rmse": [], "mean_rmse": []})
        hover = HoverTool(
            tooltips=[
                ("epoch", "@epoch"),
                ("training", "@training_rmse{%.5g}"),
                ("held out", "@stopping_rmse{%.5g}"),
            ],
            formatters={"@training_rmse": "printf", "@stopping_rmse": "printf"},
        )
        self.root = plot = figure(
            name="funkflow-learning", title="RMSE by epoch", x_axis_label="epoch", y_axis_label="RMSE, rating units",
            height=330, sizing_mode="stretch_width", tools=[hover, "pan", "box_zoom", "wheel_zoom", "reset", "save"],
        )  # fmt: skip
        items: list[LegendItem] = []
        drawn: list[Any] = []
        dotted: list[Any] = []
        for name, label, colour, dash in _CURVES:
            line: Any = plot.line("epoch", name, source=self._epochs, color=colour, line_width=2, line_dash=dash)
            marker = "circle" if name == "training_rmse" else "square"
            dots: Any = plot.scatter("epoch", name, source=self._epochs, color=colour, size=6, marker=marker)
            dotted.append(dots)
            drawn.append(line)
            items.append(LegendItem(label=label, renderers=[line, dots]))
        self._legend: dict[str, LegendItem] = {}
        for name, label, colour, dash in _BASELINES:
            line = plot.line("epoch", name, source=self._baselines, color=colour, line_width=2, line_dash=dash)
            self._legend[name] = LegendItem(label=label, renderers=[line])
            items.append(self._legend[name])
            if name == "biases_rmse":  # the mean lies so far above that the curves would be flat beneath it
                drawn.append(line)
        hover.renderers = dotted
        kept: Any = plot.scatter(
            "epoch", "rmse", source=self._kept, color="black", size=9, marker="triangle", fill_alpha=0
        )
        items.append(LegendItem(label="checkpoint", renderers=[kept]))
        plot.y_range = DataRange1d(renderers=drawn, range_padding=0.08)
        plot.x_range = DataRange1d(only_visible=True, range_padding=0.03)
        plot.add_layout(Legend(items=items, orientation="horizontal", click_policy="hide"), "below")

    def draw(self, story: Story) -> None:
        history = story.history
        known = {each.epoch: each for each in history}
        self._epochs.data = {
            "epoch": [each.epoch for each in history],
            "training_rmse": [each.training_rmse for each in history],
            "stopping_rmse": [_or_nan(each.stopping_rmse) for each in history],
            "best": [each.best for each in history],
        }
        kept = [known[epoch] for epoch in sorted(story.checkpoints) if epoch in known]
        self._kept.data = {"epoch": [each.epoch for each in kept], "rmse": [each.training_rmse for each in kept]}
        ends = [1, max([2, *known])]
        values = {name: story.baselines.get(name) for name, *_ in _BASELINES}
        self._baselines.data = {"epoch": ends, **{name: [_or_nan(value)] * 2 for name, value in values.items()}}
        for name, label, *_ in _BASELINES:
            value = values[name]
            self._legend[name].label = {"value": label if value is None else f"{label} {rounded(value)}"}


class RateFigure:
    """Ratings a second by epoch."""

    def __init__(self) -> None:
        self._rates = ColumnDataSource({"epoch": [], "rate": []})
        hover = HoverTool(tooltips=[("epoch", "@epoch"), ("M ratings/s", "@rate{0.0}")])
        self.root = plot = figure(
            name="funkflow-rate", title="Speed since this attempt began", x_axis_label="epoch",
            y_axis_label="M ratings/s", height=190, sizing_mode="stretch_width", tools=[hover, "reset"],
        )  # fmt: skip
        plot.line("epoch", "rate", source=self._rates, color=GREEN, line_width=2)
        plot.scatter("epoch", "rate", source=self._rates, color=GREEN, size=5)
        plot.y_range = DataRange1d(start=0, range_padding=0.1)

    def draw(self, story: Story) -> None:
        history = story.history
        self._rates.data = {
            "epoch": [each.epoch for each in history],
            "rate": [each.ratings_per_second / 1e6 for each in history],
        }


class GridFigure:
    """The P × P grid: which blocks are in work, on which worker, and how far the others are in this epoch."""

    def __init__(self) -> None:
        self._blocks = ColumnDataSource(
            {name: [] for name in ("item", "user", "colour", "alpha", "line", "state", "worker", "seconds")}
        )
        hover = HoverTool(
            tooltips=[("users of shard", "@user"), ("items of shard", "@item"), ("state", "@state"),
                      ("worker", "@worker"), ("seconds for its task", "@seconds{0.000}")]
        )  # fmt: skip
        self.root = figure(
            name="funkflow-grid", title="Blocks by worker: framed in work, pale to come", x_axis_label="items, shard",
            y_axis_label="users, shard",
            height=330, width=450, tools=[hover], x_range=Range1d(start=-0.5, end=3.5),
            y_range=Range1d(start=3.5, end=-0.5),
        )  # fmt: skip
        self.root.rect(
            "item", "user", 0.94, 0.94, source=self._blocks, fill_color="colour", fill_alpha="alpha",
            line_color="line", line_width=2,
        )  # fmt: skip
        self.root.grid.visible = False
        self._ticker = self.root.xaxis.ticker = self.root.yaxis.ticker = FixedTicker(ticks=[])
        self._shards = 0

    def draw(self, story: Story, grid: Grid, workers: list[str]) -> None:
        shards = int(story.facts.get("shards", 0))
        if shards != self._shards:
            self._shards = shards
            self.root.x_range.update(start=-0.5, end=max(shards, 1) - 0.5)
            self.root.y_range.update(start=max(shards, 1) - 0.5, end=-0.5)
            self._ticker.ticks = list(range(0, max(shards, 1), max(1, -(-shards // 8))))
        each = max(1, shards // max(1, grid.shares))
        rows = [_block(grid, user, item, each, workers, story) for user in range(shards) for item in range(shards)]
        self._blocks.data = {name: [row[name] for row in rows] for name in self._blocks.column_names}


def _block(grid: Grid, user: int, item: int, each: int, workers: list[str], story: Story) -> dict[str, Any]:
    """Return how one block looks; `each` : shards a share."""
    meeting = grid.meetings.get((user // each, item // each))
    colour, alpha, line, state = _IDLE, 1.0, "white", "not gone through yet"
    if meeting is not None:
        place = workers.index(meeting.worker) if meeting.worker in workers else len(workers)
        colour = WORKER_COLOURS[place % len(WORKER_COLOURS)]
        working = meeting.working and story.ended is None
        alpha = 1.0 if meeting.round >= grid.round else 0.55 if working else 0.3
        line, state = ("black", "in work") if working else ("white", "done")
    return {
        "user": user, "item": item, "colour": colour, "alpha": alpha, "line": line, "state": state,
        "worker": meeting.worker if meeting else "", "seconds": meeting.seconds if meeting else 0.0,
    }  # fmt: skip


class MemoryFigure:
    """The peak of all processes on the client's machine against what was predicted."""

    def __init__(self) -> None:
        self._bars = ColumnDataSource({"what": [], "bytes": [], "colour": [], "words": []})
        self.root = plot = figure(
            name="funkflow-memory", title="Memory", height=150, width=450, tools="", x_axis_label="GiB",
            y_range=FactorRange(factors=["predicted", "peak so far"]),
        )  # fmt: skip
        plot.hbar("what", 0.6, "bytes", source=self._bars, color="colour")
        plot.text(
            "bytes", "what", text="words", source=self._bars, x_offset=4, text_baseline="middle", text_font_size="12px"
        )
        plot.x_range = DataRange1d(start=0, range_padding=0.6)
        plot.ygrid.visible = False

    def draw(self, story: Story) -> None:
        predicted = int(story.facts.get("predicted_bytes") or 0)
        values = {"predicted": predicted, "peak so far": story.peak_bytes}
        known = {what: value for what, value in values.items() if value}
        self._bars.data = {
            "what": list(known),
            "bytes": [value / 2**30 for value in known.values()],
            "colour": [GREY if what == "predicted" else SKY for what in known],
            "words": [format_bytes(value) for value in known.values()],
        }


def summary(story: Story, workers: list[str]) -> str:
    """Return in words where a run stands, as HTML; `workers` in the order of their colours."""
    facts, best = story.facts, story.best
    rows: list[tuple[str, str]] = [("run", f"{story.name}, {story.state}")]
    if facts:
        rows.append(
            ("model", f"{facts['method']}, rank {facts['rank']}, {facts['ratings']:,} ratings of {facts['users']:,} "
                      f"users and {facts['items']:,} items, {facts['shards']} × {facts['shards']} blocks")
        )  # fmt: skip
        if facts.get("step") is not None:
            rows.append(("step", f"{facts['step']:g} at the start, adapted row by row; L2 {facts['l2']:g}"))
    if story.ended is None:
        left = story.seconds_left()
        where = f"{story.stage} {story.done} of {story.steps}" if story.steps else story.stage or "starting"
        rows.append(("at", f"{where}{f'; at most {format_time(left)} of training left' if left is not None else ''}"))
    if best is not None:
        held_out = f", held out {rounded(best.stopping_rmse)}" if best.stopping_rmse is not None else ""
        rows.append(("best", f"epoch {best.epoch}: training RMSE {rounded(best.training_rmse)}{held_out}"))
    if story.rmse is not None:
        rows.append(("RMSE", f"{rounded(story.rmse)} on the validation ratings ({story.baselines.get('split', '')})"))
    cells = "".join(
        f"<tr><th style='text-align:left;padding-right:1em'>{escape(name)}</th><td>{escape(words)}</td></tr>"
        for name, words in rows
    )
    squares = "".join(
        f"<span style='white-space:nowrap'><span aria-hidden='true' style='color:{colour}'>&#9632;</span> "
        f"{escape(worker)}&emsp;</span>"
        for worker, colour in zip(workers, itertools.cycle(WORKER_COLOURS), strict=False)
    )
    cells += f"<tr><th style='text-align:left'>workers</th><td>{squares or 'none'}</td></tr>"
    return f"<table style='font-size:14px'>{cells}</table>"


def lines_table(story: Story) -> str:
    """Return the last lines of what happened, the newest first, as HTML."""
    cells = "".join(
        f"<tr><td>{datetime.fromtimestamp(when, UTC):%H:%M:%S}</td><td style='padding:0 1em'><b>{escape(kind)}</b></td>"
        f"<td>{escape(words)}</td></tr>"
        for when, kind, words in list(story.lines)[: -_LINES - 1 : -1]
    )
    age = f"{format_time(max(0.0, time.time() - story.heard))} ago" if story.ended is None else "the run is over"
    return f"<b>Last events (UTC)</b>, heard of last: {age}<table style='font-size:13px'>{cells}</table>"


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else float(value)
