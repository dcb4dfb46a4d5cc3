"""Figures as SVG that needs no script: lines, bars and the timeline, each with its numbers as a table beneath.

Covers: shapes and words of a figure. Colours are classes that the page's style fills, for light, dark and print.
Does not cover: what is shown (sections.py), axes' arithmetic (scales.py).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from pipeline.report.scales import Scale, padded, written
from pipeline.report.style import scrolling_table

WIDTH, HEIGHT = 680, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 16, 12, 46
_LETTER = 7.0
_SECOND = 15
_MARKS = ("circle", "square", "triangle", "diamond")


@dataclass(frozen=True)
class Series:
    """A curve or a set of bars: a value for each x, None where there is none."""

    name: str
    values: Sequence[float | None]


@dataclass(frozen=True)
class Figure:
    """What a figure shows in words. `says` : its finding, for those who do not see it."""

    title: str
    says: str
    x_label: str
    y_label: str


def line_figure(
    figure: Figure, xs: Sequence[float], series: Sequence[Series], rules: Sequence[tuple[str, float]] = (),
    x_log: bool = False, y_log: bool = False, diagonal: bool = False,
) -> str:  # fmt: skip
    """Return a figure of curves over one x axis. `rules` : level lines; `diagonal` : where y is x."""
    known = [value for each in series for value in each.values if value is not None and math.isfinite(value)]
    levels = [value for _, value in rules]
    if not xs or not known:
        return _nothing(figure)
    x_range = (min(xs), max(xs)) if x_log else padded(xs, 0.02)
    y_range = (min(known) * 0.9, max(known) * 1.1) if y_log else padded([*known, *levels])
    across = Scale(*x_range, _LEFT, WIDTH - _RIGHT, x_log)
    up = Scale(*y_range, HEIGHT - _BOTTOM, _TOP, y_log)
    whole = all(float(x).is_integer() for x in xs)
    parts = [*_axes(figure, across, up, [x for x in across.ticks(8) if not whole or float(x).is_integer()])]
    for number, (_, value) in enumerate(rules):
        parts.append(f'<path class="rule r{number % 2}" d="M{_LEFT} {up.at(value)}H{WIDTH - _RIGHT}"/>')
    if diagonal:
        low, high = max(x_range[0], y_range[0]), min(x_range[1], y_range[1])
        parts.append(f'<path class="rule r0" d="M{across.at(low)} {up.at(low)}L{across.at(high)} {up.at(high)}"/>')
    for number, each in enumerate(series):
        points = [
            (across.at(x), up.at(y))
            for x, y in zip(xs, each.values, strict=True) if y is not None and math.isfinite(y)
        ]  # fmt: skip
        path = "L".join(f"{x} {y}" for x, y in points)
        parts.append(f'<path class="line c{number % 6}" d="M{path}"/>')
        if len(points) <= 80:
            parts += [_mark(number, x, y) for x, y in points]
    names = [(f"line c{number % 6}", _MARKS[number % 4], each.name) for number, each in enumerate(series)]
    names += [(f"rule r{number % 2}", "", f"{name} {value:.4g}") for number, (name, value) in enumerate(rules)]
    names += [("rule r0", "", "as predicted")] if diagonal else []
    return _figure(figure, parts, names, _table([figure.x_label, *(each.name for each in series)], xs, series))


def bar_figure(figure: Figure, labels: Sequence[str], series: Sequence[Series]) -> str:
    """Return a figure of bars, those of one label side by side."""
    known = [value for each in series for value in each.values if value is not None]
    if not labels or not known:
        return _nothing(figure)
    low = min(0.0, *known)
    up = Scale(low * 1.05, max(0.0, *known) * 1.05 or 1.0, HEIGHT - _BOTTOM, _TOP)
    room = (WIDTH - _LEFT - _RIGHT) / len(labels)
    wide = max(1.0, 0.84 * room / len(series))
    longest = max(len(label) for label in labels) * _LETTER + 6
    step = max(1, math.ceil(longest / room))
    second = _SECOND if step == 2 else 0  # every other label a row lower
    parts = [*_axes(figure, None, up, [], HEIGHT + second)]
    for place, label in enumerate(labels):
        middle = _LEFT + (place + 0.5) * room
        if second or (place % step == 0 and (middle + longest / 2 <= WIDTH or place == 0)):
            parts.append(_text(middle, HEIGHT - _BOTTOM + 17 + second * (place % 2), label, "middle"))
        for number, each in enumerate(series):
            value = each.values[place]
            if value is not None:
                x = middle - wide * len(series) / 2 + number * wide
                top, bottom = sorted((up.at(value), up.at(0.0)))
                parts.append(
                    f'<rect class="bar c{number % 6}" x="{x:.1f}" y="{top}" width="{wide:.1f}" '
                    f'height="{max(0.5, bottom - top):.1f}"/>'
                )
    if low < 0:
        parts.append(f'<path class="axis" d="M{_LEFT} {up.at(0.0)}H{WIDTH - _RIGHT}"/>')
    names = [(f"bar c{number % 6}", "square", each.name) for number, each in enumerate(series)]
    rows = _table([figure.x_label, *(each.name for each in series)], labels, series)
    return _figure(figure, parts, names if len(series) > 1 else [], rows, HEIGHT + second)


def timeline_figure(
    figure: Figure, workers: Sequence[str], kinds: Sequence[str], rows: Sequence[Sequence[float]]
) -> str:
    """Return a figure of tasks by worker over time: [worker, kind, start, stop], the numbers of names."""
    if not rows:
        return _nothing(figure)
    lane = 34
    height = _TOP + lane * len(workers) + _BOTTOM
    across = Scale(0.0, max(row[3] for row in rows) or 1.0, _LEFT, WIDTH - _RIGHT)
    totals: dict[int, float] = {}
    for _, kind, start, stop in rows:
        totals[int(kind)] = totals.get(int(kind), 0.0) + stop - start
    shown = sorted(totals, key=lambda kind: -totals[kind])[:5]
    parts = [_text(_LEFT - 8, _TOP + lane * number + 20, f"{number + 1}", "end") for number in range(len(workers))]
    for worker, kind, start, stop in rows:
        colour = shown.index(int(kind)) if int(kind) in shown else 5
        x = across.at(start)
        parts.append(
            f'<rect class="bar c{colour}" x="{x}" y="{_TOP + lane * int(worker) + 3}" '
            f'width="{max(0.6, across.at(stop) - x):.1f}" height="{lane - 6}"/>'
        )
    base = _TOP + lane * len(workers)
    parts.append(f'<path class="axis" d="M{_LEFT} {base}H{WIDTH - _RIGHT}"/>')
    for tick in across.ticks(8):
        parts.append(f'<path class="axis" d="M{across.at(tick)} {base}v5"/>')
        parts.append(_text(across.at(tick), base + 18, written(tick), "middle"))
    parts.append(_text((_LEFT + WIDTH) / 2, base + 37, figure.x_label, "middle"))
    names = [(f"bar c{place}", "square", kinds[kind]) for place, kind in enumerate(shown)]
    names += [("bar c5", "square", "others")] if len(totals) > len(shown) else []
    order = sorted(totals, key=lambda kind: -totals[kind])
    table = _table(["kind of task", "seconds, all workers"], [kinds[kind] for kind in order],
                   [Series("", [totals[kind] for kind in order])])  # fmt: skip
    return _figure(figure, parts, names, table, height)


def sparkline(values: Sequence[float], says: str) -> str:
    """Return a small curve without axes, for a table's cell."""
    known = [value for value in values if math.isfinite(value)]
    if len(known) < 2:
        return ""
    across, up = Scale(0, len(known) - 1, 2, 98), Scale(*padded(known), 22, 2)
    path = "L".join(f"{across.at(place)} {up.at(value)}" for place, value in enumerate(known))
    return (
        f'<svg class="spark" viewBox="0 0 100 24" role="img" aria-label="{escape(says, quote=True)}">'
        f'<path class="line c0" d="M{path}"/></svg>'
    )


def _axes(
    figure: Figure, across: Scale | None, up: Scale, x_ticks: Sequence[float], height: int = HEIGHT
) -> Iterator[str]:
    bottom = HEIGHT - _BOTTOM
    for tick in up.ticks():
        yield f'<path class="grid" d="M{_LEFT} {up.at(tick)}H{WIDTH - _RIGHT}"/>'
        yield _text(_LEFT - 7, up.at(tick) + 4, written(tick), "end")
    yield f'<path class="axis" d="M{_LEFT} {_TOP}V{bottom}H{WIDTH - _RIGHT}"/>'
    for tick in x_ticks if across is not None else ():
        assert across is not None
        yield f'<path class="axis" d="M{across.at(tick)} {bottom}v5"/>'
        yield _text(across.at(tick), bottom + 18, written(tick), "middle")
    yield _text((_LEFT + WIDTH - _RIGHT) / 2, height - 8, figure.x_label, "middle", "label")
    yield (
        f'<text class="label" transform="translate(14 {(_TOP + bottom) / 2}) rotate(-90)" text-anchor="middle">'
        f"{escape(figure.y_label)}</text>"
    )


def _mark(number: int, x: float, y: float) -> str:
    shape, colour = _MARKS[number % 4], f"mark c{number % 6}"
    if shape == "circle":
        return f'<circle class="{colour}" cx="{x}" cy="{y}" r="3"/>'
    path = {
        "square": f"M{x - 2.7:.1f} {y - 2.7:.1f}h5.4v5.4h-5.4z",
        "triangle": f"M{x} {y - 3.6:.1f}l3.4 6h-6.8z",
        "diamond": f"M{x} {y - 4:.1f}l4 4l-4 4l-4 -4z",
    }[shape]
    return f'<path class="{colour}" d="{path}"/>'


def _text(x: float, y: float, words: str, anchor: str, kind: str = "tick") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _figure(
    figure: Figure, parts: Sequence[str], names: Sequence[tuple[str, str, str]], table: str, height: int = HEIGHT
) -> str:
    drawn = "".join(parts)
    name = hashlib.blake2b(f"{figure}{drawn}".encode(), digest_size=6).hexdigest()  # the same page has the same bytes
    keys = "".join(
        f'<li><svg class="key" viewBox="0 0 26 12" aria-hidden="true">{_key(kind, mark)}</svg>{escape(of)}</li>'
        for kind, mark, of in names
    )
    return (
        f'<figure><figcaption id="f{name}">{escape(figure.title)}</figcaption>'
        f'<svg class="plot" viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="f{name}" '
        f'aria-describedby="d{name}">{drawn}</svg>'
        f"{f'<ul class=keys>{keys}</ul>' if keys else ''}"
        f'<p class="says" id="d{name}">{escape(figure.says)}</p>'
        f"<details><summary>The numbers of: {escape(figure.title)}</summary>{table}</details></figure>"
    )


def _key(kind: str, mark: str) -> str:
    if kind.startswith("bar"):
        return f'<rect class="{kind}" x="6" y="1" width="14" height="10"/>'
    number = _MARKS.index(mark) if mark else -1
    return f'<path class="{kind}" d="M1 6H25"/>' + (_mark(number, 13, 6).replace(
        f"c{number % 6}", kind.split()[-1]) if mark else "")  # fmt: skip


def _nothing(figure: Figure) -> str:
    return (
        f'<figure><figcaption>{escape(figure.title)}</figcaption><p class="none">There is nothing to show.</p></figure>'
    )


def _table(heads: Sequence[str], xs: Sequence[float | str], series: Sequence[Series]) -> str:
    rows = "".join(
        f"<tr><th scope=row>{escape(x if isinstance(x, str) else written(x))}</th>"
        + "".join(f"<td>{'' if (value := each.values[place]) is None else f'{value:.6g}'}</td>" for each in series)
        + "</tr>"
        for place, x in enumerate(xs)
    )
    return scrolling_table("numbers", heads, rows)
