"""Report: one page about the run, and the facts that it is drawn from.

Covers: which tasks count ratings and add up errors, and what else of the run the page tells: facts.json, report.html.
Does not cover: the sums (tasks/evaluation/describe.py, tasks/evaluation/breakdown.py), how the page looks
(pipeline/results/report/).

    <run>/report/facts.json, users.npy, items.npy      numbers of training ratings by dense id
    <run>/report.html
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from funkflow.pipeline.cluster.context import Context, run_all
from funkflow.pipeline.models.canonical_graph import rotations_of, saved_rotations
from funkflow.pipeline.models.saved_scores import item_rows, placed_in_own
from funkflow.pipeline.progress.events import StageFinished, StageStarted
from funkflow.pipeline.progress.live.timeline import timeline_of
from funkflow.pipeline.results.report.page import report_page
from funkflow.pipeline.root.manifests import Split, Training, TrainingData
from funkflow.pipeline.root.model_manifests import SavedReport
from funkflow.pipeline.root.store import FORMAT_VERSION, content_id, nothing_half_written
from funkflow.pipeline.settings.sections import ReportSettings
from funkflow.tasks.evaluation.breakdown import (
    ACTUAL,
    COUNT,
    ERROR,
    PREDICTED,
    SQUARED,
    Bins,
    Breakdown,
    BreakdownJob,
    Sums,
    break_down,
    factor_ends,
)
from funkflow.tasks.evaluation.describe import RatingCounts, bounds_of_bin, describe_part, doubling_bin
from funkflow.tasks.model.about import Place, read_about
from funkflow.tasks.model.parts import ModelParts
from funkflow.tasks.model.score_rows import Scorer
from funkflow.tasks.parsing.titles import titles_of
from funkflow.tasks.redact import masked_content
from funkflow.tasks.storage import files, npy

_STAGE = "report"
_MOST_VALUES, _TOP_ITEMS, _ENDS, _FIRST_ASIDE = 24, 10, 5, 10


def report(
    context: Context, data: TrainingData, training: Training, model_folder: str, settings: ReportSettings,
    told: dict[str, Any],
) -> str:  # fmt: skip
    """Write the facts and the page; return the page's address.

    Parameters
    ----------
    told : what the run knows of itself, by the names that the facts have: "run", "verdict", "memory", "stages".
    """
    started = time.monotonic()
    folder, page = (files.join(training.run_folder, name) for name in ("report", "report.html"))
    identity = report_id(read_about(model_folder)["parts"], data.split.id, settings, told["verdict"])
    saved = None if context.trains_anew else SavedReport.published(folder)
    reused = saved is not None and saved.id == identity
    if not reused:
        context.check_fits(_STAGE)
        context.notify(StageStarted(_STAGE))
        facts = _facts(context, data, training, model_folder, folder=folder, settings=settings, told=told)
        files.write_json(url := files.join(folder, "facts.json"), facts)
        files.write_bytes(page, report_page([files.read_json(url)]).encode())  # as `funkflow report` draws it again
        SavedReport(folder=folder, id=identity).publish(["facts.json", "../report.html"])
    context.notify(StageFinished(_STAGE, time.monotonic() - started, page, reused))
    return page


def report_id(model: Any, split_id: str, settings: ReportSettings, verdict: dict[str, Any]) -> str:
    """Name a report by what it tells of; `model` : its parts, with their checksums."""
    told = {"refused": verdict["gate"].get("refusal"), "ranking": verdict["ranking"]}
    known = {name: value for name, value in told.items() if value}
    return content_id(what="report", model=model, split=split_id, settings=settings.model_dump(), **known)


def _facts(
    context: Context, data: TrainingData, training: Training, model_folder: str, folder: str, settings: ReportSettings,
    told: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    counted = _count(context, data)
    trained = counted.trained
    counts: Any = tuple(
        (url := files.join(folder, f"{side}.npy"), npy.write_array(url, array))
        for side, array in (("users", trained.users), ("items", trained.items))
    )
    about = read_about(model_folder)
    parts, titles = ModelParts.of(model_folder, about), titles_of(model_folder, about)
    ruler = _ruler(counted.whole, data.dataset.bounds)
    errors = _broken_down(context, data.split, parts, trained, item_counts=counts[1], ruler=ruler)
    rotations = saved_rotations(model_folder, about) or rotations_of(context, _STAGE, parts)
    ends = (parts, rotations, data.dataset.id_place("item"), counts[1], titles)
    (factors,) = run_all(
        context, _STAGE, "factor-ends", factor_ends, [(*ends, (settings.factors, _ENDS, settings.least_ratings))]
    )
    spectrum = _spectrum(model_folder)
    return {
        "format_version": FORMAT_VERSION,
        "run": told["run"],
        "verdict": told["verdict"],
        "data": _facts_of_data(data, counted, titles),
        "learning": _learning(training, told["run"]["settings"]["train"]["stop_on"]),
        "ranks": _ranks(spectrum) or None,
        "spectrum": [row["singular_value"] for row in spectrum] or None,
        "errors": _errors(errors, ruler) if errors is not None else None,
        "factors": factors or None,
        "time": {"stages": told["stages"], "tasks": timeline_of(context.client, context.attempt)},
        "memory": told["memory"],
    }


@dataclass(frozen=True)
class _Counts:
    """The ratings of a dataset, and those of them that validate the model."""

    whole: RatingCounts
    held_out: RatingCounts

    @property
    def trained(self) -> RatingCounts:
        """Numbers of ratings alone."""
        return RatingCounts(self.whole.users - self.held_out.users, self.whole.items - self.held_out.items)


def _count(context: Context, data: TrainingData) -> _Counts:
    homes = data.dataset.part_places
    counted = run_all(context, _STAGE, "describe", describe_part, [*homes, *data.split.validation_places])
    size = (data.dataset.users, data.dataset.items)
    return _Counts(RatingCounts.of(*size, counted[: len(homes)]), RatingCounts.of(*size, counted[len(homes) :]))


def _ruler(data: RatingCounts, scale: tuple[float, float]) -> Bins:
    low, high = float(scale[0]), float(scale[1])
    values = sorted(data.values)
    if len(values) > _MOST_VALUES:
        values = np.linspace(low, high, _MOST_VALUES).tolist()
    first = min(data.months, default=0)
    return Bins(low, high, tuple(values), (first, max(data.months) - first + 1) if data.months else (0, 0))


def _broken_down(
    context: Context, split: Split, parts: ModelParts, trained: RatingCounts, item_counts: Place, ruler: Bins
) -> Breakdown | None:
    """Return the sums over all validation ratings, one task a part of the model's users; None where there are none."""
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


def _facts_of_data(of: TrainingData, counted: _Counts, titles: dict[Any, str]) -> dict[str, Any]:
    dataset, data, held_out, trained = of.dataset, counted.whole, counted.held_out, counted.trained
    values = sorted(data.values | held_out.values)
    return {
        "users": dataset.users,
        "items": dataset.items,
        "ratings": dataset.ratings,
        "training": of.split.training_ratings,
        "validation": of.split.validation.ratings,
        "scale": list(dataset.bounds),
        "quarantined": quarantined_rows(dataset.quarantined, files.join(dataset.folder, "quarantine.parquet")),
        "by_time": {
            "unit": "month",
            "start": [str(np.datetime64(month, "M")) for month in sorted(data.months)],
            "ratings": [data.months[month][0] for month in sorted(data.months)],
            "mean": [data.months[month][1] / data.months[month][0] for month in sorted(data.months)],
        }
        if data.months
        else None,
        "user_counts": _tail(trained.users),
        "item_counts": _tail(trained.items),
        "top_items": _top(dataset.id_place("item"), data.items, titles),
        "values": {
            "value": values,
            "training": [data.values[value] - held_out.within[value] for value in values],
            "validation": [held_out.values[value] for value in values],
        }
        if len(values) <= _MOST_VALUES
        else None,
    }


def quarantined_rows(rows: int, url: str) -> dict[str, Any] | None:
    """Return how many rows are no ratings, where they lie, and the first of them; None if there are none."""
    if not rows:
        return None
    first = files.read_table(url, ["file", "line", "reason"]).slice(0, _FIRST_ASIDE).to_pylist()
    return {"rows": rows, "path": url, "first": [masked_content(row) for row in first]}


def _tail(counts: Any) -> dict[str, list[int]]:
    """Return how many rows have how many ratings, in bins that double."""
    bins = doubling_bin(counts)
    rows, ratings = np.bincount(bins), np.bincount(bins, weights=counts)
    bounds = [bounds_of_bin(number) for number in range(len(rows))]
    return {
        "low": [low for low, _ in bounds],
        "high": [high for _, high in bounds],
        "rows": rows.tolist(),
        "ratings": [int(each) for each in ratings],
    }


def _top(table: Place, counts: Any, titles: dict[Any, str]) -> list[dict[str, Any]]:
    raw_ids = files.read_table(table[0], ["raw_id"], table[1])["raw_id"]
    places = np.argsort(-counts, kind="stable")[:_TOP_ITEMS].tolist()
    top = [(raw_ids[place].as_py(), int(counts[place])) for place in places]
    return [{"id": str(raw), "title": titles.get(raw), "ratings": count} for raw, count in top]


def _learning(training: Training, stop_on: str) -> dict[str, Any]:
    return {
        "counted": training.counted,
        "stop_on": stop_on,
        "best_epoch": training.best_epoch,
        "epochs": [
            {"epoch": number, "training_rmse": each[0], "stopping_rmse": each[1]}
            for number, each in enumerate(training.history, start=1)
        ],
    }


def _spectrum(model_folder: str) -> list[dict[str, Any]]:
    url = files.join(model_folder, "spectrum.parquet")
    if files.bytes_if_there(url) is None:
        return []
    return list(files.read_table(url).to_pylist())


def _ranks(spectrum: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return RMSE and energy of every truncation; nothing where no rating was held out to measure it on."""
    return [{key: row[key] for key in ("rank", "rmse", "energy")} for row in spectrum if row.get("rmse") is not None]


def _errors(errors: Breakdown, ruler: Bins) -> dict[str, Any]:
    span = ruler.high - ruler.low
    first = ruler.months[0]
    width = span / len(errors.by_prediction)
    edges = np.linspace(-span, span, len(errors.by_residual) + 1)
    total = errors.by_residual.sum(axis=0)
    mean = total[ERROR] / max(1.0, total[COUNT])
    doubling = [dict(zip(("low", "high"), bounds_of_bin(n), strict=True)) for n in range(len(errors.by_user_activity))]
    return {
        "by_user_activity": _measured(errors.by_user_activity, doubling),
        "by_item_popularity": _measured(errors.by_item_popularity, doubling),
        "by_value": _measured(errors.by_value, [{"value": value} for value in ruler.values]),
        "by_time": _measured(
            errors.by_month, [{"start": str(np.datetime64(first + n, "M"))} for n in range(len(errors.by_month))]
        )
        or None,
        "calibration": [
            {"low": ruler.low + n * width, "high": ruler.low + (n + 1) * width, "ratings": int(row[COUNT]),
             "predicted": row[PREDICTED] / row[COUNT], "actual": row[ACTUAL] / row[COUNT]}
            for n, row in enumerate(errors.by_prediction) if row[COUNT]
        ],
        "residuals": {
            "edges": edges.tolist(), "counts": [int(row[COUNT]) for row in errors.by_residual], "mean": float(mean),
            "deviation": float(np.sqrt(max(0.0, total[SQUARED] / max(1.0, total[COUNT]) - mean**2))),
        },
    }  # fmt: skip


def _measured(sums: Sums, bins: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the measures of the bins that have ratings."""
    return [
        {**where, "ratings": int(row[COUNT]), "rmse": float(np.sqrt(row[SQUARED] / row[COUNT])),
         "mean_error": float(row[ERROR] / row[COUNT])}
        for where, row in zip(bins, sums, strict=True) if row[COUNT]
    ]  # fmt: skip
