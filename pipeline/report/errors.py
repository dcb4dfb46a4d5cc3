"""Where a model errs, as figures: by who rated, what, how high and when, calibration, and the errors themselves.

Covers: this part of the page. Does not cover: the other parts (sections.py), the sums (tasks/breakdown.py).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from pipeline.report.charts import Figure, Series, bar_figure, line_figure
from pipeline.report.sections import Facts, bounds, figures, none
from tasks.digits import rounded


def errors(facts: Facts) -> str:
    """Return where the model errs on the validation ratings."""
    found = facts["errors"]
    if not found:
        return none("Errors", "no ratings were held out to validate on")
    return figures(
        _by_bins(found["by_user_activity"], "user activity", "ratings to train on, of the user"),
        _by_bins(found["by_item_popularity"], "item popularity", "ratings to train on, of the item"),
        _by_value(found["by_value"]),
        _by_time(found["by_time"]),
        _calibration(found["calibration"]),
        _residuals(found["residuals"]),
    )


def _by_bins(bins: Sequence[Facts], of: str, label: str) -> str:
    labels = [bounds(each["low"], each["high"]) for each in bins]
    says = _extremes(labels, bins)
    return bar_figure(Figure(f"RMSE by {of}", says, label, "RMSE"), labels, [Series("RMSE", [e["rmse"] for e in bins])])


def _extremes(labels: Sequence[str], bins: Sequence[Facts]) -> str:
    if not bins:
        return ""
    best, worst = (choose(range(len(bins)), key=lambda n: bins[n]["rmse"]) for choose in (min, max))
    least, greatest = bins[best]["rmse"], bins[worst]["rmse"]
    return (
        f"Least, {rounded(least, greatest)}, at {labels[best]} ({bins[best]['ratings']:,} ratings); greatest, "
        f"{rounded(greatest)}, at {labels[worst]} ({bins[worst]['ratings']:,})."
    )


def _by_value(bins: Sequence[Facts]) -> str:
    labels = [f"{each['value']:.3g}" for each in bins]
    figure = Figure("RMSE and mean error by rating", _extremes(labels, bins), "rating", "rating units")
    curves = [Series("RMSE", [each["rmse"] for each in bins]),
              Series("mean error (rating less prediction)", [each["mean_error"] for each in bins])]  # fmt: skip
    return bar_figure(figure, labels, curves)


def _by_time(bins: Sequence[Facts] | None) -> str:
    if not bins:
        return none("RMSE over time", "the ratings have no timestamps")
    labels = [each["start"] for each in bins]
    figure = Figure("RMSE by month", _extremes(labels, bins), "month", "RMSE")
    return bar_figure(figure, labels, [Series("RMSE", [each["rmse"] for each in bins])])


def _calibration(bins: Sequence[Facts]) -> str:
    off = max((abs(each["actual"] - each["predicted"]) for each in bins if each["ratings"] >= 50), default=0.0)
    says = f"Where at least 50 were predicted alike, their mean is at most {rounded(off)} away from the prediction."
    figure = Figure("Calibration: what was rated where so much was predicted", says, "predicted", "mean rating")
    curve = Series("mean rating", [each["actual"] for each in bins])
    return line_figure(figure, [each["predicted"] for each in bins], [curve], diagonal=True)


def _residuals(found: Facts) -> str:
    edges = found["edges"]
    middles = [(low + high) / 2 for low, high in itertools.pairwise(edges)]
    kept = [n for n, count in enumerate(found["counts"]) if count]
    first, last = (kept[0], kept[-1] + 1) if kept else (0, 0)
    says = f"Mean {rounded(found['mean'], found['deviation'])}, standard deviation {rounded(found['deviation'])}."
    figure = Figure("Errors: rating less prediction", says, "rating less prediction", "ratings")
    labels = [f"{middle:+.2g}" for middle in middles[first:last]]
    return bar_figure(figure, labels, [Series("ratings", found["counts"][first:last])])
