"""A comparison as one HTML page that needs nothing else: curves that can be looked into, and the table.

Covers: the page. Does not cover: its numbers (runs.py), the small drawing without a script (drawing.py).
"""

from __future__ import annotations

from html import escape
from typing import Any

from bokeh.core.templates import FILE
from bokeh.embed import file_html
from bokeh.layouts import column, row
from bokeh.models.annotations import Legend, LegendItem
from bokeh.models.ranges import Range1d
from bokeh.models.sources import ColumnDataSource
from bokeh.models.tools import HoverTool
from bokeh.models.ui import UIElement
from bokeh.models.widgets import Div
from bokeh.plotting import figure
from bokeh.resources import INLINE
from dask.utils import format_bytes

from funkflow.pipeline.results.comparison.runs import Comparison, Row
from funkflow.pipeline.results.comparison.table import HEADS, MODEL, PURE_MODEL, cells, known_references
from funkflow.pipeline.settings.methods import METHODS

_STYLE = "<style>td,th{padding:.1em .9em;text-align:right}</style>"
_AXES = (("rank", "rank"), ("seconds", "seconds of training"))


def comparison_page(comparison: Comparison) -> str:
    """Return the page: for each form of the model RMSE against rank and against seconds, and then the table."""
    parts: list[UIElement] = [_heading(comparison)]
    for pure, curves in comparison.forms():
        legend_items = list(curves)
        panels = [_panel(curves, key, label, legend_items if key == "seconds" else []) for key, label in _AXES]
        parts += [Div(text=f"<h3>{PURE_MODEL if pure else MODEL}</h3>"), row(*panels)]
    parts.append(Div(text=_table(comparison)))
    return str(file_html(column(*parts), INLINE, title="funkflow: methods compared", template=FILE))


def _heading(comparison: Comparison) -> Div:
    known = ", ".join(known_references(comparison))
    return Div(
        text="<h2>Methods compared</h2>"
        f"<p>RMSE on {comparison.ratings:,} validation ratings ({escape(comparison.split)}), predictions clipped "
        f"to the scale. Without factors: {known}. {comparison.cores} cores.</p>",
        width=1000,
    )


def _panel(curves: dict[str, list[Row]], key: str, label: str, named: list[str]) -> figure:
    hover = HoverTool(
        tooltips=[("method", "@method"), ("rank", "@rank"), ("RMSE", "@rmse{%.5g}"), ("seconds", "@seconds{0.0}"),
                  ("memory", "@memory")],
        formatters={"@rmse": "printf"},
    )  # fmt: skip
    plot = figure(
        width=620 if named else 480, height=340, x_axis_type="log", x_axis_label=label, y_axis_label="validation RMSE",
        tools=[hover, "pan", "wheel_zoom", "reset"], toolbar_location="above",
    )  # fmt: skip
    errors = [each.rmse for rows in curves.values() for each in rows if each.rmse is not None]
    room = 0.06 * (max(errors) - min(errors)) or 0.01
    plot.y_range = Range1d(start=min(errors) - room, end=max(errors) + room)
    if key == "rank":
        plot.xaxis.ticker = sorted({each.rank for rows in curves.values() for each in rows})
    items: list[LegendItem] = []
    for method, rows in curves.items():
        source = ColumnDataSource(
            {
                "method": [method] * len(rows),
                "rank": [each.rank for each in rows],
                "rmse": [each.rmse for each in rows],
                "seconds": [each.seconds for each in rows],
                "memory": [
                    "not measured" if each.memory_bytes is None else format_bytes(each.memory_bytes) for each in rows
                ],
            }
        )
        colour = METHODS[method].colour
        drawn: list[Any] = [
            plot.line(key, "rmse", source=source, color=colour, line_width=2),
            plot.scatter(key, "rmse", source=source, color=colour, size=7),
        ]
        items.append(LegendItem(label=method, renderers=drawn))
    if named:
        plot.add_layout(Legend(items=items, click_policy="hide"), "right")
    return plot


def _table(comparison: Comparison) -> str:
    lines = ["".join(f"<th>{escape(head)}</th>" for head in ("model", *HEADS))]
    for each in comparison.rows:
        model = PURE_MODEL if each.pure else MODEL
        words = [model, each.method, str(each.rank)] if each.failed else [model, *cells(each, comparison)]
        line = "".join(f"<td>{escape(word)}</td>" for word in words)
        if each.failed:
            line += f'<td colspan="{len(HEADS) - 2}" style="text-align:left">failed: {escape(each.failed)}</td>'
        lines.append(line)
    return _STYLE + "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"
