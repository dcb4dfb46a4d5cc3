"""A comparison as a small drawing (SVG) for a document: the curves of page.py without a script.

Covers: axes, curves and legend, by plain arithmetic. Does not cover: its numbers (runs.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

from funkflow.pipeline.results.comparison.runs import Comparison, Row
from funkflow.pipeline.results.comparison.table import MODEL, PURE_MODEL
from funkflow.pipeline.settings.methods import METHODS

_WIDTH, _HEIGHT, _LEFT, _TOP, _GAP = 310, 190, 62, 58, 80
_LEGEND = 110
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


def comparison_drawing(comparison: Comparison) -> str:
    """Return the drawing: a row of two panels for each form of the model, RMSE against rank and against seconds."""
    width, row = _LEFT + 2 * _WIDTH + _GAP + 20 + _LEGEND, _TOP + _HEIGHT + 50
    forms = list(comparison.forms())
    parts: list[str] = []
    for number, (pure, curves) in enumerate(forms):
        top = number * row
        parts.append(_text(_LEFT, top + 22, PURE_MODEL if pure else MODEL, "start", 'font-weight="bold"'))
        errors = _ticks([each.rmse or 0.0 for rows in curves.values() for each in rows])
        for place, key in enumerate(("rank", "seconds")):
            parts += _panel(curves, key, errors, _LEFT + place * (_WIDTH + _GAP), top + _TOP)
        for line, method in enumerate(curves):
            x, y = _LEFT + 2 * _WIDTH + _GAP + 20, top + _TOP + 10 + 20 * line
            colour = METHODS[method].colour
            parts.append(f'<path d="M{x} {y}h22" stroke="{colour}" stroke-width="2"/>')
            parts.append(f'<circle cx="{x + 11}" cy="{y}" r="3" fill="{colour}"/>')
            parts.append(_text(x + 28, y + 4, method, "start"))
    size = f'width="{width}" height="{row * max(1, len(forms))}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12" fill="#333">\n'
        f'<rect width="100%" height="100%" fill="white"/>\n{"".join(f"{part}{chr(10)}" for part in parts)}</svg>\n'
    )


def _panel(curves: dict[str, list[Row]], key: str, errors: list[float], left: float, top: float) -> Iterator[str]:
    values = [float(getattr(each, key)) for rows in curves.values() for each in rows]
    begin, end = math.log(min(values) * 0.9), math.log(max(values) * 1.1)

    def x(value: float) -> float:
        return round(left + (math.log(value) - begin) / (end - begin) * _WIDTH, 1)

    def y(error: float) -> float:
        return round(top + (errors[-1] - error) / (errors[-1] - errors[0]) * _HEIGHT, 1)

    yield f'<path d="M{left} {top}v{_HEIGHT}h{_WIDTH}" fill="none" stroke="#333"/>'
    digits = max(0, -math.floor(math.log10(errors[1] - errors[0]) + 1e-9)) + (2.5 in _leading(errors))
    for error in errors:
        yield f'<path d="M{left} {y(error)}h{_WIDTH}" stroke="#ddd"/>'
        yield _text(left - 6, y(error) + 4, f"{error:.{digits}f}", "end")
    for value in sorted({int(each) for each in values}) if key == "rank" else _decades(values):
        yield f'<path d="M{x(value)} {top + _HEIGHT}v5" stroke="#333"/>'
        yield _text(x(value), top + _HEIGHT + 18, f"{value:g}", "middle")
    yield _text(left + _WIDTH / 2, top + _HEIGHT + 36, key if key == "rank" else "seconds of training", "middle")
    yield _text(left - 40, top - 12, "validation RMSE", "start")
    for method, rows in curves.items():
        colour = METHODS[method].colour
        points = [(x(float(getattr(each, key))), y(each.rmse or 0.0)) for each in rows]
        path = " ".join(f"{a},{b}" for a, b in points)
        yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
        yield from (f'<circle cx="{a}" cy="{b}" r="3" fill="{colour}"/>' for a, b in points)


def _text(x: float, y: float, words: str, anchor: str, more: str = "") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" {more}>{escape(words)}</text>'


def _ticks(values: Sequence[float]) -> list[float]:
    """Return four to seven round numbers around the values."""
    least, greatest = min(values), max(values)
    span = (greatest - least) or 0.01
    unit = 10.0 ** math.floor(math.log10(span / 4))
    step = next(unit * each for each in _STEPS if span / (unit * each) <= 5)
    first, last = math.floor(least / step), math.ceil(greatest / step)
    return [number * step for number in range(first, max(last, first + 1) + 1)]


def _leading(errors: list[float]) -> list[float]:
    """Return the leading digits of the step between ticks, which say how many decimals it takes to write them."""
    step = errors[1] - errors[0]
    return [round(step / 10.0 ** math.floor(math.log10(step) + 1e-9), 3)]


def _decades(values: Sequence[float]) -> list[float]:
    """Return numbers 1, 2 or 5 times a power of ten within the values; few enough to be written side by side."""
    first, last = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    for factors in ((1, 2, 5), (1, 3), (1,)):
        every = [factor * 10.0**power for power in range(first, last + 1) for factor in factors]
        found = [each for each in every if min(values) * 0.9 <= each <= max(values) * 1.1]
        if len(found) <= 8:
            break
    return found
