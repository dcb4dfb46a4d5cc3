"""Score one part of a saved model at every rank at once.

Covers: the item side, rotated once for the tasks of a worker, and the errors of one user part.
Does not cover: the errors of a rank (tasks/model/errors_by_rank.py), or which tasks run (pipeline/stages/spectrum.py).
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from funkflow.tasks.model.about import Place
from funkflow.tasks.model.canonical import Rotations
from funkflow.tasks.model.errors_by_rank import RankErrors, SideFactors, errors_by_rank, rotate_items
from funkflow.tasks.model.parts import ModelPart, ModelParts
from funkflow.tasks.model.score_rows import Scorer
from funkflow.tasks.training.score import read_held_out


def turn_items(parts: ModelParts, rotations: Rotations, fold_biases: bool) -> SideFactors:
    """Return the item side, to be shared by the tasks of a worker."""
    return rotate_items(_matrix_side(parts, parts.item_side(), "item", fold_biases), rotations)


def _matrix_side(parts: ModelParts, rows: ModelPart, side: Literal["user", "item"], fold_biases: bool) -> SideFactors:
    if not fold_biases:
        return SideFactors(rows.factors, rows.biases)
    whole = parts.matrix(rows, side, True)
    return SideFactors(whole, np.zeros(len(whole)))


def score_ranks(
    parts: ModelParts, number: int, held_out: Place, rotations: Rotations, items: SideFactors, fold_biases: bool
) -> RankErrors:
    """Score one user part at every rank. Its rows and those of its held-out ratings are the rows of one shard."""
    ratings = read_held_out(*held_out, shards=len(parts.items))
    # An item is known by its row in its shard; the shards lie one after another, as the item side has them.
    sides, before = [], 0
    for shard, count in enumerate(parts.item_counts):
        rows = ratings.item_rows[ratings.starts[shard] : ratings.starts[shard + 1]]
        sides.append(np.where(rows < 0, -1, rows + before))
        before += count
    users = _matrix_side(parts, parts.user_part(number), "user", fold_biases)
    by = Scorer(parts.rank, 0.0 if fold_biases else parts.mean, parts.scale)
    rows = np.concatenate(sides)
    return errors_by_rank(ratings.user_rows, rows, ratings.ratings, users, items, rotations, by)
