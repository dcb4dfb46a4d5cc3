"""Figures of curves, and of tasks over time.

Covers: curves over one axis, the timeline, and curves so small that they stand in a table.
Does not cover: bars (bars.py), the elements of figures (drawing.py), their content (sections.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from funkflow.pipeline.results.report.axes import Scale, axis_words, padded
from funkflow.pipeline.results.report.drawing import (
    BOTTOM,
    COLOURS,
    HEIGHT,
    MARKS,
    RIGHT,
    TOP,
    WIDTH,
    Figure,
    Key,
    Series,
    axes,
    framed_figure,
    left_of,
    lower_words,
    mark,
    nothing,
    numbers,
    text,
    width_of,
)
from funkflow.pipeline.results.report.pieces import piece
from funkflow.tasks.digits import rounded

_LANE = 34
_MOST_MARKS = 40


def line_figure(
    figure: Figure, xs: Sequence[float], series: Sequence[Series], rules: Sequence[tuple[str, float]] = (),
    y_log: bool = False, diagonal: bool = False, kept: tuple[str, float] | None = None,
) -> Markup:  # fmt: skip
    """Return a figure of curves.

    `rules` : level lines; `kept` : an upright one; `diagonal` : where y is x.
    """
    known = [value for each in series for value in each.values if value is not None and math.isfinite(value)]
    if not xs or not known:
        return nothing(figure)
    y_range = (min(known) * 0.9, max(known) * 1.1) if y_log else padded([*known, *(value for _, value in rules)])
    up = Scale(*y_range, HEIGHT - BOTTOM, TOP, y_log)
    left = left_of(axis_words(up.ticks()))
    x_range = padded(xs, 0.02)
    across = Scale(*x_range, left, WIDTH - RIGHT)
    whole = all(float(x).is_integer() for x in xs)
    marked = [x for x in across.ticks(7) if not whole or (x.is_integer() and x >= min(xs))]
    words = [(across.at(x), word) for x, word in zip(marked, axis_words(marked), strict=True)]
    parts = [*axes(figure, up, up.ticks(), left, words)]
    for number, (_, value) in enumerate(rules):
        parts.append(f'<path class="rule r{number % 2}" d="M{left:.1f} {up.at(value)}H{WIDTH - RIGHT}"/>')
    if kept:
        parts.append(f'<path class="rule r1" d="M{across.at(kept[1])} {TOP}V{HEIGHT - BOTTOM}"/>')
    if diagonal:
        low, high = max(x_range[0], y_range[0]), min(x_range[1], y_range[1])
        parts.append(f'<path class="rule r0" d="M{across.at(low)} {up.at(low)}L{across.at(high)} {up.at(high)}"/>')
    for number, each in enumerate(series):
        parts += curve(number, [
            (across.at(x), up.at(y))
            for x, y in zip(xs, each.values, strict=True) if y is not None and math.isfinite(y)
        ], each.joined, -(-len(xs) // _MOST_MARKS))  # fmt: skip
    unjoined = [not each.joined or _count_known(each) == 1 for each in series]
    keys: list[Key] = [
        (f"{'mark' if alone else 'line'} c{number % COLOURS}", MARKS[number % len(MARKS)], each.name)
        for number, (each, alone) in enumerate(zip(series, unjoined, strict=True))
    ]
    keys += [(f"rule r{number % 2}", "", f"{name} {rounded(value)}") for number, (name, value) in enumerate(rules)]
    keys += [("rule r1", "", kept[0])] if kept else []
    keys += [("rule r0", "", "perfect calibration")] if diagonal else []
    table = numbers([figure.x_label, *(each.name for each in series)], xs, series)
    return framed_figure(figure, parts, keys if len(keys) > 1 else [], table)


def _count_known(series: Series) -> int:
    return sum(value is not None for value in series.values)


def curve(number: int, points: Sequence[tuple[float, float]], joined: bool, every: int) -> list[str]:
    """Return a curve with marks at one in `every` points, so that curves differ in more than colour."""
    colour = number % COLOURS
    path = "L".join(f"{x} {y}" for x, y in points)
    line = [f'<path class="line c{colour}" d="M{path}"/>'] if joined and len(points) > 1 else []
    return [*line, *(mark(number, colour, x, y) for x, y in points[:: every if line else 1])]


def timeline_figure(
    figure: Figure, workers: Sequence[str], kinds: Sequence[str], rows: Sequence[Sequence[float]]
) -> Markup:
    """Return a figure of tasks by worker over time: [worker, kind, start, stop], the numbers of names."""
    if not rows:
        return nothing(figure)
    left = left_of([str(len(workers))])
    base = TOP + _LANE * len(workers)
    across = Scale(0.0, max(row[3] for row in rows) or 1.0, left, WIDTH - RIGHT - width_of("0"))
    totals: dict[int, float] = {}
    for _, kind, start, stop in rows:
        totals[int(kind)] = totals.get(int(kind), 0.0) + stop - start
    order = sorted(totals, key=lambda kind: -totals[kind])
    shown = order[: COLOURS - 1]
    parts = [text(0, 14, figure.y_label, "start")]
    parts += [text(left - 8, TOP + _LANE * number + 22, f"{number + 1}", "end") for number in range(len(workers))]
    for worker, kind, start, stop in rows:
        colour = shown.index(int(kind)) if int(kind) in shown else COLOURS - 1
        x = across.at(start)
        parts.append(
            f'<rect class="bar c{colour}" x="{x}" y="{TOP + _LANE * int(worker) + 3}" '
            f'width="{max(0.6, across.at(stop) - x):.1f}" height="{_LANE - 6}"/>'
        )
    parts.append(f'<path class="axis" d="M{left:.1f} {base}H{WIDTH - RIGHT}"/>')
    ticks = across.ticks(7)
    parts += lower_words([(across.at(tick), word) for tick, word in zip(ticks, axis_words(ticks), strict=True)], base)
    parts.append(text((left + WIDTH - RIGHT) / 2, base + BOTTOM - 7, figure.x_label, "middle"))
    keys: list[Key] = [(f"bar c{place}", "", kinds[kind]) for place, kind in enumerate(shown)]
    keys += [(f"bar c{COLOURS - 1}", "", "others")] if len(order) > len(shown) else []
    seconds = [Series("", [totals[kind] for kind in order])]
    table = numbers(["kind of task", "seconds, all workers"], [kinds[kind] for kind in order], seconds)
    return framed_figure(figure, parts, keys, table, base + BOTTOM)


def sparkline(values: Sequence[float], says: str) -> Markup:
    """Return a small curve without axes, for a table's cell."""
    known = [value for value in values if math.isfinite(value)]
    if len(known) < 2:
        return Markup("")
    across, up = Scale(0, len(known) - 1, 2, 98), Scale(*padded(known), 22, 2)
    path = "L".join(f"{across.at(place)} {up.at(value)}" for place, value in enumerate(known))
    return piece("spark", says, path)
