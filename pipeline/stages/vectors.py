"""Vectors: U and V of a saved model in canonical or balanced form, written as Parquet parts.

Covers: the second pass of the tall-skinny QR, one task for each user part, after which columns are orthonormal to
rounding even if singular values are zero; the item side, in one task.
Does not cover: the first pass (pipeline/models/canonical_graph.py), the arithmetic (tasks/model/canonical.py).
"""

from __future__ import annotations

import time

from funkflow.pipeline.cluster.context import Context, run_all
from funkflow.pipeline.models.canonical_graph import spectrum_id, user_triangles
from funkflow.pipeline.progress.events import StageFinished, StageStarted
from funkflow.pipeline.root.model_manifests import Vectors
from funkflow.pipeline.root.store import content_id
from funkflow.tasks.errors import SettingsError
from funkflow.tasks.model.about import read_about
from funkflow.tasks.model.algebra import matrix_name
from funkflow.tasks.model.parts import ModelParts
from funkflow.tasks.model.write_vectors import write_item_vectors, write_user_vectors
from funkflow.tasks.storage import files

_STAGE = "vectors"


def write_canonical_vectors(
    context: Context, model_folder: str, folder: str, fold_biases: bool = False, balanced: bool = False
) -> Vectors:
    """Write `user_vectors.parquet` and `item_vectors.parquet` (raw_id, vector) into `folder`.

    Parameters
    ----------
    fold_biases : of µ + b_u + b_i + U Vᵀ instead of U Vᵀ.
    balanced : Û = U Σ^½ and V̂ = V Σ^½ instead of U and V, whose columns are orthonormal.

    Raises
    ------
    SettingsError
        `folder` holds something else.
    BadInput
        The matrix is zero.
    """
    started = time.monotonic()
    about = read_about(model_folder)
    wanted = content_id(what="vectors", spectrum=spectrum_id(about, fold_biases), balanced=balanced)
    manifest = Vectors.published(folder)
    reused = manifest is not None and manifest.id == wanted
    if manifest is None or not reused:
        if files.names(folder):
            raise SettingsError(f"{folder}: is not empty and holds no such vectors; name a new folder")
        parts = ModelParts.of(model_folder, about)
        context.notify(StageStarted(_STAGE, 2 * len(parts.users) + 1))
        r_factors = user_triangles(context, _STAGE, parts, fold_biases)
        job = (r_factors, parts, fold_biases, balanced, files.join(folder, "item_vectors.parquet"))
        values, turns, items = run_all(context, _STAGE, "item-vectors", write_item_vectors, [job])[0]
        target = files.join(folder, "user_vectors.parquet")
        jobs = [(parts, number, fold_biases, turn, target) for number, turn in enumerate(turns)]
        users = run_all(context, _STAGE, "user-vectors", write_user_vectors, jobs)
        manifest = Vectors(
            folder=folder, id=wanted, of=matrix_name(fold_biases), balanced=balanced,
            singular_values=values.tolist(), users=users, items=items,
        ).publish([*users, *items])  # fmt: skip
    context.notify(StageFinished(_STAGE, time.monotonic() - started, folder, reused))
    return manifest
