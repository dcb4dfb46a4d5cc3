"""The page about a run, or about several compared: one file that loads nothing from elsewhere.

Covers: the order of its parts, and the differences of several runs' settings.
Does not cover: the parts (sections.py, ratings.py, ranking.py, errors.py, intervals.py), the look (pieces.py), the page
of all executions (index.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from markupsafe import Markup

from funkflow.pipeline.progress.words import data_name, duration, listed, mebibytes, moment
from funkflow.pipeline.results.report import sections
from funkflow.pipeline.results.report.errors import errors
from funkflow.pipeline.results.report.facts import LearningFacts, ReportFacts, RunVerdict
from funkflow.pipeline.results.report.intervals import convergence, intervals
from funkflow.pipeline.results.report.pieces import piece, whole_page
from funkflow.pipeline.results.report.ranking import ranking_section
from funkflow.pipeline.results.report.ratings import data
from funkflow.pipeline.results.report.verdict import tiles, verdict
from funkflow.pipeline.settings.overrides import flat
from funkflow.tasks.digits import rounded

_ONE: tuple[tuple[str, str, Callable[[ReportFacts], Markup]], ...] = (
    ("summary", "Run", sections.run_summary),
    ("data", "Ratings", data),
    ("learning", "Training", lambda facts: sections.learning([facts])),
    ("ranking", "Ranking", ranking_section),
    ("ranks", "Number of factors", lambda facts: sections.ranks([facts])),
    ("errors", "Errors", errors),
    ("intervals", "Intervals", intervals),
    ("convergence", "Agreement of chains", convergence),
    ("factors", "Factors", sections.factor_table),
    ("resources", "Time and memory", sections.resources),
    ("repeat", "Settings and versions", sections.repeat),
)

_OF_SOME = {"intervals", "convergence"}
"""Parts of some methods alone: without facts for them they are not on the page."""


def report_page(several: Sequence[ReportFacts]) -> str:
    """Return the page.

    Parameters
    ----------
    several : the facts of one run, or of several to compare.
    """
    return _page_of_one(several[0]) if len(several) == 1 else _page_of_several(several)


def _page_of_one(facts: ReportFacts) -> str:
    run = facts["run"]
    beneath = f"run {run['run_id'][:8]}, {moment(run['ended'])}"
    shown = (each for each in _ONE if each[0] not in _OF_SOME or facts.get(each[0]))
    parts = [(name, words, make(facts)) for name, words, make in shown]
    return whole_page(data_name(run["settings"]), beneath, tiles(facts) + verdict(facts), parts)


def _page_of_several(several: Sequence[ReportFacts]) -> str:
    names = list(dict.fromkeys(data_name(facts["run"]["settings"]) for facts in several))
    parts = (
        ("differences", "Different settings", _differences(several)),
        ("results", "Results", _results(several)),
        ("learning", "Training", sections.learning(several)),
        ("ranks", "Number of factors", sections.ranks(several)),
    )
    measured = [(rmse, facts) for facts in several if (rmse := facts["verdict"].get("rmse")) is not None]
    splits = {(facts["verdict"]["split"], facts["verdict"]["ratings"]) for _, facts in measured}
    words = "No run measured an RMSE."
    if measured:
        least, best = min(measured, key=lambda pair: pair[0])
        words = f"Lowest RMSE: {rounded(least)}, run {sections.short(best)}."
        if len(splits) > 1:
            words += " The runs have different validation ratings: do not compare their RMSEs."
    heading = Markup('<p class="verdict">{}</p>').format(words)
    return whole_page(f"{len(several)} runs compared", listed(names), heading, parts)


def _results(several: Sequence[ReportFacts]) -> Markup:
    rmses, biases = ([facts["verdict"].get("rmse") for facts in several],
                     [facts["verdict"].get("biases_rmse") for facts in several])  # fmt: skip
    rows = [
        ["run", *(sections.short(facts) for facts in several)],
        [
            "validation",
            *(_validation_words(facts["verdict"]) for facts in several),
        ],
        ["RMSE", *(rounded(each, *rmses, *biases) for each in rmses)],
        ["bias baseline", *(rounded(each, *rmses, *biases) for each in biases)],
        ["training", *(_training_words(facts["learning"]) for facts in several)],
        *_ndcg_rows(several),
        ["time", *(duration(facts["run"]["seconds"]) for facts in several)],
        ["peak memory", *(mebibytes(facts["memory"]["peak_bytes"]) for facts in several)],
    ]
    return piece("table", "results of the runs", rows[0], rows[1:])


def _validation_words(found: RunVerdict) -> str:
    """Return the split, and the number of validation ratings with an error."""
    number = found.get("ratings")
    return f"{found.get('split')}{f', {number:,} ratings' if number else ''}"


def _training_words(found: LearningFacts) -> str:
    """Return the kept epoch of all; the number of units of a method without epochs."""
    number = len(found["epochs"])
    return (
        f"epoch {found['best_epoch']} of {number}" if found["counted"] == "epochs" else f"{number} {found['counted']}"
    )


def _ndcg_rows(several: Sequence[ReportFacts]) -> list[list[str]]:
    """Return NDCG of the models and of the most rated items, if all have the same count of items."""
    found = [facts["verdict"].get("ranking") or {} for facts in several]
    counts = {each["count"] for each in found if each}
    if len(counts) != 1:
        return []
    name = f"NDCG@{counts.pop()}"
    return [
        [name, *(f"{each['ndcg']:.4f}" if each else "" for each in found)],
        [f"{name}, most rated items", *(f"{each['most_rated']['ndcg']:.4f}" if each else "" for each in found)],
    ]


def _differences(several: Sequence[ReportFacts]) -> Markup:
    settings = [dict(flat(facts["run"]["settings"])) for facts in several]
    names = sorted({name for each in settings for name in each})
    rows = [
        [name, *(json.dumps(each.get(name)) for each in settings)]
        for name in names
        if len({json.dumps(each.get(name)) for each in settings}) > 1
    ]
    if not rows:
        return piece("paragraphs", ["The settings are the same. The data or the code differ."])
    return piece("table", "settings of the runs", ["setting", *(sections.short(facts) for facts in several)], rows)
