"""Figures of bars: upright ones side by side, and horizontal ones between their names and their values.

Covers: categories, bins between edges, and bins along a scale; these differ in the words of the axis.
Does not cover: curves (charts.py), the elements of figures (drawing.py), their content (sections.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from funkflow.pipeline.results.report.axes import Scale, axis_words, from_zero
from funkflow.pipeline.results.report.drawing import (
    BOTTOM,
    COLOURS,
    HEIGHT,
    RIGHT,
    TOP,
    WIDTH,
    Figure,
    Key,
    Series,
    axes,
    framed_figure,
    left_of,
    nothing,
    numbers,
    text,
    width_of,
)
from funkflow.tasks.digits import rounded

FEW = 50
"""With fewer ratings, the error of a bar is mostly chance."""
_ROW, _MOST_UP = 27, 5


def bar_figure(
    figure: Figure, labels: Sequence[str], series: Sequence[Series], ticks: Sequence[tuple[float, str]] | None = None,
    level: tuple[str, float] | None = None, pale: Sequence[bool] = (), limits: Sequence[tuple[str, float]] = (),
) -> Markup:  # fmt: skip
    """Return a figure of bars, those of one label side by side.

    Parameters
    ----------
    labels : of each place, for the table of numbers.
    ticks : words of the axis, at places counted in bars from its start; None: each label below its bar.
    level : a line across, by name.
    pale : whether a bar has fewer than `FEW` ratings, which hardly say anything.
    limits : upright lines by name, at most two, at places counted as those of ticks.
    """
    known = [value for each in series for value in each.values if value is not None]
    if not labels or not known:
        return nothing(figure)
    low, high = from_zero([*known, *([level[1]] if level else [])], _MOST_UP)
    up = Scale(low, high, HEIGHT - BOTTOM, TOP)
    left = left_of(axis_words(up.ticks(_MOST_UP)))
    room = (WIDTH - RIGHT - left) / len(labels)
    if ticks is None:
        ticks = [(place + 0.5, label) for place, label in enumerate(labels)]
    words = [(left + place * room, word) for place, word in ticks]
    parts = [*axes(figure, up, up.ticks(_MOST_UP), left, words)]
    wide = max(0.8, (0.84 if len(labels) < 40 else 0.92) * room / len(series))
    for number, each in enumerate(series):
        for place, value in enumerate(each.values):
            if value is None:
                continue
            x = left + (place + 0.5) * room - wide * len(series) / 2 + number * wide
            top, bottom = sorted((up.at(value), up.at(0.0)))
            faint = " pale" if pale and pale[place] else ""
            parts.append(
                f'<rect class="bar c{number % COLOURS}{faint}" x="{x:.1f}" y="{top}" width="{wide:.1f}" '
                f'height="{max(0.5, bottom - top):.1f}"/>'
            )
    if low < 0:
        parts.append(f'<path class="axis" d="M{left:.1f} {up.at(0.0)}H{WIDTH - RIGHT}"/>')
    if level:
        parts.append(f'<path class="rule r0" d="M{left:.1f} {up.at(level[1])}H{WIDTH - RIGHT}"/>')
    for number, (_, across) in enumerate(limits):
        parts.append(f'<path class="rule r{number}" d="M{left + across * room:.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
    keys: list[Key] = [(f"bar c{number % COLOURS}", "", each.name) for number, each in enumerate(series)]
    keys += [("bar c0 pale", "", f"fewer than {FEW} ratings")] if any(pale) else []
    keys += [("rule r0", "", f"{level[0]} {rounded(level[1])}")] if level else []
    keys += [(f"rule r{number}", "", name) for number, (name, _) in enumerate(limits)]
    table = numbers([figure.x_label, *(each.name for each in series)], labels, series)
    return framed_figure(figure, parts, keys if len(keys) > 1 else [], table)


def row_figure(
    figure: Figure, labels: Sequence[str], values: Sequence[float], written: Sequence[str],
    level: tuple[str, float] | None = None,
) -> Markup:  # fmt: skip
    """Return a figure of horizontal bars, each between its label and its value as `written`."""
    if not labels:
        return nothing(figure)
    left = 10 + max(width_of(label) for label in labels)
    end = WIDTH - 14 - max(width_of(word) for word in written)
    across = Scale(0.0, max(*values, level[1] if level else 0.0) or 1.0, left, end)
    height = _ROW * len(labels) + 8
    parts = []
    for place, (label, value, word) in enumerate(zip(labels, values, written, strict=True)):
        y = 4 + _ROW * place
        parts.append(text(left - 8, y + 18, label, "end"))
        parts.append(
            f'<rect class="bar c0" x="{left:.1f}" y="{y + 4}" width="{max(1.0, across.at(value) - left):.1f}" '
            f'height="{_ROW - 9}"/>'
        )
        parts.append(text(WIDTH - 4, y + 18, word, "end"))
    if level:
        parts.append(f'<path class="rule r0" d="M{across.at(level[1])} 0V{height}"/>')
    keys: list[Key] = [("bar c0", "", figure.y_label), ("rule r0", "", level[0])] if level else []
    return framed_figure(
        figure, parts, keys, numbers([figure.x_label, figure.y_label], labels, [Series("", values)]), height
    )
