"""The top of a run's page: four figures, and a sentence about each question.

Covers: the model beside the baselines, in RMSE and as a ranking; the gate; time and memory.
Does not cover: the rest of the page (sections.py, ranking.py, errors.py).
"""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import Markup

from funkflow.pipeline.progress.words import counted, duration, listed, mebibytes, percent, times
from funkflow.pipeline.results.report.facts import GateQuestions, ReportFacts, RunVerdict
from funkflow.pipeline.results.report.pieces import piece
from funkflow.pipeline.root.result import GateResult, MeasureName, RankingResult
from funkflow.tasks.digits import distinct_figures, rounded
from funkflow.tasks.transform import NAMES

_RANKED: tuple[tuple[MeasureName, str], ...] = (("ndcg", "NDCG"), ("recall", "recall"), ("precision", "precision"))


def verdict(facts: ReportFacts) -> Markup:
    """Return the sentences as the top of the page."""
    return Markup('<div class="verdict">{}</div>').format(piece("paragraphs", sentences(facts)))


def sentences(facts: ReportFacts, figures: bool = True) -> list[str]:
    """Return a sentence about each question that was asked. `figures` : whether with figures; else a table has them."""
    found, run = facts["verdict"], facts["run"]
    ranks = is_for_ranking(facts)
    of_ranking = _ranking_words(found.get("ranking") or {}, figures)
    words = [of_ranking or "The ranking was not measured."] if ranks else [_rmse_words(found, figures), of_ranking]
    asked: GateQuestions = run["settings"].get("gate") or GateQuestions()
    words += [_gate_words(found, asked, ranks)]
    words += [_unit_words(run["settings"].get("ingest", {}).get("transform", "none"))]
    return [each for each in words if each]


def is_for_ranking(facts: ReportFacts) -> bool:
    """Return whether the model was trained to rank, and not to predict ratings."""
    return bool(facts["run"]["settings"].get("train", {}).get("goal") == "ranking")


def _rmse_words(found: RunVerdict, with_figures: bool) -> str:
    """Compare the RMSE of the model with both baselines; the model is not useful unless it beats both."""
    rmse, biases, mean = found.get("rmse"), found.get("biases_rmse"), found.get("mean_rmse")
    if rmse is None or biases is None or mean is None:
        return "The model was not measured: no validation ratings."
    figures = rmse, biases, mean
    own, of_biases, of_mean = (rounded(each, *figures) for each in figures)
    where = f"on {counted(found['ratings'] or 0, 'validation rating')}, {found['split']}"
    if rmse < min(biases, mean):
        words = f"The model beats the bias baseline by {percent((biases - rmse) / biases)}"
        compared = (
            f": RMSE {own} against {of_biases} (mean rating {of_mean}), {where}." if with_figures else " in RMSE."
        )
    else:
        words = "The model is not useful"
        compared = (
            f": RMSE {own} against {of_biases} (bias baseline) and {of_mean} (mean rating), {where}."
            if with_figures
            else ": its RMSE does not beat both baselines."
        )
    words += compared
    if (truth := found.get("truth_rmse")) is not None:
        words += f" These synthetic ratings allow no RMSE below {rounded(truth, *figures)}."
    return words


def _ranking_words(ranking: RankingResult, with_figures: bool) -> str:
    """Compare the model's recommendations with the most rated items, by each measure."""
    if not ranking:
        return ""
    popular, at = ranking["most_rated"], ranking["count"]
    sides: dict[str, list[str]] = {"beat": [], "lose to": [], "equal": []}
    for key, name in _RANKED:
        own, rival = ranking[key], popular[key]
        side = "beat" if own > rival else "lose to" if own < rival else "equal"
        factor = f", {times(own / rival)}" if rival and own != rival else ""
        sides[side].append(f"{name} ({own:.4f} against {rival:.4f}{factor})" if with_figures else name)
    first, *others = [(side, listed(words)) for side, words in sides.items() if words]
    parts = [f"{first[0]} the most rated items in {first[1]}", *(f"{side} them in {words}" for side, words in others)]
    chance = f" Random order: NDCG {ranking['random']['ndcg']:.4f}." if with_figures and "random" in ranking else ""
    return f"The top {at} recommendations {listed(parts)}.{chance}"


def _gate_words(found: RunVerdict, asked: GateQuestions, ranks: bool) -> str:
    """Describe the requirements of the gate and its decision; "" without a requirement or a decision."""
    gate = found.get("gate")
    if not gate:
        return ""
    if not gate.get("passed", True):
        return f"The gate refused the model: {gate['refusal']}."
    is_measured = bool(found.get("ranking")) if ranks else found.get("rmse") is not None
    questions = list(_gate_questions(gate, asked, is_measured, ranks))
    return f"The model passed the gate: {'; '.join(questions)}." if questions else ""


def _gate_questions(gate: GateResult, asked: GateQuestions, is_measured: bool, ranks: bool) -> Iterator[str]:
    """Yield the requirements that a model passed, with the findings; finite numbers are always required."""
    if ranks and asked.get("beats_most_rated") and is_measured:
        yield "NDCG above the most rated items"
    if not ranks and asked.get("beats_biases") and is_measured:
        yield "RMSE below the bias baseline and the mean rating"
    if (least := asked.get("ratings_at_least", 1)) > 1:
        yield f"at least {counted(least, 'training rating')} ({gate['training_ratings']:,} found)"
    if (allowed := asked.get("rmse_worse_by_at_most")) is not None:
        than = f"at most {allowed:g} above" if allowed >= 0 else f"at least {-allowed:g} below"
        if "compared_with" in gate:
            own, before = distinct_figures(gate["rmse"], gate["rmse_before"])
            found = f"{own} against {before} on the same {counted(gate['ratings'], 'validation rating')}"
        else:
            found = "none in use yet"
        yield f"RMSE {than} the model in use ({found})"


def _unit_words(transform: str) -> str:
    """Name the transform of all figures of the page, if there is one."""
    of = NAMES[transform]
    return "" if transform == "none" else f"Ratings and errors on this page are in {of} (ingest.transform)."


def tiles(facts: ReportFacts) -> Markup:
    """Return the four most important figures, each with one to compare it with."""
    found, run, ratings = facts["verdict"], facts["run"], facts["data"]["ratings"]
    shown: list[tuple[str, str, str, str]] = []
    rmse, biases = found.get("rmse"), found.get("biases_rmse")
    if rmse is not None and biases is not None and not is_for_ranking(facts):
        shown.append(_tile("RMSE", rmse, biases, "bias baseline", less_is_better=True))
    if ranking := found.get("ranking"):
        shown.append(_tile(f"NDCG@{ranking['count']}", ranking["ndcg"], ranking["most_rated"]["ndcg"], "most rated"))
    shown.append(("Time", duration(run["seconds"]), f"{counted(ratings, 'rating')}, rank {run['rank']}", ""))
    if memory := facts["memory"]["peak_bytes"]:
        shown.append(
            ("Peak memory", mebibytes(memory), *_beside_prediction(memory, facts["memory"].get("predicted_bytes")))
        )
    return piece("tiles", shown)


def _tile(name: str, own: float, rival: float, of: str, less_is_better: bool = False) -> tuple[str, str, str, str]:
    written, of_rival = distinct_figures(own, rival)
    if own == rival or not rival:
        return name, written, f"same as {of} ({of_rival})" if own == rival else f"{of}: {of_rival}", ""
    side = "below" if own < rival else "above"
    kind = "good" if (own < rival) == less_is_better else "bad"
    return name, written, f"{percent(abs(own - rival) / rival)} {side} {of} ({of_rival})", kind


def _beside_prediction(peak: int, predicted: int | None) -> tuple[str, str]:
    if not predicted:
        return "not predicted", ""
    if peak <= predicted:
        return f"{mebibytes(predicted)} predicted", ""
    return f"{percent(peak / predicted - 1)} above the {mebibytes(predicted)} predicted", "bad"
