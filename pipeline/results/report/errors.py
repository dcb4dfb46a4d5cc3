"""Figures of a model's errors: by user, item, value and month, calibration, and the distribution of the errors.

Covers: this section of the page.
Does not cover: the other sections (sections.py), the sums (tasks/evaluation/breakdown.py).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from markupsafe import Markup

from funkflow.pipeline.progress.words import counted, month, signed
from funkflow.pipeline.results.report.axes import axis_words, month_ticks, round_numbers
from funkflow.pipeline.results.report.bars import FEW, bar_figure
from funkflow.pipeline.results.report.charts import line_figure
from funkflow.pipeline.results.report.drawing import Figure, Series
from funkflow.pipeline.results.report.facts import (
    CalibrationBin,
    CountErrorBin,
    ErrorBin,
    MonthErrorBin,
    ReportFacts,
    ResidualFacts,
    ValueErrorBin,
)
from funkflow.pipeline.results.report.pieces import absent, figures
from funkflow.pipeline.results.report.ratings import BINS_OF, bounds, edges, every_month
from funkflow.tasks.digits import rounded


def errors(facts: ReportFacts) -> Markup:
    """Return the figures of the errors on the validation ratings."""
    found = facts["errors"]
    if not found:
        return absent("Errors", "No validation ratings")
    whole = facts["verdict"].get("rmse")
    parts = [
        _by_counts(found["by_user_activity"], "user activity", "the user", whole),
        _by_counts(found["by_item_popularity"], "item popularity", "the item", whole),
        _by_rating(found["by_value"]),
        _by_time(found["by_time"], whole),
        _calibration(found["calibration"]),
        _residuals(found["residuals"]),
    ]
    return figures(*parts)


def _by_counts(bins: Sequence[CountErrorBin], of: str, side: str, whole: float | None) -> Markup:
    known = {(each["low"], each["high"]): each for each in bins}
    every = _every_bin(list(known))
    labels = [bounds(*each) for each in every]
    says = _best_and_worst([bounds(*each) for each in known], bins, "at {} training ratings")
    figure = Figure(f"RMSE by {of}", says, BINS_OF.format(side), "RMSE")
    return _rmse_bars(figure, labels, [known.get(each) for each in every], edges(every), whole)


def _every_bin(bins: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the bins, which double, and the empty ones between them."""
    every = list(bins[:1])
    while every and every[-1] != bins[-1]:
        low = every[-1][1] + 1
        every.append((low, max(low, 2 * low - 1)))
    return every


def _rmse_bars(
    figure: Figure, labels: Sequence[str], bins: Sequence[ErrorBin | None], ticks: Sequence[tuple[float, str]],
    whole: float | None,
) -> Markup:  # fmt: skip
    series = Series("RMSE", [None if each is None else each["rmse"] for each in bins])
    pale = [each is not None and each["ratings"] < FEW for each in bins]
    level = None if whole is None else ("all ratings", whole)
    return bar_figure(figure, labels, [series], ticks, level=level, pale=pale)


def _best_and_worst(labels: Sequence[str], bins: Sequence[ErrorBin], at: str) -> str:
    """Name the bins with the least and the greatest RMSE, among those with enough ratings.

    at : the place of a bin in words, with its label for the braces; the second bin goes without what follows them.
    """
    places = [n for n in range(len(bins)) if bins[n]["ratings"] >= FEW]
    if len(places) < 2:
        return f"Too few validation ratings to compare groups: at most one has {FEW}."
    best, worst = (choose(places, key=lambda n: bins[n]["rmse"]) for choose in (min, max))
    least, greatest = bins[best]["rmse"], bins[worst]["rmse"]
    before, _, after = at.partition("{}")
    return (
        f"Lowest {before}{labels[best]}{after}: {rounded(least, greatest)} "
        f"({counted(bins[best]['ratings'], 'validation rating')}); highest {before}{labels[worst]}: "
        f"{rounded(greatest, least)} ({bins[worst]['ratings']:,})."
    )


def _by_rating(bins: Sequence[ValueErrorBin]) -> Markup:
    labels = [f"{each['value']:.3g}" for each in bins]
    says = _best_and_worst(labels, bins, "at rating {}")
    figure = Figure("RMSE and mean error by rating", says, "rating", "rating units")
    curves = [Series("RMSE", [each["rmse"] for each in bins]),
              Series("mean error (rating − prediction)", [each["mean_error"] for each in bins])]  # fmt: skip
    return bar_figure(figure, labels, curves)


def _by_time(bins: Sequence[MonthErrorBin] | None, whole: float | None) -> Markup:
    if not bins:
        return absent("RMSE by month", "The ratings have no timestamps")
    known = {each["start"]: each for each in bins}
    months = every_month(list(known))
    figure = Figure("RMSE by month", _best_and_worst([month(each) for each in known], bins, "in {}"), "month", "RMSE")
    ticks = [(place + 0.5, word) for place, word in month_ticks(months)]
    return _rmse_bars(figure, months, [known.get(each) for each in months], ticks, whole)


def _calibration(bins: Sequence[CalibrationBin]) -> Markup:
    off = max((abs(each["actual"] - each["predicted"]) for each in bins if each["ratings"] >= FEW), default=0.0)
    says = f"The mean rating is within {rounded(off)} of the prediction (bins of at least {FEW} ratings)."
    figure = Figure("Calibration: mean rating by prediction", says, "prediction", "mean rating")
    curve = Series("mean rating", [each["actual"] for each in bins])
    return line_figure(figure, [each["predicted"] for each in bins], [curve], diagonal=True)


def _residuals(found: ResidualFacts) -> Markup:
    bounds_of, counts = found["edges"], found["counts"]
    kept = [n for n, count in enumerate(counts) if count]
    first, last = (kept[0], kept[-1] + 1) if kept else (0, 0)
    mean, deviation = rounded(found["mean"], found["deviation"]), rounded(found["deviation"])
    figure = Figure(
        "Errors: rating − prediction", f"Mean {signed(mean)}, standard deviation {deviation}.",
        "rating − prediction", "validation ratings",
    )  # fmt: skip
    labels = [signed(f"{low:.2f} to {high:.2f}") for low, high in itertools.pairwise(bounds_of)][first:last]
    width = bounds_of[1] - bounds_of[0]
    marked = round_numbers(bounds_of[first], bounds_of[last], 8)
    ticks = [((x - bounds_of[first]) / width, word) for x, word in zip(marked, axis_words(marked), strict=True)]
    return bar_figure(figure, labels, [Series("validation ratings", counts[first:last])], ticks)
