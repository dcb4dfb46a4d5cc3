"""A comparison as a small drawing (SVG) for a document: the curves of page.py without a script.

Covers: the places of panels and legend. Does not cover: its numbers (runs.py), axes and curves
(pipeline/results/report/).
"""

from __future__ import annotations

from collections.abc import Iterator

from funkflow.pipeline.progress.colours import LIGHT
from funkflow.pipeline.results.comparison.runs import ComparedRun, Comparison
from funkflow.pipeline.results.comparison.table import AXES, MODEL, PURE_MODEL
from funkflow.pipeline.results.report.axes import Scale, axis_words, padded
from funkflow.pipeline.results.report.charts import curve
from funkflow.pipeline.results.report.drawing import (
    BOTTOM,
    COLOURS,
    HEIGHT,
    MARKS,
    RIGHT,
    TOP,
    WIDTH,
    Figure,
    axes,
    key_sign,
    left_of,
    text,
)
from funkflow.pipeline.results.report.pieces import DRAWING_STYLE
from funkflow.pipeline.settings.methods import METHODS

_TITLE, _LEGEND = 36, 140


def comparison_drawing(comparison: Comparison) -> str:
    """Return the drawing: a row of two panels for each form of the model, RMSE against rank and against seconds."""
    forms = list(comparison.forms())
    width, row = 2 * WIDTH + _LEGEND, HEIGHT + _TITLE
    parts: list[str] = []
    for number, (pure, curves) in enumerate(forms):
        top = number * row
        parts.append(text(0, top + 20, PURE_MODEL if pure else MODEL, "start"))
        for place, (key, label) in enumerate(AXES):
            panel = "".join(_panel(curves, key, label))
            parts.append(f'<g transform="translate({place * WIDTH} {top + _TITLE})">{panel}</g>')
        for line, method in enumerate(curves):
            x, y, of = 2 * WIDTH + 10, top + _TITLE + TOP + 20 * line, list(METHODS).index(method)
            sign = key_sign(f"line c{of % COLOURS}", MARKS[of % len(MARKS)])
            parts += [f'<g transform="translate({x} {y - 10})">{sign}</g>', text(x + 34, y, method, "start")]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{row * max(1, len(forms))}">\n'
        f"<style>:root{{{LIGHT}}}\n{DRAWING_STYLE}</style>\n"
        f'<rect width="100%" height="100%" fill="white"/>\n{"".join(f"{part}{chr(10)}" for part in parts)}</svg>\n'
    )


def _panel(curves: dict[str, list[ComparedRun]], key: str, label: str) -> Iterator[str]:
    values = [float(getattr(each, key)) for rows in curves.values() for each in rows]
    up = Scale(*padded([each.rmse or 0.0 for rows in curves.values() for each in rows]), HEIGHT - BOTTOM, TOP)
    left = left_of(axis_words(up.ticks()))
    across = Scale(min(values) * 0.9, max(values) * 1.1, left, WIDTH - RIGHT, log=True)
    marked = sorted(set(values)) if key == "rank" else across.ticks()
    words = [(across.at(x), word) for x, word in zip(marked, axis_words(marked), strict=True)]
    yield from axes(Figure("", "", label, "validation RMSE"), up, up.ticks(), left, words)
    for method, rows in curves.items():
        points = [(across.at(float(getattr(each, key))), up.at(each.rmse or 0.0)) for each in rows]
        yield from curve(list(METHODS).index(method), points, joined=True, every=1)
