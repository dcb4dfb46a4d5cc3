"""How well the intervals of a posterior hold: coverage, fifths, and interval scores.

Covers: this section of the page, for a model with draws.
Does not cover: the measurement (pipeline/models/calibration.py), other sections (sections.py, errors.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from funkflow.pipeline.progress.words import counted
from funkflow.pipeline.results.report.bars import bar_figure
from funkflow.pipeline.results.report.charts import line_figure
from funkflow.pipeline.results.report.drawing import Figure, Series
from funkflow.pipeline.results.report.facts import ReportFacts
from funkflow.pipeline.results.report.interval_facts import IntervalFacts
from funkflow.pipeline.results.report.pieces import absent, figures, piece, side_by_side
from funkflow.tasks.digits import rounded
from funkflow.tasks.evaluation.calibration import Fifth


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
