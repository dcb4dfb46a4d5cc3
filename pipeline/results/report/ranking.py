"""How well a model's recommendations are ranked, beside those of the most rated items.

Covers: this part of the page. Does not cover: the verdict (verdict.py), how it is measured
(pipeline/stages/ranking.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from funkflow.pipeline.results.report.bars import bar_figure
from funkflow.pipeline.results.report.drawing import Figure, Series
from funkflow.pipeline.results.report.style import scrolling_table
from funkflow.pipeline.results.report.words import counted, listed, percent

Facts = Mapping[str, Any]
_MEASURES = (("precision", "precision"), ("recall", "recall"), ("ndcg", "NDCG"))


def ranking(facts: Facts) -> str:
    """Return the measures as a table and as bars, and what they mean."""
    found = facts["verdict"].get("ranking")
    if not found:
        return '<p class="none">Not here: the ranking was not measured.</p>'
    at, rivals = found["count"], found["most_rated"]
    heads = [name for _, name in _MEASURES]
    series = [
        Series("most rated", [rivals[key] for key, _ in _MEASURES]),
        Series("model", [found[key] for key, _ in _MEASURES]),
    ]
    rows = "".join(
        f"<tr{' class=strong' if each.name == 'model' else ''}><th scope=row>{each.name}</th>"
        + "".join(f'<td class="number">{value:.4f}</td>' for value in each.values)
        + "</tr>"
        for each in series
    )
    differences = [_difference(found[key], rivals[key]) for key, _ in _MEASURES]
    rows += "<tr><th scope=row>difference</th>" + "".join(f'<td class="number">{e}</td>' for e in differences) + "</tr>"
    told = [f"{head} {difference}" for head, difference in zip(heads, differences, strict=True)]
    says = f"The model's measures less those of the most rated items: {listed(told)}."
    figure = Figure("The model beside the most rated items", says, f"measure, at {at}", "mean over users")
    table = scrolling_table("ranking", (f"at {at}", *heads), rows, heads)
    bars = bar_figure(figure, heads, series)
    return f'<div class="pair"><div>{table}{_explained(found)}</div>{bars}</div>'


def _difference(own: float, rival: float) -> str:
    if not rival:
        return "" if own else percent(0.0)
    share = own / rival - 1
    return ("+" if share > 0 else "") + percent(share)


def _explained(found: Facts) -> str:
    words = (
        f"Means over {counted(found['users'], 'user')}, who are offered {counted(found['count'], 'item')} each that "
        f"they did not rate in training. Relevant is what they rated {found['threshold']:g} or more among the "
        "validation ratings. Precision is the relevant part of what is offered, recall the offered part of what is "
        "relevant, and NDCG counts a hit the more the higher it stands.",
        "What a user never rated counts as not relevant, though they might like it: this favours items that many have "
        "rated, and the measures are lower than users would judge.",
    )
    return "".join(f"<p>{escape(each)}</p>" for each in words)
