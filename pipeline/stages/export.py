"""Export: the trained shards as a model in an open form, for other programs.

Covers: a task for each side that cuts the raw ids by shard, a task for each shard, the kept draws of a posterior with
the noise by rating, and `model.json`.
Does not cover: the form (tasks/model/model.py, tasks/model/draws/).
"""

from __future__ import annotations

import functools
import math
import operator
import time
from typing import Any

from funkflow.pipeline.cluster.context import Context, run_all, spare_memory, submit_shared
from funkflow.pipeline.progress.events import StageFinished, StageStarted
from funkflow.pipeline.root.manifests import Dataset, Training, TrainingData
from funkflow.pipeline.root.records import NewRows
from funkflow.pipeline.root.store import nothing_half_written
from funkflow.pipeline.training.placed_grid import stored_row
from funkflow.pipeline.training.times import saved_times
from funkflow.tasks.dataset.id_pieces import cut_by_shard
from funkflow.tasks.errors import DamagedFile
from funkflow.tasks.model.about import About, PartEntry, read_about, refuse_missing_parts, write_about
from funkflow.tasks.model.draws.about_draws import FOLDERS, PRIORS, DrawsAbout, NoiseByRating
from funkflow.tasks.model.draws.drawn_rows import write_priors
from funkflow.tasks.model.fold.about_new_rows import FILE, NewRowsAbout
from funkflow.tasks.storage import files
from funkflow.tasks.training.new_rows.prior import export_new_rows
from funkflow.tasks.training.posterior.exported import export_drawn_shard
from funkflow.tasks.training.posterior.noise_by_rating import measure_row, noise_factors
from funkflow.tasks.training.saved_shards import export_shard, read_shards

_STAGE = "export"
_SIDES = ("user", "item")


def export(context: Context, data: TrainingData, training: Training, rank: int, about: About) -> str:
    """Write the model beside its training, unless it exists; return its folder."""
    folder = files.join(training.run_folder, "model")
    started, dataset = time.monotonic(), data.dataset
    kept = training.posterior.kept if training.posterior else ()
    reused = not context.trains_anew and _has_model(folder, about, len(kept))
    if not reused:
        shards = sum(len(shards) for shards in training.shards.values())
        context.notify(StageStarted(_STAGE, len(_SIDES) + shards * (2 if kept else 1) + bool(kept) * data.grid.shards))
        with spare_memory(context):
            biases = bool(about.get("biases", True))
            parts, draws = _export_parts(context, dataset, training, rank, folder, biases)
        steps = training.steps
        content: About = {**about, "l2": steps.l2, "deviation": steps.deviation}
        if training.common_user:
            content["common_user"] = [math.sqrt(steps.deviation) * each for each in training.common_user]
        if training.times:
            content["times"] = {"effects": list(training.times.effects), "edges": list(training.times.edges)}
        if draws:
            draws["noise_by_rating"] = _noise_by_rating(context, data, training, rank)
            content["draws"] = draws
        if (found := training.new_rows) and found.sides:
            content["new_rows"] = _export_new_rows(context, found, steps.deviation, folder)
        if titles := _copy_titles(dataset, folder):
            content["titles"] = titles
        write_about(folder, steps.mean, dataset.bounds, rank=rank, parts=parts, about=content)
    context.notify(StageFinished(_STAGE, time.monotonic() - started, folder, reused))
    return folder


def _export_parts(
    context: Context, dataset: Dataset, training: Training, rank: int, folder: str, biases: bool
) -> tuple[dict[str, list[PartEntry]], DrawsAbout | None]:
    """Write the parts of both sides, and the draws if any are kept; return their entries in `model.json`."""
    scratch = context.store.scratch(f"export-{context.attempt}")
    pieces = [files.join(scratch, f"{side}s.arrow") for side in _SIDES]
    cuts = [
        (place, len(training.shards[f"{side}s"]), url)
        for side, place, url in zip(_SIDES, dataset.id_places, pieces, strict=True)
    ]
    with nothing_half_written(temporary=(scratch,)):
        run_all(context, _STAGE, "cut-ids", cut_by_shard, cuts)
        by_side = dict(zip(_SIDES, pieces, strict=True))
        parts = {
            side: run_all(
                context, _STAGE, f"export-{side}", export_shard, _shard_jobs(training, side, rank, ids, folder)
            )
            for side, ids in by_side.items()
        }
        return parts, _export_draws(context, training, by_side, folder, biases)


def _export_draws(
    context: Context, training: Training, ids: dict[str, str], folder: str, biases: bool
) -> DrawsAbout | None:
    """Write the kept draws of both sides, if there are any; `ids` : the raw ids of each side, by shard."""
    kept = training.posterior.kept if training.posterior else ()
    if not kept:
        return None
    parts, priors, deviation, times = {}, {}, training.steps.deviation, saved_times(training)
    precisions = [draw.noise_precision for draw in kept]
    for side, pieces in ids.items():
        target = files.join(folder, FOLDERS[side])
        jobs = [
            (
                saved, side, biases, precisions, pieces, number, deviation,
                files.join(target, f"part.{number:05d}.parquet"), times and times.of_shard(side, number),
            )
            for number, saved in enumerate(training.kept_places(f"{side}s"))
        ]  # fmt: skip
        found = run_all(context, _STAGE, f"export-{side}-draws", export_drawn_shard, jobs)
        parts[side] = [entry for entry, _ in found]
        priors[side] = functools.reduce(operator.add, (sums for _, sums in found)).priors()
    return {
        "count": len(kept),
        "rank": priors["user"].mean.shape[1] - 1,
        "noise": [deviation * precision**-0.5 for precision in precisions],
        "noise_by_user": True,
        "parts": parts,
        "priors": {"path": PRIORS, "checksum": write_priors(files.join(folder, PRIORS), *priors.values())},
    }


def _noise_by_rating(context: Context, data: TrainingData, training: Training, rank: int) -> NoiseByRating:
    """Measure how far the training ratings lie from the predictions of the model, by these predictions."""
    users, items = (training.shard_places(side) for side in ("users", "items"))
    with spare_memory(context):
        loaded = submit_shared(context, "load-item-shards", read_shards, items, rank)
        times = saved_times(training)
        jobs = [
            (
                stored_row(context, data.grid, number), user, loaded, rank, training.steps, data.grid.ratings,
                stored_row(context, data.grid, number, days=True) if times else None, times, number,
            )
            for number, user in enumerate(users)
        ]  # fmt: skip
        sums = run_all(context, _STAGE, "measure-noise", measure_row, jobs)
    return noise_factors(functools.reduce(operator.add, sums), training.steps)


def _export_new_rows(context: Context, found: NewRows, deviation: float, folder: str) -> NewRowsAbout:
    """Write what new rows are like, in rating units; second factors are a column of the items."""
    jobs = [([entry.place(found.folder) for entry in found.sides], found.noise, deviation, files.join(folder, FILE))]
    (checksum,) = run_all(context, _STAGE, "export-new-rows", export_new_rows, jobs)
    noise = found.noise * deviation**2
    return {"path": FILE, "checksum": checksum, "noise": noise, "second_factors": bool(found.second)}


def _copy_titles(dataset: Dataset, folder: str) -> dict[str, str] | None:
    """Copy the titles beside the model, if the dataset has them."""
    url, checksum = dataset.id_place("item")
    items = files.read_table(url, expected_checksum=checksum)
    if "title" not in items.column_names:
        return None
    url = files.join(folder, "titles.parquet")
    return {"path": "titles.parquet", "checksum": files.write_table(url, items.select(["raw_id", "title", "year"]))}


def _has_model(folder: str, wanted: About, draws: int) -> bool:
    if not files.exists(files.join(folder, "model.json")):
        return False
    about = read_about(folder)
    if "l2" not in about or about.get("alpha") != wanted.get("alpha"):  # an older model without the fields for fold_in
        return False
    found = about.get("draws")
    if draws != (found["count"] if found else 0) or (
        found and not {"noise_by_rating", "noise_by_user"} <= found.keys()
    ):
        return False
    try:
        refuse_missing_parts(folder, about)
    except DamagedFile:
        return False
    return True


def _shard_jobs(training: Training, side: str, rank: int, ids: str, folder: str) -> list[tuple[Any, ...]]:
    target, times = files.join(folder, f"{side}_factors.parquet"), saved_times(training)
    new = training.new_rows
    second = [entry.place(new.folder) for entry in new.second] if new and side == "item" else []
    return [
        (
            place, rank, ids, number, training.steps.deviation, files.join(target, f"part.{number:05d}.parquet"),
            times and times.of_shard(side, number), second[number] if second else None,
        )
        for number, place in enumerate(training.shard_places(f"{side}s"))
    ]  # fmt: skip
