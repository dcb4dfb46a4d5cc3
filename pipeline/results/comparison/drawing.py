"""A comparison as a small drawing (SVG) for a document: the curves of page.py without a script.

Covers: the places of panels and legend. Does not cover: its numbers (runs.py), axes and curves
(pipeline/results/report/).
"""

from __future__ import annotations

from collections.abc import Iterator

from funkflow.pipeline.progress.colours import LIGHT
from funkflow.pipeline.results.comparison.contenders import CONTENDERS
from funkflow.pipeline.results.comparison.runs import ComparedRun, Comparison
from funkflow.pipeline.results.comparison.table import AXES, MODEL, PURE_MODEL, panels, points
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

_TITLE, _LEGEND = 36, 140


def comparison_drawing(comparison: Comparison) -> str:
    """Return the drawing: a row of panels for each form of the model.

    RMSE against rank and against seconds and, where rankings were measured, NDCG against rank.
    """
    forms = [(pure, curves, panels(comparison, curves)) for pure, curves in comparison.forms()]
    most = max((len(asked) for _, _, asked in forms), default=1)
    width, row = most * WIDTH + _LEGEND, HEIGHT + _TITLE
    parts: list[str] = []
    for number, (pure, curves, asked) in enumerate(forms):
        top = number * row
        parts.append(text(0, top + 20, PURE_MODEL if pure else MODEL, "start"))
        for place, fields in enumerate(asked):
            panel = "".join(_panel(curves, *fields))
            parts.append(f'<g transform="translate({place * WIDTH} {top + _TITLE})">{panel}</g>')
        for line, method in enumerate(curves):
            x, y, of = most * WIDTH + 10, top + _TITLE + TOP + 20 * line, CONTENDERS.index(method)
            sign = key_sign(f"line c{of % COLOURS}", MARKS[of % len(MARKS)])
            parts += [f'<g transform="translate({x} {y - 10})">{sign}</g>', text(x + 34, y, method, "start")]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{row * max(1, len(forms))}">\n'
        f"<style>:root{{{LIGHT}}}\n{DRAWING_STYLE}</style>\n"
        f'<rect width="100%" height="100%" fill="white"/>\n{"".join(f"{part}{chr(10)}" for part in parts)}</svg>\n'
    )


def _panel(curves: dict[str, list[ComparedRun]], key: str, measure: str, name: str) -> Iterator[str]:
    places = {method: points(rows, key, measure) for method, rows in curves.items()}
    values = [x for each in places.values() for x, _ in each]
    up = Scale(*padded([y for each in places.values() for _, y in each]), HEIGHT - BOTTOM, TOP)
    left = left_of(axis_words(up.ticks()))
    across = Scale(min(values) * 0.9, max(values) * 1.1, left, WIDTH - RIGHT, log=True)
    marked = sorted(set(values)) if key == "rank" else across.ticks()
    words = [(across.at(x), word) for x, word in zip(marked, axis_words(marked), strict=True)]
    yield from axes(Figure("", "", AXES[key], name), up, up.ticks(), left, words)
    for method, each in places.items():
        drawn = [(across.at(x), up.at(y)) for x, y in each]
        yield from curve(CONTENDERS.index(method), drawn, joined=True, every=1)
