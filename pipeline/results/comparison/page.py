"""A comparison as one HTML page that loads nothing else: interactive curves, and the table.

Covers: the page. Does not cover: its numbers (runs.py), the small drawing without a script (drawing.py).
"""

from __future__ import annotations

from typing import Any

from bokeh.core.templates import FILE
from bokeh.embed import file_html
from bokeh.layouts import column, row
from bokeh.models.annotations import Legend, LegendItem
from bokeh.models.formatters import BasicTickFormatter
from bokeh.models.ranges import Range1d
from bokeh.models.sources import ColumnDataSource
from bokeh.models.tools import HoverTool
from bokeh.models.ui import UIElement
from bokeh.models.widgets import Div
from bokeh.plotting import figure
from bokeh.resources import INLINE

from funkflow.pipeline.progress.colours import colour_at
from funkflow.pipeline.progress.words import format_bytes
from funkflow.pipeline.results.comparison.contenders import CONTENDERS
from funkflow.pipeline.results.comparison.runs import ComparedRun, Comparison
from funkflow.pipeline.results.comparison.table import (
    AXES,
    MODEL,
    PURE_MODEL,
    cells,
    heads,
    known_references,
    model_of,
    panels,
    points,
    ranking_notes,
)
from funkflow.tasks.model.html_tables import templates_in

_HEADING = templates_in("").from_string("""<h2>Methods compared</h2>
<p>RMSE on {{ "{:,}".format(comparison.ratings) }} validation ratings, {{ comparison.split }}; predictions clipped to
the scale. Without factors: {{ known|join(", ") }}. {{ comparison.cores }} cores.</p>
{% for words in notes %}<p>{{ words }}.</p>{% endfor %}""")
_TABLE = templates_in("").from_string("""<style>td,th{padding:.1em .9em;text-align:right}</style><table><tr>
{% for head in heads %}<th>{{ head }}</th>{% endfor %}</tr>
{% for model, row, words in rows %}<tr><td>{{ model }}</td>
{% if row.failed %}<td>{{ row.method }}</td><td>{{ row.rank or "-" }}</td>
<td colspan="{{ heads|length - 3 }}" style="text-align:left">failed: {{ words }}</td>
{% else %}{% for word in words %}<td>{{ word }}</td>{% endfor %}{% endif %}</tr>
{% endfor %}</table>""")


def comparison_page(comparison: Comparison) -> str:
    """Return the page: the curves of each form of the model, as in drawing.py, and then the table."""
    notes = ranking_notes(comparison)
    heading = _HEADING.render(comparison=comparison, known=known_references(comparison), notes=notes)
    parts: list[UIElement] = [Div(text=heading, width=1000)]
    for pure, curves in comparison.forms():
        asked = panels(comparison, curves)
        drawn = [_figure_by(curves, *fields, named=fields == asked[-1]) for fields in asked]
        parts += [Div(text=f"<h3>{PURE_MODEL if pure else MODEL}</h3>"), row(*drawn)]
    rows = [(model_of(each), each, each.failed or cells(each, comparison)) for each in comparison.rows]
    parts.append(Div(text=_TABLE.render(heads=("model", *heads(comparison)), rows=rows)))
    return str(file_html(column(*parts), INLINE, title="funkflow: methods compared", template=FILE))


def _figure_by(curves: dict[str, list[ComparedRun]], key: str, measure: str, name: str, named: bool) -> figure:
    """Return one panel; `named` : with a legend."""
    hover = HoverTool(
        tooltips=[("method", "@method"), ("rank", "@rank"), (name, f"@{measure}{{%.5g}}"), ("seconds", "@seconds{0.0}"),
                  ("memory", "@memory")],
        formatters={f"@{measure}": "printf"},
    )  # fmt: skip
    plot = figure(
        width=620 if named else 480, height=340, x_axis_type="log", x_axis_label=AXES[key], y_axis_label=name,
        tools=[hover, "pan", "wheel_zoom", "reset"], toolbar_location="above",
    )  # fmt: skip
    known = [y for rows in curves.values() for _, y in points(rows, key, measure)]
    room = 0.06 * (max(known) - min(known)) or 0.01
    plot.y_range = Range1d(start=min(known) - room, end=max(known) + room)
    if key == "rank":
        plot.xaxis.formatter = BasicTickFormatter()  # a logarithmic one writes 16 and 64 as powers of ten
        plot.xaxis.ticker = sorted({x for rows in curves.values() for x, _ in points(rows, key, measure)})
    items: list[LegendItem] = []
    for method, every in curves.items():
        rows = [each for each in every if getattr(each, measure) is not None]
        source = ColumnDataSource(
            {
                "method": [method] * len(rows),
                "rank": [each.rank for each in rows],
                measure: [getattr(each, measure) for each in rows],
                "seconds": [each.seconds for each in rows],
                "memory": [
                    "not measured" if each.memory_bytes is None else format_bytes(each.memory_bytes) for each in rows
                ],
            }
        )
        colour = colour_at(CONTENDERS.index(method))
        drawn: list[Any] = [
            plot.line(key, measure, source=source, color=colour, line_width=2),
            plot.scatter(key, measure, source=source, color=colour, size=7),
        ]
        items.append(LegendItem(label=method, renderers=drawn))
    if named:
        plot.add_layout(Legend(items=items, click_policy="hide"), "right")
    return plot
