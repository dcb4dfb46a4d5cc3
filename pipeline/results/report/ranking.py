"""The ranking of a model's recommendations, beside that of the most rated items and of a random order.

Covers: this section of the page. Does not cover: the verdict (verdict.py), measuring (pipeline/stages/ranking.py).
"""

from __future__ import annotations

from markupsafe import Markup

from funkflow.pipeline.progress.words import counted, percent
from funkflow.pipeline.results.report.bars import bar_figure
from funkflow.pipeline.results.report.drawing import Figure, Series
from funkflow.pipeline.results.report.facts import ReportFacts
from funkflow.pipeline.results.report.pieces import piece, side_by_side
from funkflow.pipeline.root.result import RANKING_MEASURES, MeasureName, RankingAt, RankingMeasures, RankingResult

_DRAWN: tuple[MeasureName, ...] = ("recall", "ndcg", "hit_rate", "mrr", "map")
_OF_ALL_LISTS: tuple[MeasureName, ...] = ("coverage", "novelty")
"""Measures that are no means over users; more of them is not better."""


def ranking_section(facts: ReportFacts) -> Markup:
    """Return the measures as a table for each length of list, the first as bars, and their meaning."""
    found = facts["verdict"].get("ranking")
    if not found:
        return Markup('<p class="none">The ranking was not measured.</p>')
    tables = Markup("").join(_table(each) for each in (found, *found.get("also", [])))
    explained = Markup("<div>{}{}</div>").format(tables, _explain_ranking(found))
    return side_by_side(explained, _bars(found))


def _table(at: RankingAt) -> Markup:
    """Return the measures of the model and its rivals at one length; "" for a measure that an older run lacks."""
    sides: dict[str, RankingMeasures] = {"model": at, "most rated": at["most_rated"]}
    if "random" in at:
        sides["random order"] = at["random"]
    heads = [*sides, "vs most rated"]
    rows = [
        [name, *(f"{each[key]:.4f}" if key in each else "" for each in sides.values()), _difference(at, key)]
        for key, name in RANKING_MEASURES.items()
        if key in at
    ]
    label = f"at {counted(at['count'], 'item')}"
    return piece("table", f"ranking, {label}", (label, *heads), rows, numbers=heads, bold=["NDCG"])


def _difference(at: RankingAt, key: MeasureName) -> str:
    own, rival = at[key], at["most_rated"].get(key)
    if key in _OF_ALL_LISTS or rival is None:
        return ""
    if not rival:
        return "" if own else percent(0.0)
    share = own / rival - 1
    return ("+" if share > 0 else "") + percent(share)


def _bars(found: RankingResult) -> Markup:
    shown = {key: RANKING_MEASURES[key] for key in _DRAWN if key in found}
    series = [
        Series("most rated", [found["most_rated"].get(key) for key in shown]),
        Series("model", [found[key] for key in shown]),
    ]
    if "random" in found:
        series.append(Series("random order", [found["random"].get(key) for key in shown]))
    figure = Figure("Model and most rated items", "", f"measure, at {found['count']}", "mean over users")
    return bar_figure(figure, list(shown.values()), series)


def _explain_ranking(found: RankingResult) -> Markup:
    words = [
        f"Means over {counted(found['users'], 'user')}. Each gets {counted(found['count'], 'item')} not rated in "
        f"training; a validation rating of {found['threshold']:g} or more makes an item relevant. Precision: relevant "
        "share of the list. Recall: share of the relevant items on the list. NDCG: higher places count more."
    ]
    if "hit_rate" in found:
        words.append(
            "Hit rate: share of users with a hit. MRR: mean of 1 / place of the first hit. MAP: mean precision at the "
            "hits. Coverage: share of all items that some user gets. Novelty, in bits: with each bit, half as many "
            "users rated the item. Random order: expected values."
        )
    words.append(
        "Unrated items count as not relevant, even if the user would like them. This favours popular items and "
        "lowers the measures."
    )
    return piece("paragraphs", words)
