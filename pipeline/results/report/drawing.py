"""The elements of all figures: axes, marks, keys, and the frame with words and a table of numbers.

Covers: SVG without a script, narrow enough for a phone. Colours are classes in the style sheet of the page, for light,
dark and print.
Does not cover: the figures (charts.py, bars.py), their content (sections.py), the arithmetic of axes (axes.py).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from markupsafe import Markup

from funkflow.pipeline.progress.words import signed
from funkflow.pipeline.results.report.axes import Scale, axis_words
from funkflow.pipeline.results.report.pieces import piece

WIDTH, HEIGHT = 480, 276
"""A page of 420 px has 396 for a figure, so that letters of 13.5 here (the style sheet) have 11 px there."""
TOP, BOTTOM, RIGHT = 30, 46, 16
MARKS = ("circle", "square", "triangle", "diamond")
COLOURS = 6
_LETTER, _GAP = 8.6, 8.0
"""The greatest width of a letter, and the least space between two words of an axis."""

Key = tuple[str, str, str]
"""Of a legend: class, mark or nothing, and name."""


@dataclass(frozen=True)
class Series:
    """A curve or a set of bars: a value, or None, for each x. `joined` : by a line."""

    name: str
    values: Sequence[float | None]
    joined: bool = True


@dataclass(frozen=True)
class Figure:
    """The words of a figure. `says` : its finding, for those who do not see it."""

    title: str
    says: str
    x_label: str
    y_label: str


def left_of(words: Sequence[str]) -> float:
    """Return the width of the words of the upright axis."""
    return 12.0 + max((width_of(word) for word in words), default=0.0)


def width_of(word: str) -> float:
    """Return about the greatest width of a word."""
    return _LETTER * len(word)


def axes(
    figure: Figure, up: Scale, up_ticks: Sequence[float], left: float, ticks: Sequence[tuple[float, str]],
    height: int = HEIGHT,
) -> Iterator[str]:  # fmt: skip
    """Yield both axes; `ticks` : places and words along the lower one, without those that do not fit."""
    bottom = height - BOTTOM
    yield text(0, 14, figure.y_label, "start")
    for tick, word in zip(up_ticks, axis_words(up_ticks), strict=True):
        yield f'<path class="grid" d="M{left:.1f} {up.at(tick)}H{WIDTH - RIGHT}"/>'
        yield text(left - 8, up.at(tick) + 4.5, word, "end")
    yield f'<path class="axis" d="M{left:.1f} {bottom}H{WIDTH - RIGHT}"/>'
    yield from lower_words(ticks, bottom)
    yield text((left + WIDTH - RIGHT) / 2, height - 7, figure.x_label, "middle")


def lower_words(ticks: Sequence[tuple[float, str]], bottom: float) -> Iterator[str]:
    """Yield the marks of the lower axis, and every word, or every second, third …, so that all fit."""
    fitting = [(x, word) for x, word in ticks if width_of(word) / 2 <= x <= WIDTH - width_of(word) / 2]
    step = next(step for step in range(1, len(fitting) + 2) if _have_room(fitting[::step]))
    for x, word in fitting[::step]:
        yield f'<path class="axis" d="M{x:.1f} {bottom}v5"/>'
        yield text(x, bottom + 19, word, "middle")


def _have_room(ticks: Sequence[tuple[float, str]]) -> bool:
    return all(
        later - earlier >= (width_of(word) + width_of(other)) / 2 + _GAP
        for (earlier, word), (later, other) in pairwise(ticks)
    )


def mark(number: int, colour: int, x: float, y: float) -> str:
    """Draw a point of the curve of that number."""
    shape, kind = MARKS[number % len(MARKS)], f"mark c{colour}"
    if shape == "circle":
        return f'<circle class="{kind}" cx="{x}" cy="{y}" r="3"/>'
    path = {
        "square": f"M{x - 2.7:.1f} {y - 2.7:.1f}h5.4v5.4h-5.4z",
        "triangle": f"M{x} {y - 3.6:.1f}l3.4 6h-6.8z",
        "diamond": f"M{x} {y - 4:.1f}l4 4l-4 4l-4 -4z",
    }[shape]
    return f'<path class="{kind}" d="{path}"/>'


def text(x: float, y: float, words: str, anchor: str) -> str:
    """Draw words."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def framed_figure(
    figure: Figure, parts: Sequence[str], keys: Sequence[Key], table: Markup, height: float = HEIGHT
) -> Markup:
    """Return a whole figure: title, drawing, legend, finding, and the numbers to unfold."""
    drawing = Markup("".join(parts))
    name = hashlib.blake2b(f"{figure}{drawing}".encode(), digest_size=6).hexdigest()  # the same page has the same bytes
    legend = [(Markup(key_sign(kind, of)), words) for kind, of, words in keys]
    return piece(
        "drawn", title=figure.title, says=figure.says, name=name, box=f"0 0 {WIDTH} {height:g}", drawing=drawing,
        keys=legend, numbers=table,
    )  # fmt: skip


def key_sign(kind: str, of: str) -> str:
    """Draw the sign of a legend."""
    if kind.startswith("bar"):
        return f'<rect class="{kind}" x="6" y="1" width="14" height="10"/>'
    line = f'<path class="{kind}" d="M1 6H25"/>'
    return line + mark(MARKS.index(of), int(kind[-1]), 13, 6) if of else line


def nothing(figure: Figure) -> Markup:
    """Return a line in place of a figure without values."""
    return piece("absence", figure.title, "No data.")


def numbers(heads: Sequence[str], xs: Sequence[float | str], series: Sequence[Series]) -> Markup:
    """Return the numbers of a figure as a table."""
    rows = [
        (x if isinstance(x, str) else _number(x), *(_number(each.values[place]) for each in series))
        for place, x in enumerate(xs)
    ]
    return piece("table", "numbers", heads, rows)


def _number(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return ""
    return signed(f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e15 else f"{value:.6g}")
