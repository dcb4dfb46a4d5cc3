"""The ranking of a model's recommendations, beside that of the most rated items.

Covers: this section of the page. Does not cover: the verdict (verdict.py), measuring (pipeline/stages/ranking.py).
"""

from __future__ import annotations

from markupsafe import Markup

from funkflow.pipeline.progress.words import counted, listed, percent
from funkflow.pipeline.results.report.bars import bar_figure
from funkflow.pipeline.results.report.drawing import Figure, Series
from funkflow.pipeline.results.report.facts import ReportFacts
from funkflow.pipeline.results.report.pieces import piece, side_by_side
from funkflow.pipeline.root.result import MeasureName, RankingResult

_MEASURES: tuple[tuple[MeasureName, str], ...] = (("precision", "precision"), ("recall", "recall"), ("ndcg", "NDCG"))


def ranking_section(facts: ReportFacts) -> Markup:
    """Return the measures as a table and as bars, with their meaning."""
    found = facts["verdict"].get("ranking")
    if not found:
        return Markup('<p class="none">Not here: the ranking was not measured.</p>')
    at, rivals = found["count"], found["most_rated"]
    heads = [name for _, name in _MEASURES]
    series = [
        Series("most rated", [rivals[key] for key, _ in _MEASURES]),
        Series("model", [found[key] for key, _ in _MEASURES]),
    ]
    differences = [_relative_difference(found[key], rivals[key]) for key, _ in _MEASURES]
    rows = [[each.name, *(f"{value:.4f}" for value in each.values)] for each in series]
    rows.append(["difference", *differences])
    words = [f"{head} {difference}" for head, difference in zip(heads, differences, strict=True)]
    says = f"The model's measures less those of the most rated items: {listed(words)}."
    figure = Figure("The model beside the most rated items", says, f"measure, at {at}", "mean over users")
    table = piece("table", "ranking", (f"at {at}", *heads), rows, numbers=heads, bold=["model"])
    explained = Markup("<div>{}{}</div>").format(table, _explain_ranking(found))
    return side_by_side(explained, bar_figure(figure, heads, series))


def _relative_difference(own: float, rival: float) -> str:
    if not rival:
        return "" if own else percent(0.0)
    share = own / rival - 1
    return ("+" if share > 0 else "") + percent(share)


def _explain_ranking(found: RankingResult) -> Markup:
    words = (
        f"Means over {counted(found['users'], 'user')}, who are offered {counted(found['count'], 'item')} each that "
        f"they did not rate in training. Relevant is what they rated {found['threshold']:g} or more among the "
        "validation ratings. Precision is the relevant part of what is offered, recall the offered part of what is "
        "relevant, and NDCG counts a hit the more the higher it stands.",
        "What a user never rated counts as not relevant, though they might like it: this favours items that many have "
        "rated, and the measures are lower than users would judge.",
    )
    return piece("paragraphs", words)
