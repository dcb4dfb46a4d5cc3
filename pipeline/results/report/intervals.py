"""The draws of a posterior: how well their intervals hold, and whether their chains agree.

Covers: these sections of the page, for a method that draws.
Does not cover: the measurements (pipeline/models/calibration.py, tasks/training/posterior/convergence.py), other
sections (sections.py, errors.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from markupsafe import Markup

from funkflow.pipeline.progress.words import counted, percent
from funkflow.pipeline.results.report.bars import bar_figure
from funkflow.pipeline.results.report.charts import line_figure
from funkflow.pipeline.results.report.drawing import Figure, Series
from funkflow.pipeline.results.report.facts import ReportFacts
from funkflow.pipeline.results.report.interval_facts import HistogramFacts, IntervalFacts
from funkflow.pipeline.results.report.pieces import absent, figures, piece, side_by_side
from funkflow.tasks.digits import rounded
from funkflow.tasks.evaluation.calibration import Fifth

_AGREE, _DIFFER = 1.01, 1.1
"""Values of R-hat below which chains agree, and from which they differ (Vehtari et al. 2021; Gelman & Rubin 1992)."""
_FEW = 0.05


def intervals(facts: ReportFacts) -> Markup:
    """Return the figures of coverage and the table of scores."""
    found = facts.get("intervals")
    if not found:
        return absent("Intervals", "The model has no draws of a posterior, or there are no validation ratings")
    by_fifths = figures(
        _by_fifths(found, found["by_deviation"], "predicted deviation"),
        _by_fifths(found, found["by_ratings"], "training ratings of the user"),
    )
    return by_fifths + side_by_side(_scores(found), _places(found))


def _by_fifths(found: IntervalFacts, fifths: Sequence[Fifth], of: str) -> Markup:
    words = [f"{each['low']:.3g} to {each['high']:.3g}" for each in fifths]
    series = [
        Series(f"{100 * level:g} %", [100.0 * each["coverage"][number] for each in fifths])
        for number, level in enumerate(found["levels"])
    ]
    off = [(abs(100 * level - share), level, word, share)
           for level, each in zip(found["levels"], series, strict=True)
           for word, share in zip(words, each.values, strict=True) if share is not None]  # fmt: skip
    _, level, word, share = max(off)
    says = f"Farthest off: the {100 * level:g} % interval holds {share:.1f} % at {word}."
    figure = Figure(f"Coverage by {of}", says, f"{of}, in fifths", "% of ratings inside")
    ticks = [(place + 0.5, f"{place + 1}") for place in range(len(fifths))]
    return bar_figure(figure, words, series, ticks)


def _places(found: IntervalFacts) -> Markup:
    """Return the distribution of ratings' places in their own distributions."""
    total, bins = max(1, sum(found["pits"])), len(found["pits"])
    held = ", ".join(f"{100 * share:.1f} %" for share in found["coverage"])
    levels = ", ".join(f"{100 * level:g}" for level in found["levels"])
    says = f"Central intervals of {levels} % hold {held} of {counted(found['ratings'], 'validation rating')}."
    figure = Figure(
        "Where ratings lie in their distributions", says, "probability below the rating", "ratings, even = 1"
    )
    xs = [(place + 0.5) / bins for place in range(bins)]
    return line_figure(
        figure, xs, [Series("ratings", [bins * count / total for count in found["pits"]])], [("even", 1.0)]
    )


def _scores(found: IntervalFacts) -> Markup:
    rows = [
        [f"{100 * each['level']:g} %", *(rounded(each[name]) for name in ("model", "constant", "best_constant"))]
        for each in found["scores"]
    ]
    training, best = (rounded(each) for each in found["constants"])
    heads = ("interval", "by the draws", f"constant {training}", f"constant {best}")
    words = (
        "Mean interval score: the width, and a penalty for each rating outside; less is better. Beside it, constant "
        f"deviations: {training} fits the training ratings, {best} the validation ratings."
    )
    table = piece("table", "interval scores", heads, rows, numbers=heads[1:])
    return Markup("<div>{}{}</div>").format(piece("paragraphs", [words]), table)


def convergence(facts: ReportFacts) -> Markup:
    """Return the figures of R-hat and of effective numbers of draws."""
    found = facts.get("convergence")
    if not found:
        return absent("Agreement of chains", "No draws, or no validation ratings to trace")
    agree, differ = (_share_from(found["by_r_hat"], limit) for limit in (_AGREE, _DIFFER))
    of_all = f"{percent(differ)} of {counted(sum(found['by_r_hat']['counts']), 'prediction')}"
    says = f"R-hat is {found['r_hat'][0]:.2f} in the median, and {_DIFFER} or more for {of_all}: "
    if agree <= _FEW:
        says += "the chains agree, and more draws would hardly change a prediction or its interval."
    elif differ <= _FEW:
        says += "the chains nearly agree; longer chains (train.bayes.draws) would change intervals a little."
    else:
        says += "there chains settle in different optima; trust their mean, and read the spread as that of optima."
    usual, least = found["effective"]
    worth = (
        f"{counted(found['chains'] * found['draws'], 'draw')} are worth {usual:.0f} independent ones in the median, "
        f"{least:.0f} at least: by chance their mean is off by {percent(max(usual, 1.0) ** -0.5)} of their deviation."
    )
    r_hat = Figure("R-hat of predictions", says, "R-hat, 1 if chains agree", "predictions")
    effective = Figure("Effective draws", worth, "independent draws that are worth as much", "predictions")
    return figures(_bars(found["by_r_hat"], r_hat), _bars(found["by_effective"], effective))


def _share_from(found: HistogramFacts, edge: float) -> float:
    """Return the part of the values from an edge on."""
    first = sum(each <= edge for each in found["edges"])
    return sum(found["counts"][first:]) / max(1, sum(found["counts"]))


def _bars(found: HistogramFacts, figure: Figure) -> Markup:
    edges, names = found["edges"], {_AGREE: "agree", _DIFFER: "differ"}
    between = [f"{low:g} to {high:g}" for low, high in pairwise(edges)]
    labels = [f"below {edges[0]:g}", *between, f"{edges[-1]:g} or more"]
    ticks = [(float(place), f"{edge:g}") for place, edge in enumerate(edges, start=1)]
    limits = [
        (f"{edge:g}, chains {names[edge]}", float(place)) for place, edge in enumerate(edges, start=1) if edge in names
    ]
    return bar_figure(figure, labels, [Series("predictions", found["counts"])], ticks, limits=limits)
