"""Vectors: U and V of a saved model in canonical or balanced form, written as Parquet parts.

Covers: the last pass of the tall-skinny QR, one task for each part, after which columns are orthonormal to rounding
even if singular values are zero.
Does not cover: the passes before (pipeline/models/canonical_graph.py), the arithmetic (tasks/model/canonical.py).
"""

from __future__ import annotations

import time

import numpy as np

from funkflow.pipeline.cluster.context import Context, run_all
from funkflow.pipeline.models.canonical_graph import core_of, spectrum_id, tasks_of_core
from funkflow.pipeline.progress.events import StageFinished, StageStarted
from funkflow.pipeline.root.model_manifests import Vectors
from funkflow.pipeline.root.store import content_id
from funkflow.tasks.errors import SettingsError
from funkflow.tasks.model.about import SideName, read_about
from funkflow.tasks.model.algebra import matrix_name
from funkflow.tasks.model.canonical import Matrix
from funkflow.tasks.model.parts import ModelParts
from funkflow.tasks.model.write_vectors import write_vectors
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
            raise SettingsError(f"{folder}: holds files other than these vectors; name another folder")
        parts = ModelParts.of(model_folder, about)
        context.notify(StageStarted(_STAGE, tasks_of_core(parts) + len(parts.users) + len(parts.items)))
        core = core_of(context, _STAGE, parts, fold_biases)
        values = core.rotations.values
        stretch = np.sqrt(values) if balanced else np.ones(len(values))
        turns: dict[SideName, list[Matrix]] = {"item": core.items, "user": core.users}
        items, users = (
            run_all(context, _STAGE, f"{side}-vectors", write_vectors, [
                (parts, side, number, fold_biases, turn * stretch, files.join(folder, f"{side}_vectors.parquet"))
                for number, turn in enumerate(of_side)
            ])
            for side, of_side in turns.items()
        )  # fmt: skip
        manifest = Vectors(
            folder=folder, id=wanted, of=matrix_name(fold_biases), balanced=balanced,
            singular_values=values.tolist(), users=users, items=items,
        ).publish([*users, *items])  # fmt: skip
    context.notify(StageFinished(_STAGE, time.monotonic() - started, folder, reused))
    return manifest
