"""The P × P grid of the live page: the state of each block in this round, and its worker.

Covers: the figure and its updates.
Does not cover: the states (blocks.py), its heading and keys (panels.py).
"""

from __future__ import annotations

from typing import Any

from bokeh.models.ranges import Range1d
from bokeh.models.sources import ColumnDataSource
from bokeh.models.tickers import FixedTicker
from bokeh.models.tools import HoverTool
from bokeh.plotting import figure

from funkflow.pipeline.progress.colours import GREY, colour_at
from funkflow.pipeline.progress.live.blocks import BlockGrid
from funkflow.pipeline.progress.story import Story

_COLUMNS = ("item", "user", "colour", "alpha", "frame", "state", "worker", "seconds")
_MOST_TICKS = 8


class BlockFigure:
    """Solid: done in this round; framed: running; pale: pending in this round; grey: not visited yet."""

    def __init__(self) -> None:
        self._blocks = ColumnDataSource({name: [] for name in _COLUMNS})
        hover = HoverTool(
            tooltips="<div><b>@state</b><br>user shard @user, item shard @item<br>@worker @seconds</div>",
            visible=False,
        )
        plot: Any = figure(
            name="funkflow-grid", x_axis_label="item shard", y_axis_label="user shard", height=340,
            sizing_mode="stretch_width", tools=[hover], toolbar_location=None, x_range=Range1d(start=-0.5, end=3.5),
            y_range=Range1d(start=3.5, end=-0.5),
        )  # fmt: skip
        plot.rect(
            "item", "user", 0.9, 0.9, source=self._blocks, fill_color="colour", fill_alpha="alpha", line_color="colour",
            line_width=3, line_alpha="frame", border_radius=3,
        )  # fmt: skip
        plot.grid.visible = False
        self._ticker = plot.xaxis.ticker = plot.yaxis.ticker = FixedTicker(ticks=[])
        self.root = plot
        self._shards = 0

    def draw(self, story: Story, grid: BlockGrid, workers: list[str]) -> None:
        """Draw the grid. `workers` : in the order of their colours."""
        shards = int(story.facts.get("shards", 0))
        if shards != self._shards:
            self._shards = shards
            self.root.x_range.update(start=-0.5, end=max(shards, 1) - 0.5)
            self.root.y_range.update(start=max(shards, 1) - 0.5, end=-0.5)
            self._ticker.ticks = list(range(0, max(shards, 1), max(1, -(-shards // _MOST_TICKS))))
        each = max(1, shards // max(1, grid.shares))
        rows = [
            {
                "user": user,
                "item": item,
                **_state_of(user // each, item // each, grid, story, workers),
            }
            for user in range(shards)
            for item in range(shards)
        ]
        self._blocks.data = {name: [row[name] for row in rows] for name in _COLUMNS}


def colour_of(worker: str, workers: list[str]) -> str:
    """Return a worker's colour; grey for a lost worker."""
    return colour_at(workers.index(worker)) if worker in workers else GREY


def _state_of(share: int, partner: int, grid: BlockGrid, story: Story, workers: list[str]) -> dict[str, str | float]:
    """Return the cells of the blocks where two shares meet."""
    meeting = grid.meetings.get((share, partner))
    colour, alpha, frame, state = GREY, 0.15, 0.0, "not visited yet"
    if meeting is not None:
        colour = colour_of(meeting.worker, workers)
        if meeting.working and story.ended is None:
            alpha, frame, state = 0.3, 1.0, "running"
        elif meeting.round >= grid.round:
            alpha, state = 0.95, "done this round"
        else:
            alpha, state = 0.3, "pending this round"
    return {
        "colour": colour, "alpha": alpha, "frame": frame, "state": state,
        "worker": meeting.worker if meeting else "",
        "seconds": f"{meeting.seconds:.3f} s" if meeting and meeting.seconds else "",
    }  # fmt: skip
