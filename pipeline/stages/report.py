"""Report: a page about the run, and its facts.

Covers: the tasks that add up errors; facts.json, report.html and model-card.md.
Does not cover: the sums (tasks/evaluation/breakdown.py), counts of ratings (pipeline/datasets/rating_counts.py), parts
of the facts and the look of the page (pipeline/results/report/).

    <run>/report/facts.json
    <run>/report.html
    <run>/model-card.md
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from funkflow.pipeline.cluster.context import Context, run_all
from funkflow.pipeline.datasets.rating_counts import rating_counts
from funkflow.pipeline.models.canonical_graph import rotations_of, saved_rotations
from funkflow.pipeline.models.saved_scores import item_rows, placed_in_own
from funkflow.pipeline.progress.events import StageFinished, StageStarted
from funkflow.pipeline.progress.live.timeline import timeline_of
from funkflow.pipeline.results.report.fact_parts import (
    data_facts,
    error_facts,
    learning_facts,
    spectrum_facts,
)
from funkflow.pipeline.results.report.facts import ReportFacts, RunSummary, RunVerdict, TaskTimes
from funkflow.pipeline.results.report.interval_facts import convergence_facts, interval_facts
from funkflow.pipeline.root.manifests import Split, Training, TrainingData
from funkflow.pipeline.root.model_manifests import Calibration, SavedCounts, SavedReport
from funkflow.pipeline.root.store import FORMAT_VERSION, content_id, nothing_half_written
from funkflow.pipeline.settings.sections import ReportSettings
from funkflow.tasks.evaluation.breakdown import Bins, Breakdown, BreakdownJob, break_down, factor_ends
from funkflow.tasks.evaluation.describe import MOST_VALUES
from funkflow.tasks.late import late
from funkflow.tasks.model.about import read_about
from funkflow.tasks.model.parts import ModelParts
from funkflow.tasks.model.score_rows import Scorer
from funkflow.tasks.parsing.titles import titles_of
from funkflow.tasks.storage import files

if TYPE_CHECKING:
    from funkflow.pipeline.results.report import card as cards
    from funkflow.pipeline.results.report import page as pages
else:  # they render templates, when all else is done
    cards = late("funkflow.pipeline.results.report.card")
    pages = late("funkflow.pipeline.results.report.page")

_STAGE = "report"
_ENDS = 5


def report(
    context: Context, data: TrainingData, training: Training, model_folder: str, settings: ReportSettings,
    run: RunSummary,
) -> str:  # fmt: skip
    """Write the facts, the page and the model card; return the page's address."""
    started = time.monotonic()
    folder, page = (files.join(training.run_folder, name) for name in ("report", "report.html"))
    about = read_about(model_folder)
    identity = report_id(about["parts"], data.split.id, settings, run["verdict"], "draws" in about)
    saved = None if context.trains_anew else SavedReport.published(folder)
    reused = saved is not None and saved.id == identity
    if not reused:
        context.check_fits(_STAGE)
        context.notify(StageStarted(_STAGE))
        facts = _facts(context, data, training, model_folder, settings=settings, run=run)
        files.write_json(url := files.join(folder, "facts.json"), facts)
        written = files.read_json(url)  # the same pages as from `funkflow report`
        files.write_bytes(page, pages.report_page([written]).encode())
        files.write_bytes(files.join(training.run_folder, cards.NAME), cards.model_card(written).encode())
        SavedReport(folder=folder, id=identity).publish(["facts.json", "../report.html", f"../{cards.NAME}"])
    context.notify(StageFinished(_STAGE, time.monotonic() - started, page, reused))
    return page


def report_id(model: Any, split_id: str, settings: ReportSettings, verdict: RunVerdict, intervals: bool = False) -> str:
    """Return the id of a report, by the content of its page; `model` : the model's parts, with their checksums.

    `intervals` : whether it shows how well they hold.
    """
    findings = {"refused": verdict["gate"].get("refusal"), "ranking": verdict["ranking"], "intervals": intervals}
    known = {name: value for name, value in findings.items() if value}
    return content_id(what="report", model=model, split=split_id, settings=settings.model_dump(), **known)


def _facts(
    context: Context, data: TrainingData, training: Training, model_folder: str, settings: ReportSettings,
    run: RunSummary,
) -> ReportFacts:  # fmt: skip
    counts = rating_counts(context, _STAGE, data.dataset, data.split)
    about = read_about(model_folder)
    parts, titles = ModelParts.of(model_folder, about), titles_of(model_folder, about)
    ruler = _choose_bins(counts, data.dataset.bounds)
    errors = None
    if run["verdict"]["rmse"] is not None:  # else scores are no ratings, or nothing was held out
        errors = _sum_errors(context, data.split, parts, counts, ruler)
    rotations = saved_rotations(model_folder, about) or rotations_of(context, _STAGE, parts)
    ends = (parts, rotations, data.dataset.id_place("item"), counts.place("items"), titles)
    (factors,) = run_all(
        context, _STAGE, "factor-ends", factor_ends, [(*ends, (settings.factors, _ENDS, settings.least_ratings))]
    )
    ranks, spectrum = spectrum_facts(model_folder)
    tasks = cast("TaskTimes | None", timeline_of(context.client, context.attempt))
    calibration = Calibration.published(files.join(training.run_folder, "calibration"))
    return {
        "format_version": FORMAT_VERSION,
        "run": run["run"],
        "verdict": run["verdict"],
        "data": data_facts(data, counts, titles),
        "learning": learning_facts(training, run["run"]["settings"]["train"]["stop_on"]),
        "ranks": ranks,
        "spectrum": spectrum,
        "errors": error_facts(errors, ruler) if errors is not None else None,
        "intervals": interval_facts(calibration) if calibration else None,
        "convergence": convergence_facts(training.posterior),
        "factors": factors or None,
        "time": {"stages": run["stages"], "tasks": tasks},
        "memory": run["memory"],
    }


def _choose_bins(counts: SavedCounts, scale: tuple[float, float]) -> Bins:
    low, high = float(scale[0]), float(scale[1])
    if counts.values is None:
        values = np.linspace(low, high, MOST_VALUES).tolist()
    else:
        values = [value for value, *_ in counts.values]
    months = [int(month) for month, *_ in counts.months]
    return Bins(low, high, tuple(values), (months[0], months[-1] - months[0] + 1) if months else (0, 0))


def _sum_errors(
    context: Context, split: Split, parts: ModelParts, counts: SavedCounts, ruler: Bins
) -> Breakdown | None:
    """Return the sums over all validation ratings, by one task for each user part; None without any."""
    if not split.validation.ratings:
        return None
    scratch = context.store.scratch(f"report-{context.attempt}")
    with nothing_half_written(temporary=(scratch,)):
        pieces = placed_in_own(context, _STAGE, split, parts, scratch)
        by = Scorer(parts.rank, parts.mean, parts.scale, parts.edges is not None)
        shards, of_rows = (len(parts.users), len(parts.items)), (counts.place("users"), counts.place("items"))
        measured = BreakdownJob(tuple(pieces), by, *of_rows, shards, ruler)
        items = item_rows(context, parts)
        jobs = [(measured, number, users, items) for number, users in enumerate(parts.users)]
        found = [each for each in run_all(context, _STAGE, "break-down", break_down, jobs) if each is not None]
    return sum(found[1:], found[0]) if found else None
