"""Evaluate: RMSE and MAE on the validation ratings, of the trained model and of what it must beat.

Covers: which scoring tasks run for the model and, for synthetic data, the planted truth.
Does not cover: the sums themselves (tasks/score.py), the mean and the biases alone (baseline.py), the validation
ratings (split.py, grid.py).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.runtime import checkpoint
from pipeline.runtime.context import Context, run_all
from pipeline.runtime.events import StageFinished, StageStarted
from pipeline.runtime.store import publish, published
from tasks import files
from tasks.descend import StepSizes
from tasks.digits import rounded
from tasks.factors import read_shard
from tasks.model import Model
from tasks.score import Errors, read_held_out, score

_STAGE = "evaluate"
_TRUTH_RATINGS = 500_000
"""Ratings that one task scores with the planted model, at least: to load it takes half a second at the full size."""


def evaluate(
    context: Context, dataset: dict[str, Any], split: dict[str, Any], grid: dict[str, Any], training: dict[str, Any],
    scale: tuple[float, float], run_folder: str, rank: int, baselines: Mapping[str, Errors], truth: str = "",
) -> dict[str, Any]:  # fmt: skip
    """Return {"ratings", "model", "biases", "mean", "truth"}: RMSE and MAE of each on the validation ratings.

    Parameters
    ----------
    baselines : errors of what the model must beat (stages/baseline.py).
    truth : folder of the planted model, for synthetic data; empty otherwise.

    Returns
    -------
    The manifest of the evaluation; {} without validation ratings.
    """
    if "validation" not in grid["held_out"]:
        return {}
    started = time.monotonic()
    folder = files.join(run_folder, "evaluation")
    manifest = published(folder, "evaluation")
    reused = manifest is not None
    if manifest is None:
        context.tell(StageStarted(_STAGE, grid["shards"]))
        errors = {
            "model": _model_errors(context, grid, training, scale, run_folder, rank),
            **baselines,
        }
        if truth:
            errors["truth"] = _truth_errors(context, dataset, split, truth)
        measured = {name: {"rmse": each.rmse, "mae": each.mae} for name, each in errors.items()}
        manifest = publish(
            folder, "evaluation", split=split["split"], ratings=grid["held_out"]["validation"]["ratings"], **measured
        )
    rmse, mae = manifest["model"]["rmse"], manifest["model"]["mae"]
    summary = f"RMSE {rounded(rmse, mae)}, MAE {rounded(mae, rmse)} on {manifest['split']}"
    context.tell(StageFinished(_STAGE, time.monotonic() - started, summary, reused))
    return manifest


def _held_out(context: Context, grid: dict[str, Any]) -> list[tuple[str, str]]:
    folder = context.store.grid(grid["id"])
    return [
        (files.join(folder, entry["path"]), entry["checksum"]) for entry in grid["held_out"]["validation"]["shards"]
    ]


def _model_errors(
    context: Context,
    grid: dict[str, Any],
    training: dict[str, Any],
    scale: tuple[float, float],
    run_folder: str,
    rank: int,
) -> Errors:
    folder, steps = checkpoint.folder_of(run_folder), StepSizes(**training["steps"])
    users, items = (
        [(files.join(folder, entry["path"]), entry["checksum"]) for entry in training["shards"][side]]
        for side in ("users", "items")
    )
    jobs = [
        (held_out, user, items, rank, steps, scale)
        for held_out, user in zip(_held_out(context, grid), users, strict=True)
    ]
    return _added(run_all(context, _STAGE, "score-model", score_saved, jobs))


def score_saved(
    held_out: tuple[str, str],
    users: tuple[str, str],
    items: list[tuple[str, str]],
    rank: int,
    steps: StepSizes,
    scale: tuple[float, float],
) -> Errors:
    """Score one user shard as it was saved against all saved item shards."""
    item_shards = [read_shard(url, checksum, rank) for url, checksum in items]
    return score(read_held_out(*held_out, shards=len(items)), read_shard(*users, rank), item_shards, steps, scale)


def _truth_errors(context: Context, dataset: dict[str, Any], split: dict[str, Any], truth: str) -> Errors:
    dataset_folder, split_folder = context.store.dataset(dataset["id"]), context.store.split(split["id"])
    parts = [
        (files.join(split_folder, part["path"]), part["checksum"], part["rows"])
        for part in split["validation"]["parts"]
    ]
    shares = [share for share in _shared(parts) if share]
    sums = tuple(dataset["id_checksums"][side] for side in ("users", "items"))
    scored = run_all(
        context, _STAGE, "score-truth", score_with_model, [(share, dataset_folder, truth, sums) for share in shares]
    )
    return _added([errors for share in scored for errors in share])


def _shared(parts: list[tuple[str, str, int]]) -> list[list[tuple[str, str]]]:
    """Group parts, in order, so that loading the model pays: each group but the last has enough ratings."""
    shares: list[list[tuple[str, str]]] = [[]]
    gathered = 0
    for url, checksum, rows in parts:
        shares[-1].append((url, checksum))
        gathered += rows
        if gathered >= _TRUTH_RATINGS:
            shares.append([])
            gathered = 0
    return shares


def score_with_model(
    parts: list[tuple[str, str]],
    dataset_folder: str,
    model_folder: str,
    id_checksums: tuple[str | None, str | None] = (None, None),
) -> list[Errors]:
    """Score a saved model, by raw ids, on parts of the validation ratings that lie in the dataset; one sum a part."""
    model = Model.load(model_folder)
    user_ids, item_ids = (
        files.read_table(files.join(dataset_folder, f"{side}.parquet"), ["raw_id"], of_side)["raw_id"].to_numpy()
        for side, of_side in zip(("users", "items"), id_checksums, strict=True)
    )
    scored = []
    for url, checksum in parts:
        table = files.read_table(url, ["user", "item", "rating"], expected_checksum=checksum)
        users, items, ratings = (table[column].to_numpy() for column in ("user", "item", "rating"))
        known = (users >= 0) & (items >= 0)
        predicted = model.predict(user_ids[users[known]], item_ids[items[known]])
        errors = ratings[known].astype(np.float64) - predicted
        scored.append(Errors(float(np.sum(errors**2)), float(np.sum(np.abs(errors))), int(known.sum())))
    return scored


def _added(parts: list[Errors]) -> Errors:
    return sum(parts[1:], parts[0])
