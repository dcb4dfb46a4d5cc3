"""The canonical form of a saved model on the cluster, one task a part, without gathering the user side.

Covers: the tall-skinny QR of the user parts (Benson, Gleich and Demmel 2013), the small core, and the files of the two
rotations beside a model.
Does not cover: the arithmetic (tasks/model/canonical.py), the stages (pipeline/stages/spectrum.py,
pipeline/stages/vectors.py, pipeline/stages/reconstruct.py).
"""

from __future__ import annotations

import numpy as np

from funkflow.pipeline.cluster.context import Context, run_all
from funkflow.pipeline.root.model_manifests import Spectrum
from funkflow.pipeline.root.store import content_id
from funkflow.tasks.model.about import About
from funkflow.tasks.model.canonical import Matrix, Rotations
from funkflow.tasks.model.parts import ModelParts, core_rotations, part_triangle
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


def user_triangles(context: Context, stage: str, parts: ModelParts, fold_biases: bool) -> list[Matrix]:
    """Return R of each user part: k × k numbers from each, whatever the number of users."""
    jobs = [(parts, number, fold_biases) for number in range(len(parts.users))]
    return run_all(context, stage, "qr-users", part_triangle, jobs)


def rotations_of(context: Context, stage: str, parts: ModelParts, fold_biases: bool = False) -> Rotations:
    """Return the canonical form of a model, computed on the cluster."""
    r_factors = user_triangles(context, stage, parts, fold_biases)
    return run_all(context, stage, "svd-core", core_rotations, [(r_factors, parts, fold_biases)])[0]
