"""A comparison as one HTML page that loads nothing else: interactive curves, and the table.

Covers: the page. Does not cover: its numbers (runs.py), the small drawing without a script (drawing.py).
"""

from __future__ import annotations

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

from funkflow.pipeline.progress.colours import colour_at
from funkflow.pipeline.results.comparison.runs import ComparedRun, Comparison
from funkflow.pipeline.results.comparison.table import AXES, HEADS, MODEL, PURE_MODEL, cells, known_references
from funkflow.pipeline.settings.methods import METHODS
from funkflow.tasks.model.html_tables import templates_in

_HEADING = templates_in("").from_string("""<h2>Methods compared</h2>
<p>RMSE on {{ "{:,}".format(comparison.ratings) }} validation ratings ({{ comparison.split }}), predictions clipped
to the scale. Without factors: {{ known|join(", ") }}. {{ comparison.cores }} cores.</p>""")
_TABLE = templates_in("").from_string("""<style>td,th{padding:.1em .9em;text-align:right}</style><table><tr>
{% for head in heads %}<th>{{ head }}</th>{% endfor %}</tr>
{% for model, row, words in rows %}<tr><td>{{ model }}</td>
{% if row.failed %}<td>{{ row.method }}</td><td>{{ row.rank }}</td>
<td colspan="{{ heads|length - 3 }}" style="text-align:left">failed: {{ words }}</td>
{% else %}{% for word in words %}<td>{{ word }}</td>{% endfor %}{% endif %}</tr>
{% endfor %}</table>""")


def comparison_page(comparison: Comparison) -> str:
    """Return the page: for each form of the model RMSE against rank and against seconds, and then the table."""
    heading = _HEADING.render(comparison=comparison, known=known_references(comparison))
    parts: list[UIElement] = [Div(text=heading, width=1000)]
    for pure, curves in comparison.forms():
        legend_items = list(curves)
        panels = [_figure_by(curves, key, label, legend_items if key == "seconds" else []) for key, label in AXES]
        parts += [Div(text=f"<h3>{PURE_MODEL if pure else MODEL}</h3>"), row(*panels)]
    rows = [
        (PURE_MODEL if each.pure else MODEL, each, each.failed or cells(each, comparison)) for each in comparison.rows
    ]
    parts.append(Div(text=_TABLE.render(heads=("model", *HEADS), rows=rows)))
    return str(file_html(column(*parts), INLINE, title="funkflow: methods compared", template=FILE))


def _figure_by(curves: dict[str, list[ComparedRun]], key: str, label: str, named: list[str]) -> figure:
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
        colour = colour_at(list(METHODS).index(method))
        drawn: list[Any] = [
            plot.line(key, "rmse", source=source, color=colour, line_width=2),
            plot.scatter(key, "rmse", source=source, color=colour, size=7),
        ]
        items.append(LegendItem(label=method, renderers=drawn))
    if named:
        plot.add_layout(Legend(items=items, click_policy="hide"), "right")
    return plot
