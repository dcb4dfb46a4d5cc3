"""The whole matrix A_ρ of a saved model as a lazy Dask array.

Covers: the graph, which loads each part of the model once and computes one piece a task.
Does not cover: writing it (pipeline/stages/reconstruct.py), or blocks small enough for memory (`Model.reconstruct`).
"""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
from dask.delayed import delayed

from funkflow.pipeline.models.canonical_graph import saved_rotations
from funkflow.tasks.model.about import read_about
from funkflow.tasks.model.canonical import check_rank, combine_r
from funkflow.tasks.model.parts import ModelParts, part_triangle
from funkflow.tasks.model.pieces import cut_rows, ratings_of_piece, read_item_side, rows_of


def reconstruction(
    model_folder: str, rank: int | None = None, clip: bool = True, piece_bytes: int = 32 * 2**20
) -> da.Array:
    """Return A_ρ = µ + b_u + b_i + U_ρ Σ_ρ V_ρᵀ of all users and items as a Dask array, float32 (users, items).

    Rows and columns are in the order of the `user_ids` and `item_ids` of the loaded `Model`.

    Parameters
    ----------
    model_folder : of a saved model, local or any fsspec URL.
    rank : ρ, the strongest factors that count; None: all.
    clip : clip to the model's scale.
    piece_bytes : size of a chunk: whole rows.

    Raises
    ------
    BadInput
        The model has fewer factors than `rank`.
    SettingsError
        There is no model in that folder.
    """
    about = read_about(model_folder)
    parts, kept = ModelParts.of(model_folder, about), check_rank(rank, int(about["rank"]))
    items = sum(parts.item_counts)
    rotations: Any = None
    if kept < parts.rank:
        rotations = saved_rotations(model_folder, about) or _delayed_rotations(parts)
    side = delayed(read_item_side)(parts, rotations, kept, clip)
    loaded = [delayed(parts.user_part)(number) for number in range(len(parts.users))]
    cuts = cut_rows(parts.user_counts, rows_of(piece_bytes, items))
    blocks = [
        da.from_delayed(
            delayed(ratings_of_piece)(cut, side, [loaded[part] for part, _, _ in cut.slices]),
            (cut.rows, items),
            np.float32,
        )
        for cut in cuts
    ]
    whole: da.Array = da.concatenate(blocks, axis=0)
    return whole


def _delayed_rotations(parts: ModelParts) -> Any:
    """Return the canonical form without the choice of signs, which no product depends on."""
    users = [delayed(part_triangle)(parts, "user", number, False) for number in range(len(parts.users))]
    items = [delayed(part_triangle)(parts, "item", number, False) for number in range(len(parts.items))]
    return delayed(combine_r)(users, items).rotations
