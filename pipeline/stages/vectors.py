"""Vectors: U and V of a saved model in canonical or balanced form, written as Parquet parts.

Covers: the second pass of the tall-skinny QR, one task a user part, so that columns are orthonormal to rounding even
where singular values are zero; the item side, which one task has whole.
Does not cover: the first pass (pipeline/models/canonical_graph.py), the arithmetic (tasks/model/canonical.py).
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funkflow.pipeline.cluster.context import Context, run_all
from funkflow.pipeline.models.canonical_graph import spectrum_id, user_triangles
from funkflow.pipeline.progress.events import StageFinished, StageStarted
from funkflow.pipeline.root.store import content_id, publish, published
from funkflow.tasks.errors import SettingsError
from funkflow.tasks.model.about import read_about
from funkflow.tasks.model.algebra import named
from funkflow.tasks.model.canonical import Matrix, apply_q, combine_r
from funkflow.tasks.model.parts import ModelParts
from funkflow.tasks.storage import files

_STAGE = "vectors"


def write_vectors(
    context: Context, model_folder: str, folder: str, fold_biases: bool = False, balanced: bool = False
) -> dict[str, Any]:
    """Write `user_vectors.parquet` and `item_vectors.parquet` (raw_id, vector) into `folder`; return its manifest.

    Parameters
    ----------
    fold_biases : of µ + b_u + b_i + U Vᵀ instead of U Vᵀ.
    balanced : Û = U Σ^½ and V̂ = V Σ^½ instead of U and V, whose columns are orthonormal.

    Returns
    -------
    dict with "of" (which matrix), "balanced", "singular_values", and the parts of each side.

    Raises
    ------
    SettingsError
        There is something else in `folder`.
    BadInput
        The matrix is zero.
    """
    started = time.monotonic()
    about = read_about(model_folder)
    wanted = content_id(what="vectors", spectrum=spectrum_id(about, fold_biases), balanced=balanced)
    manifest = published(folder, "vectors")
    reused = manifest is not None and manifest["id"] == wanted
    if manifest is None or not reused:
        if files.names(folder):
            raise SettingsError(f"{folder}: is not empty and holds no such vectors; name a new folder")
        parts = ModelParts.of(model_folder, about)
        context.tell(StageStarted(_STAGE, 2 * len(parts.users) + 1))
        triangles = user_triangles(context, _STAGE, parts, fold_biases)
        job = (triangles, parts, fold_biases, balanced, files.join(folder, "item_vectors.parquet"))
        values, turns, items = run_all(context, _STAGE, "item-vectors", write_item_vectors, [job])[0]
        target = files.join(folder, "user_vectors.parquet")
        jobs = [(parts, number, fold_biases, turn, target) for number, turn in enumerate(turns)]
        users = run_all(context, _STAGE, "user-vectors", write_user_vectors, jobs)
        manifest = publish(
            folder, "vectors", files=[*users, *items], id=wanted, of=named(fold_biases), balanced=balanced,
            singular_values=values.tolist(), users=users, items=items,
        )  # fmt: skip
    context.tell(StageFinished(_STAGE, time.monotonic() - started, folder, reused))
    return manifest


def write_item_vectors(
    triangles: list[Matrix], parts: ModelParts, fold_biases: bool, balanced: bool, folder: str
) -> tuple[Matrix, list[Matrix], list[str]]:
    """Write V in the parts that the model has; return the singular values, each user part's turn, and the files."""
    items = parts.item_side()
    core, turns = combine_r(triangles, parts.matrix(items, "item", fold_biases))
    values = core.rotations.values
    stretch = np.sqrt(values) if balanced else np.ones(len(values))
    written, start = [], 0
    for number, count in enumerate(parts.item_counts):
        rows = slice(start, start + count)
        written.append(_write(folder, number, items.raw_ids[rows], core.item_vectors[rows] * stretch))
        start += count
    return values, [turn * stretch for turn in turns], written


def write_user_vectors(parts: ModelParts, number: int, fold_biases: bool, turn: Matrix, folder: str) -> str:
    """Write one part of U; return its file."""
    part = parts.user_part(number)
    return _write(folder, number, part.raw_ids, apply_q(parts.matrix(part, "user", fold_biases), turn))


def _write(folder: str, number: int, raw_ids: npt.NDArray[Any], rows: Matrix) -> str:
    name = f"part.{number:05d}.parquet"
    column = pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(rows).ravel()), rows.shape[1])
    table = pa.table({"raw_id": pa.array(raw_ids), "vector": column})
    files.write_table(files.join(folder, name), table, compression="none", dictionaries=["raw_id"])
    return f"{folder.rsplit('/', 1)[1]}/{name}"
