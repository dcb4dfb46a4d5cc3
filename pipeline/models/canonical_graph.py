"""The canonical form of a saved model on the cluster, one task a part, without gathering a side.

Covers: the tall-skinny QR of the parts (Benson, Gleich and Demmel 2013), the small core, the signs, and the files of
the two rotations beside a model.
Does not cover: the arithmetic (tasks/model/canonical.py), the stages (pipeline/stages/spectrum.py,
pipeline/stages/vectors.py, pipeline/stages/reconstruct.py).
"""

from __future__ import annotations

import numpy as np

from funkflow.pipeline.cluster.context import Context, run_all
from funkflow.pipeline.planning.budget import BEFORE_KERNELS_BYTES, CLIENT_BYTES, SHARED_BYTES, WORKER_BYTES
from funkflow.pipeline.planning.method_memory import Size, Workload, spectrum_task_bytes
from funkflow.pipeline.root.model_manifests import Spectrum
from funkflow.pipeline.root.store import content_id
from funkflow.tasks.model.about import SIDES, About, SideName
from funkflow.tasks.model.canonical import Core, Rotations, combine_r, signs_of
from funkflow.tasks.model.parts import ModelParts, largest_of_items, part_triangle
from funkflow.tasks.storage import files, npy

ROTATIONS = ("user_rotation.npy", "item_rotation.npy")


def names_of(fold_biases: bool) -> tuple[str, str]:
    """Return the names, in a model's folder, of the table of its spectrum and of the folder that belongs to it."""
    name = "spectrum_with_biases" if fold_biases else "spectrum"
    return f"{name}.parquet", name


def spectrum_id(about: About, fold_biases: bool) -> str:
    """Return the id of a model's spectrum, which depends on the model's numbers and on the matrix."""
    return content_id(what="spectrum", model=about["parts"], mean=about["mean"], fold_biases=fold_biases)


def saved_rotations(model_folder: str, about: About, fold_biases: bool = False) -> Rotations | None:
    """Return the canonical form from the files beside a model; None if there are none of this model."""
    table, name = names_of(fold_biases)
    folder = files.join(model_folder, name)
    manifest = Spectrum.published(folder)
    if manifest is None or manifest.id != spectrum_id(about, fold_biases):
        return None
    sums = manifest.checksums
    read = files.read_table(files.join(model_folder, table), ["singular_value"], sums[table])
    return Rotations(
        np.asarray(read["singular_value"].to_numpy()),
        *(npy.read_array(files.join(folder, each), sums[each]) for each in ROTATIONS),
    )


def predict_canonical_bytes(about: About, held_out: int, vectors: bool, workers: int, threads: int) -> tuple[int, int]:
    """Return the predicted peaks, of all processes and of one worker, of a model's spectrum.

    `held_out` : validation ratings for its errors; `vectors` : whether U and V are written, too. It is NumPy's work, so
    no process loads a kernel.
    """
    users, items = (sum(int(part["rows"]) for part in about["parts"][side]) for side in SIDES)
    size = Size(0, users, items, raw_bytes=0, held_out=held_out)
    work = Workload(size, int(about["rank"]), len(about["parts"]["item"]), workers, threads)
    worker = WORKER_BYTES - BEFORE_KERNELS_BYTES + min(threads, work.shards) * spectrum_task_bytes(work, vectors)
    return int(CLIENT_BYTES - BEFORE_KERNELS_BYTES + workers * worker), int(worker + SHARED_BYTES)


def core_of(context: Context, stage: str, parts: ModelParts, fold_biases: bool) -> Core:
    """Return the SVD of a model's core, computed on the cluster: k × k numbers from each part of either side."""
    counts: dict[SideName, int] = {"user": len(parts.users), "item": len(parts.items)}
    jobs = [(parts, side, number, fold_biases) for side, count in counts.items() for number in range(count)]
    triangles = run_all(context, stage, "qr-parts", part_triangle, jobs)
    (core,) = run_all(
        context, stage, "svd-core", combine_r, [(triangles[: counts["user"]], triangles[counts["user"] :])]
    )
    turns = [(parts, number, fold_biases, turn) for number, turn in enumerate(core.items)]
    return core.signed(signs_of(run_all(context, stage, "signs", largest_of_items, turns)))


def tasks_of_core(parts: ModelParts) -> int:
    """Return how many tasks `core_of` runs."""
    return len(parts.users) + 2 * len(parts.items) + 1


def rotations_of(context: Context, stage: str, parts: ModelParts, fold_biases: bool = False) -> Rotations:
    """Return the canonical form of a model, computed on the cluster."""
    return core_of(context, stage, parts, fold_biases).rotations
