"""Parts of a report's facts, from counts, sums and files.

Covers: the verdict, the ratings, the epochs, the truncations, and the errors by bin.
Does not cover: the tasks that count and sum (pipeline/stages/report.py), the types (facts.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from funkflow.pipeline.results.report.facts import (
    CountBins,
    CountErrorBin,
    DataFacts,
    ErrorBin,
    ErrorFacts,
    LearningFacts,
    QuarantineFacts,
    RankFacts,
    RunVerdict,
    TopItem,
)
from funkflow.pipeline.root.manifests import Training, TrainingData
from funkflow.pipeline.root.model_manifests import SavedCounts
from funkflow.pipeline.root.result import RunResult
from funkflow.tasks.evaluation.breakdown import ACTUAL, COUNT, ERROR, PREDICTED, SQUARED, Bins, Breakdown, Sums
from funkflow.tasks.evaluation.describe import bounds_of_bin, doubling_bin
from funkflow.tasks.model.about import Place
from funkflow.tasks.redact import masked_content
from funkflow.tasks.storage import files, npy

_TOP_ITEMS, _FIRST_ROWS = 10, 10


def verdict_facts(result: RunResult) -> RunVerdict:
    """Return the errors of the model and of what it must beat, its ranking and its gate."""
    measured = result.evaluation
    mean, biases, truth = (measured.get(name, {}) for name in ("mean", "biases", "truth"))
    return {
        "rmse": result.rmse, "mae": result.mae, "split": result.split, "ratings": measured.get("ratings"),
        "mean_rmse": mean.get("rmse"), "mean_mae": mean.get("mae"),
        "biases_rmse": biases.get("rmse"), "biases_mae": biases.get("mae"),
        "truth_rmse": truth.get("rmse"), "gate": result.gate, "ranking": result.ranking,
    }  # fmt: skip


def data_facts(of: TrainingData, counts: SavedCounts, titles: dict[Any, str]) -> DataFacts:
    """Return the numbers of ratings, by month, by value, by user and by item."""
    dataset, items = of.dataset, npy.read_array(*counts.place("items"))
    return {
        "format": dataset.format,
        "users": dataset.users,
        "items": dataset.items,
        "ratings": dataset.ratings,
        "training": of.split.training_ratings,
        "validation": of.split.validation.ratings,
        "scale": list(dataset.bounds),
        "quarantined": quarantined_rows(dataset.quarantined, files.join(dataset.folder, "quarantine.parquet")),
        "by_time": {
            "unit": "month",
            "start": [str(np.datetime64(int(month), "M")) for month, _, _ in counts.months],
            "ratings": [int(number) for _, number, _ in counts.months],
            "mean": [total / number for _, number, total in counts.months],
        }
        if counts.months
        else None,
        "user_counts": _count_bins(npy.read_array(*counts.place("users"))),
        "item_counts": _count_bins(items[0]),
        "top_items": _top_items(dataset.id_place("item"), items.sum(axis=0), titles),
        "values": {
            "value": [value for value, _, _ in counts.values],
            "training": [int(training) for _, training, _ in counts.values],
            "validation": [int(held_out) for _, _, held_out in counts.values],
        }
        if counts.values is not None
        else None,
    }


def quarantined_rows(rows: int, url: str) -> QuarantineFacts | None:
    """Return the number of quarantined rows, their file, and the first of them; None without any."""
    if not rows:
        return None
    first = files.read_table(url, ["file", "line", "reason"]).slice(0, _FIRST_ROWS).to_pylist()
    return {"rows": rows, "path": url, "first": [masked_content(row) for row in first]}


def _count_bins(counts: npt.NDArray[np.int64]) -> CountBins:
    """Return the numbers of rows by their numbers of ratings, in bins that double."""
    bins = doubling_bin(counts)
    rows, ratings = np.bincount(bins), np.bincount(bins, weights=counts)
    bounds = [bounds_of_bin(number) for number in range(len(rows))]
    return {
        "low": [low for low, _ in bounds],
        "high": [high for _, high in bounds],
        "rows": rows.tolist(),
        "ratings": [int(each) for each in ratings],
    }


def _top_items(table: Place, counts: Any, titles: dict[Any, str]) -> list[TopItem]:
    raw_ids = files.read_table(table[0], ["raw_id"], table[1])["raw_id"]
    places = np.argsort(-counts, kind="stable")[:_TOP_ITEMS].tolist()
    top = [(raw_ids[place].as_py(), int(counts[place])) for place in places]
    return [{"id": str(raw), "title": titles.get(raw), "ratings": count} for raw, count in top]


def learning_facts(training: Training, stop_on: str) -> LearningFacts:
    """Return the errors by epoch, and the NDCGs where these decided."""
    found: LearningFacts = {
        "l2": training.steps.l2,
        "counted": training.counted,
        "stop_on": stop_on,
        "best_epoch": training.best_epoch,
        "epochs": [
            {"epoch": number, "training_rmse": each[0], "stopping_rmse": each[1]}
            for number, each in enumerate(training.history, start=1)
        ],
    }
    if ranked := training.ranked:
        found["ranked"] = {"places": ranked.places, "users": ranked.users, "ndcg": list(ranked.ndcg)}
    if training.start is not None:
        found["start"] = training.start
    return found


def spectrum_facts(model_folder: str) -> tuple[list[RankFacts] | None, list[float] | None]:
    """Return the truncations, None without validation ratings; and the singular values, None without a spectrum."""
    url = files.join(model_folder, "spectrum.parquet")
    if files.bytes_if_there(url) is None:
        return None, None
    rows = files.read_table(url).to_pylist()
    ranks: list[RankFacts] = [
        {"rank": row["rank"], "rmse": row["rmse"], "energy": row["energy"]}
        for row in rows
        if row.get("rmse") is not None
    ]
    return ranks or None, [row["singular_value"] for row in rows] or None


def error_facts(errors: Breakdown, ruler: Bins) -> ErrorFacts:
    """Return the errors by bin."""
    span = ruler.high - ruler.low
    first = ruler.months[0]
    width = span / len(errors.by_prediction)
    edges = np.linspace(-span, span, len(errors.by_residual) + 1)
    total = errors.by_residual.sum(axis=0)
    mean = total[ERROR] / max(1.0, total[COUNT])
    return {
        "by_user_activity": _bins_by_count(errors.by_user_activity),
        "by_item_popularity": _bins_by_count(errors.by_item_popularity),
        "by_value": [{"value": ruler.values[n], **each} for n, each in _error_bins(errors.by_value)],
        "by_time": [
            {"start": str(np.datetime64(first + n, "M")), **each} for n, each in _error_bins(errors.by_month)
        ] or None,
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


def _bins_by_count(sums: Sums) -> list[CountErrorBin]:
    bounds = [bounds_of_bin(number) for number in range(len(sums))]
    return [{"low": bounds[n][0], "high": bounds[n][1], **each} for n, each in _error_bins(sums)]


def _error_bins(sums: Sums) -> Iterator[tuple[int, ErrorBin]]:
    """Yield the bins that have ratings, with their numbers."""
    for number, row in enumerate(sums):
        if count := row[COUNT]:
            rmse, mean_error = float(np.sqrt(row[SQUARED] / count)), float(row[ERROR] / count)
            yield number, {"ratings": int(count), "rmse": rmse, "mean_error": mean_error}
