"""Figures of the ratings: by month, by value, and their numbers by user and by item.

Covers: this section of the page, and the words of bins of counts.
Does not cover: the other sections (sections.py), the counts (tasks/evaluation/describe.py).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from markupsafe import Markup

from funkflow.pipeline.progress.words import counted, month, percent
from funkflow.pipeline.results.report.axes import month_ticks
from funkflow.pipeline.results.report.bars import bar_figure
from funkflow.pipeline.results.report.drawing import Figure, Series
from funkflow.pipeline.results.report.facts import (
    CountBins,
    MonthFacts,
    QuarantineFacts,
    ReportFacts,
    TopItem,
    ValueCounts,
)
from funkflow.pipeline.results.report.pieces import absent, figures, piece, side_by_side
from funkflow.tasks.digits import rounded
from funkflow.tasks.evaluation.factor_ends import FactorEnd

_MOST_MONTHS = 1200
"""The longest axis with empty months: one wrong year would push all others into one bar."""


def data(facts: ReportFacts) -> Markup:
    """Return the table and the figures of the ratings."""
    found = facts["data"]
    low, high = found["scale"]
    aside = found["quarantined"]
    rows = [
        ("ratings", f"{found['ratings']:,}"),
        ("training", f"{found['training']:,}"),
        ("validation", f"{found['validation']:,}"),
        ("users", f"{found['users']:,}"),
        ("items", f"{found['items']:,}"),
        ("observed", percent(found["ratings"] / (found["users"] * found["items"] or 1)) + " of the matrix"),
        ("scale", f"{low:g} to {high:g}"),
        ("quarantined", f"{counted(aside['rows'], 'row')}, in {aside['path']}" if aside else "none"),
    ]
    shown = figures(
        _time(found["by_time"]),
        _values(found["values"]),
        _counts_of_a(found["user_counts"], "user"),
        _counts_of_a(found["item_counts"], "item"),
    )
    pair = piece("definitions", rows), _top_items_table(found["top_items"])
    return side_by_side(*pair) + _quarantine(aside) + shown


def _quarantine(found: QuarantineFacts | None) -> Markup:
    if not found:
        return Markup("")
    rows = [(each["file"], each["line"], each["reason"]) for each in found["first"]]
    first = len(found["first"])
    title = f"First {first} quarantined rows" if found["rows"] > first else "Quarantined rows"
    table = piece("table", title, ("file", "line", "reason"), rows, ("line",), named=False)
    return Markup("<h3>{}</h3>{}").format(title, table)


def _top_items_table(items: Sequence[TopItem]) -> Markup:
    if not items:
        return Markup("")
    rows = [(item_name(each), f"{each['ratings']:,}") for each in items]
    heads = ("most rated items", "ratings")
    return piece("table", "the most rated items", heads, rows, ("ratings",), named=False)


def item_name(item: TopItem | FactorEnd) -> str:
    """Write an item by its title, or by its id if it has none."""
    return str(item.get("title") or item["id"])


def _time(times: MonthFacts | None) -> Markup:
    if not times:
        return absent("Ratings by month", "The ratings have no timestamps")
    starts, ratings = times["start"], times["ratings"]
    most = max(range(len(ratings)), key=lambda place: ratings[place])
    says = f"All in {month(starts[0])}."
    if len(starts) > 1:
        first, last = (rounded(times["mean"][place], *times["mean"]) for place in (0, -1))
        says = (
            f"{month(starts[0])} to {month(starts[-1])}, most in {month(starts[most])} ({ratings[most]:,}). "
            f"Mean rating: {first} in the first month, {last} in the last."
        )
    figure = Figure("Ratings by month", says, "month", "ratings")
    months = every_month(starts)
    known = dict(zip(starts, ratings, strict=True))
    ticks = [(place + 0.5, word) for place, word in month_ticks(months)]
    return bar_figure(figure, months, [Series("ratings", [known.get(each, 0) for each in months])], ticks)


def every_month(starts: Sequence[str]) -> list[str]:
    """Return all months from the first to the last, for an axis that is even in time."""
    first, last = (12 * int(each[:-3]) + int(each[-2:]) - 1 for each in (starts[0], starts[-1]))
    if last - first > _MOST_MONTHS:
        return list(starts)
    return [f"{number // 12:04d}-{number % 12 + 1:02d}" for number in range(first, last + 1)]


def _values(values: ValueCounts | None) -> Markup:
    if not values:
        return absent("Ratings by value", "Too many different values; the errors below use bins")
    counts = {"training": values["training"], "validation": values["validation"]}
    totals = {name: sum(of_kind) or 1 for name, of_kind in counts.items()}
    shares = [
        Series(name, [100 * count / totals[name] for count in of_kind])
        for name, of_kind in counts.items()
        if sum(of_kind)
    ]
    often = max(range(len(values["value"])), key=lambda place: values["training"][place])
    share = percent(values["training"][often] / totals["training"])
    says = f"Most frequent: {values['value'][often]:g} ({share} of the training ratings)."
    figure = Figure("Ratings by value", says, "rating", "% of ratings")
    return bar_figure(figure, [f"{value:g}" for value in values["value"]], shares)


def _counts_of_a(tail: CountBins | None, side: str) -> Markup:
    title = f"Ratings per {side}"
    if not tail:
        return absent(title, "Not counted")
    bins, rows = list(zip(tail["low"], tail["high"], strict=True)), tail["rows"]
    total, ratings = sum(rows) or 1, sum(tail["ratings"]) or 1
    middle = next((n for n, above in enumerate(itertools.accumulate(rows)) if 2 * above >= total), 0)
    top = max((n for n in range(len(bins)) if rows[n]), default=0)
    without = rows[0] if bins and bins[0] == (0, 0) else 0
    words = f"Every {side} has training ratings"
    if without:
        have = "has" if without == 1 else "have"
        words = f"{counted(without, side)} ({percent(without / total)}) {have} no training ratings"
    says = (
        f"{words}; half have at most {bins[middle][1]:,}. The {counted(rows[top], side)} with {bins[top][0]:,} or more "
        f"{'has' if rows[top] == 1 else 'have'} {percent(tail['ratings'][top] / ratings)} of all."
    )
    figure = Figure(title, says, BINS_OF.format(f"the {side}"), f"{side}s")
    return bar_figure(figure, [bounds(*each) for each in bins], [Series(f"{side}s", rows)], edges(bins))


BINS_OF = "training ratings of {}"


def bounds(low: int, high: int) -> str:
    """Write a bin of counts."""
    return f"{low:,}" if low == high else f"{low:,}–{high:,}"


def edges(bins: Sequence[tuple[int, int]]) -> list[tuple[float, str]]:
    """Return the words of an axis of bins of counts: the start of each, and the end of the last."""
    begins = [(float(place), f"{low:,}") for place, (low, _) in enumerate(bins)]
    return [*begins, (float(len(bins)), f"{bins[-1][1] + 1:,}")] if bins else []
