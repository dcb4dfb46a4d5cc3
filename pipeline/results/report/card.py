"""The model card of a run: a Markdown page beside the report, from the same facts.

Covers: its figures with their standard errors, and the limits of the model.
Does not cover: the facts (fact_parts.py), the sentences about the figures (verdict.py), the text around them
(templates/).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from funkflow.pipeline.progress.words import counted, data_name, moment, month
from funkflow.pipeline.results.report.facts import ReportFacts, ResidualFacts
from funkflow.pipeline.results.report.pieces import filled
from funkflow.pipeline.results.report.verdict import is_for_ranking, sentences
from funkflow.pipeline.root.result import RankingResult
from funkflow.pipeline.settings.methods import ALL_METHODS
from funkflow.tasks.digits import rounded
from funkflow.tasks.transform import NAMES

NAME = "model-card.md"
_LEAST_MEASURED = 100
"""Validation ratings behind a figure of the least active users."""
_DOES = {
    False: "It predicts a user's rating of an item: µ + b_u + b_i + ⟨u, v⟩ (mean, user bias, item bias, factors).",
    True: "It ranks items for a user by a score: the product of their factors, plus biases if it has any.",
}


def model_card(facts: ReportFacts) -> str:
    """Return the card."""
    run, found, ranks = facts["run"], facts["verdict"], is_for_ranking(facts)
    settings = run["settings"]
    text = filled(
        "model-card.md.jinja",
        name=data_name(settings), does=_DOES[ranks], sentences=sentences(facts, figures=False), ranks=ranks,
        facts=[
            ("goal", "ranking" if ranks else "ratings"),
            ("run", run["run_id"]),
            ("finished", moment(run["ended"])),
            ("funkflow", f"{run['code_version']['package']}, algorithm version {run['code_version']['algorithm']}"),
        ],
        data=list(_data(facts)), training=list(_training(facts)), limits=list(_limits(facts)),
        validation=counted(found.get("ratings") or 0, "validation rating"),
        errors=_errors(facts), rankings=_rankings(found.get("ranking") or {}),
    )  # fmt: skip
    return f"{text}\n"


def _data(facts: ReportFacts) -> Iterator[tuple[str, str]]:
    """Yield the names and values of what the model was trained on."""
    data, found = facts["data"], facts["verdict"]
    if known := data.get("format"):
        yield "format", known
    held_out = f"{data['validation']:,} validation" + (f" by {found['split']}" if data["validation"] else "")
    yield "ratings", f"{data['ratings']:,} ({data['training']:,} training, {held_out})"
    yield "users, items", f"{data['users']:,}, {data['items']:,}"
    low, high = data["scale"]
    transform = facts["run"]["settings"].get("ingest", {}).get("transform", "none")
    yield "scale", f"{low:g} to {high:g}" + ("" if transform == "none" else f", of {NAMES[transform]}")
    if months := data["by_time"]:
        first, last = month(months["start"][0]), month(months["start"][-1])
        yield "rated in", first if first == last else f"{first} to {last}"
    if quarantined := data["quarantined"]:
        yield "quarantined", counted(quarantined["rows"], "row")


def _training(facts: ReportFacts) -> Iterator[tuple[str, str]]:
    """Yield the names and values of how the model was trained."""
    run, learned = facts["run"], facts["learning"]
    chosen: Mapping[str, Any] = run["settings"].get("train", {})
    method = run["method"]
    yield "method", ALL_METHODS[method].description if method in ALL_METHODS else method
    yield "factors", f"{run['rank']}"
    yield learned["counted"], f"{len(learned['epochs'])}"
    if learned["counted"] == "epochs" and learned["best_epoch"]:
        yield "epoch kept", f"{learned['best_epoch']}"
    if (l2 := learned.get("l2")) is not None:
        yield "L2 per rating", f"{l2:.4g}" + ("" if is_for_ranking(facts) else ", for ratings of unit deviation")
    if "seed" in chosen:
        yield "seed", f"{chosen['seed']}"


def _errors(facts: ReportFacts) -> list[tuple[str, str, str, str]]:
    """Return the errors of the model and of its baselines, as cells; none for a ranking."""
    found = facts["verdict"]
    rmse, known = found.get("rmse"), facts["errors"]
    if rmse is None or is_for_ranking(facts):
        return []
    of_model = _rmse_error(rmse, known["residuals"]) if known else ""
    rows = [
        ("model", rmse, of_model, found.get("mae")),
        ("bias baseline", found.get("biases_rmse"), "", found.get("biases_mae")),
        ("mean rating", found.get("mean_rmse"), "", found.get("mean_mae")),
    ]
    beside = [each for _, first, _, second in rows for each in (first, second)]
    return [
        (name, rounded(first, *beside), error, rounded(second, *beside))
        for name, first, error, second in rows
        if first is not None
    ]


def _rmse_error(rmse: float, residuals: ResidualFacts) -> str:
    """Return the standard error of an RMSE, by the delta method from the histogram of the errors."""
    edges, counts = residuals["edges"], residuals["counts"]
    middles = [(low + high) / 2 for low, high in pairwise(edges)]
    number = sum(counts)
    if not number or not rmse:
        return ""
    fourth = sum(count * middle**4 for count, middle in zip(counts, middles, strict=True)) / number
    return f"{math.sqrt(max(0.0, fourth - rmse**4) / number) / (2 * rmse):.2g}"


def _rankings(found: RankingResult) -> dict[str, Any]:
    """Return the measures of the lists, as cells; {} where none were measured.

    A measure between 0 and 1 with mean p has a deviation of at most √(p (1 - p)) over users.
    """
    if not found:
        return {}
    sides: dict[str, Any] = {"model": found, "most rated items": found["most_rated"]}
    if "random" in found:
        sides["random order"] = found["random"]
    rows = []
    for name, side in sides.items():
        p = side["ndcg"]
        error = "" if name == "random order" else f"at most {math.sqrt(p * (1 - p) / found['users']):.2g}"
        rows.append((name, f"{p:.4f}", error, f"{side['precision']:.4f}", f"{side['recall']:.4f}"))
    users = counted(found["users"], "user")
    return {"count": found["count"], "users": users, "threshold": f"{found['threshold']:g}", "rows": rows}


def _limits(facts: ReportFacts) -> Iterator[str]:
    """Yield what the model is for, what it is not for, and what its figures leave open."""
    ranks, ranking, split = is_for_ranking(facts), facts["verdict"].get("ranking"), _split_words(facts)
    if ranks:
        yield "Use it to recommend items to the users in these data. A score is not a rating: only its order counts."
    else:
        yield "Use it to predict ratings of the users and items in these data."
        if ranking and ranking["ndcg"] <= ranking["most_rated"]["ndcg"]:
            yield (
                "Do not recommend by its predictions: the most rated items are better. Instead, set "
                "`train.goal = ranking`."
            )
    yield "`Model.fold_in` adds a new user from their ratings. A new item needs a new run."
    yield "The figures hold only for pairs that people chose to rate."
    if split:
        yield split
    if weakest := _least_active(facts):
        yield weakest
    if ranking:
        yield "Unrated items count as not relevant, which lowers the ranking measures."
    yield "Not measured: fairness to groups of people, and reactions to recommendations."
    yield "Treat it as personal data: it holds raw ids, and factors learned from each user's ratings."


def _split_words(facts: ReportFacts) -> str:
    """Return what the choice of the validation ratings means for the figures."""
    kind = facts["run"]["settings"].get("split", {}).get("kind")
    return {
        "fraction": "Validation ratings are a random sample: the figures describe gaps in the past, not the future.",
        "users": "The validation users were not in training; they are folded in from their other ratings.",
    }.get(kind, "")


def _least_active(facts: ReportFacts) -> str:
    """Return the error for the users with the fewest ratings, of those with enough validation ratings."""
    found = facts["errors"]
    bins = [each for each in found["by_user_activity"] if each["ratings"] >= _LEAST_MEASURED] if found else []
    if len(bins) < 2 or is_for_ranking(facts):
        return ""
    few, whole = bins[0], facts["verdict"].get("rmse")
    of = f"{few['low']} to {few['high']} training ratings" if few["high"] else "no training ratings"
    return f"Users with {of} have RMSE {rounded(few['rmse'], whole)} ({counted(few['ratings'], 'validation rating')})."
