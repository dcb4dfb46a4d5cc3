"""Report: a page about the run, and its facts.

Covers: the tasks that count ratings and add up errors; facts.json and report.html.
Does not cover: the sums (tasks/evaluation/describe.py, tasks/evaluation/breakdown.py), parts of the facts and
the look of the page (pipeline/results/report/).

    <run>/report/facts.json, users.npy, items.npy      numbers of training ratings by dense id
    <run>/report.html
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from funkflow.pipeline.cluster.context import Context, run_all
from funkflow.pipeline.models.canonical_graph import rotations_of, saved_rotations
from funkflow.pipeline.models.saved_scores import item_rows, placed_in_own
from funkflow.pipeline.progress.events import StageFinished, StageStarted
from funkflow.pipeline.progress.live.timeline import timeline_of
from funkflow.pipeline.results.report.fact_parts import (
    MOST_VALUES,
    DataCounts,
    data_facts,
    error_facts,
    learning_facts,
    spectrum_facts,
)
from funkflow.pipeline.results.report.facts import ReportFacts, RunSummary, RunVerdict, TaskTimes
from funkflow.pipeline.root.manifests import Split, Training, TrainingData
from funkflow.pipeline.root.model_manifests import SavedReport
from funkflow.pipeline.root.store import FORMAT_VERSION, content_id, nothing_half_written
from funkflow.pipeline.settings.sections import ReportSettings
from funkflow.tasks.evaluation.breakdown import Bins, Breakdown, BreakdownJob, break_down, factor_ends
from funkflow.tasks.evaluation.describe import RatingCounts, describe_part
from funkflow.tasks.late import late
from funkflow.tasks.model.about import Place, read_about
from funkflow.tasks.model.parts import ModelParts
from funkflow.tasks.model.score_rows import Scorer
from funkflow.tasks.parsing.titles import titles_of
from funkflow.tasks.storage import files, npy

if TYPE_CHECKING:
    from funkflow.pipeline.results.report import page as pages
else:  # it renders templates, when all else is done
    pages = late("funkflow.pipeline.results.report.page")

_STAGE = "report"
_ENDS = 5


def report(
    context: Context, data: TrainingData, training: Training, model_folder: str, settings: ReportSettings,
    run: RunSummary,
) -> str:  # fmt: skip
    """Write the facts and the page; return the page's address."""
    started = time.monotonic()
    folder, page = (files.join(training.run_folder, name) for name in ("report", "report.html"))
    identity = report_id(read_about(model_folder)["parts"], data.split.id, settings, run["verdict"])
    saved = None if context.trains_anew else SavedReport.published(folder)
    reused = saved is not None and saved.id == identity
    if not reused:
        context.check_fits(_STAGE)
        context.notify(StageStarted(_STAGE))
        facts = _facts(context, data, training, model_folder, folder=folder, settings=settings, run=run)
        files.write_json(url := files.join(folder, "facts.json"), facts)
        files.write_bytes(
            page, pages.report_page([files.read_json(url)]).encode()
        )  # the same page as from `funkflow report`
        SavedReport(folder=folder, id=identity).publish(["facts.json", "../report.html"])
    context.notify(StageFinished(_STAGE, time.monotonic() - started, page, reused))
    return page


def report_id(model: Any, split_id: str, settings: ReportSettings, verdict: RunVerdict) -> str:
    """Return the id of a report, by the content of its page; `model` : the model's parts, with their checksums."""
    findings = {"refused": verdict["gate"].get("refusal"), "ranking": verdict["ranking"]}
    known = {name: value for name, value in findings.items() if value}
    return content_id(what="report", model=model, split=split_id, settings=settings.model_dump(), **known)


def _facts(
    context: Context, data: TrainingData, training: Training, model_folder: str, folder: str, settings: ReportSettings,
    run: RunSummary,
) -> ReportFacts:  # fmt: skip
    counted = _count_ratings(context, data)
    trained = counted.trained
    counts = [
        (url := files.join(folder, f"{side}.npy"), npy.write_array(url, array))
        for side, array in (("users", trained.users), ("items", trained.items))
    ]
    about = read_about(model_folder)
    parts, titles = ModelParts.of(model_folder, about), titles_of(model_folder, about)
    ruler = _choose_bins(counted.whole, data.dataset.bounds)
    errors = None
    if run["verdict"]["rmse"] is not None:  # else scores are no ratings, or nothing was held out
        errors = _sum_errors(context, data.split, parts, trained, item_counts=counts[1], ruler=ruler)
    rotations = saved_rotations(model_folder, about) or rotations_of(context, _STAGE, parts)
    ends = (parts, rotations, data.dataset.id_place("item"), counts[1], titles)
    (factors,) = run_all(
        context, _STAGE, "factor-ends", factor_ends, [(*ends, (settings.factors, _ENDS, settings.least_ratings))]
    )
    ranks, spectrum = spectrum_facts(model_folder)
    tasks = cast("TaskTimes | None", timeline_of(context.client, context.attempt))
    return {
        "format_version": FORMAT_VERSION,
        "run": run["run"],
        "verdict": run["verdict"],
        "data": data_facts(data, counted, titles),
        "learning": learning_facts(training, run["run"]["settings"]["train"]["stop_on"]),
        "ranks": ranks,
        "spectrum": spectrum,
        "errors": error_facts(errors, ruler) if errors is not None else None,
        "factors": factors or None,
        "time": {"stages": run["stages"], "tasks": tasks},
        "memory": run["memory"],
    }


def _count_ratings(context: Context, data: TrainingData) -> DataCounts:
    homes = data.dataset.part_places
    counted = run_all(context, _STAGE, "describe", describe_part, [*homes, *data.split.validation_places])
    size = (data.dataset.users, data.dataset.items)
    return DataCounts(RatingCounts.of(*size, counted[: len(homes)]), RatingCounts.of(*size, counted[len(homes) :]))


def _choose_bins(data: RatingCounts, scale: tuple[float, float]) -> Bins:
    low, high = float(scale[0]), float(scale[1])
    values = sorted(data.values)
    if len(values) > MOST_VALUES:
        values = np.linspace(low, high, MOST_VALUES).tolist()
    first = min(data.months, default=0)
    return Bins(low, high, tuple(values), (first, max(data.months) - first + 1) if data.months else (0, 0))


def _sum_errors(
    context: Context, split: Split, parts: ModelParts, trained: RatingCounts, item_counts: Place, ruler: Bins
) -> Breakdown | None:
    """Return the sums over all validation ratings, by one task for each user part; None without any."""
    if not split.validation.ratings:
        return None
    scratch, shards = context.store.scratch(f"report-{context.attempt}"), len(parts.users)
    with nothing_half_written(temporary=(scratch,)):
        user_counts = [
            (
                url := files.join(scratch, f"users-{number:05d}.npy"),
                npy.write_array(url, trained.users[number::shards]),
            )
            for number in range(shards)
        ]
        pieces = placed_in_own(context, _STAGE, split, parts, scratch)
        by = Scorer(parts.rank, parts.mean, parts.scale)
        measured = BreakdownJob(tuple(pieces), by, item_counts, len(parts.items), ruler)
        items = item_rows(context, parts)
        jobs = [
            (measured, number, users, counts, items)
            for number, (users, counts) in enumerate(zip(parts.users, user_counts, strict=True))
        ]
        found = [each for each in run_all(context, _STAGE, "break-down", break_down, jobs) if each is not None]
    return sum(found[1:], found[0]) if found else None
