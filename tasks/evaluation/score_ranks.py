"""Score one part of a saved model at every rank at once.

Covers: the errors of one user part, with one part of the items in memory at a time.
Does not cover: the errors of a rank (tasks/model/errors_by_rank.py), the order of tasks (pipeline/stages/spectrum.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from funkflow.tasks.evaluation.placed_ratings import time_offsets
from funkflow.tasks.model.about import Place
from funkflow.tasks.model.canonical import Rotations
from funkflow.tasks.model.errors_by_rank import RankErrors, SideFactors, errors_by_rank, no_errors, rotate_items
from funkflow.tasks.model.parts import ModelParts, Rows
from funkflow.tasks.model.score_rows import Scorer
from funkflow.tasks.training.score import read_held_out


@dataclass(frozen=True)
class CanonicalModel:
    """A saved model and its canonical form: of µ + b_u + b_i + U Vᵀ if `fold_biases`, else of U Vᵀ."""

    parts: ModelParts
    rotations: Rotations
    fold_biases: bool

    def side(self, rows: Rows, name: Literal["user", "item"]) -> SideFactors:
        """Return some rows of a side; with `fold_biases` the factors contain the biases."""
        if not self.fold_biases:
            return SideFactors(rows.factors, rows.biases)
        whole = self.parts.matrix(rows, name, True)
        return SideFactors(whole, np.zeros(len(whole)))


def score_ranks(model: CanonicalModel, number: int, held_out: Place) -> RankErrors:
    """Score one user part at every rank, one item part after another.

    Its rows and those of its held-out ratings are the rows of one shard; so it is for items. Of an item part only the
    rows that have ratings here are rotated.
    """
    parts, rotations = model.parts, model.rotations
    ratings = read_held_out(*held_out, shards=len(parts.items))
    users = model.side(parts.rows_of_part("user", number), "user")
    by = Scorer(parts.rank, 0.0 if model.fold_biases else parts.mean, parts.scale)
    total, times = no_errors(rotations), time_offsets(parts, ratings, number)
    for shard in range(len(parts.items)):
        part = ratings.part(shard)
        user_rows, item_rows, values = ratings.of(part)
        if not len(values):
            continue
        rated, at = np.unique(item_rows, return_inverse=True)
        known = rated >= 0
        rows = parts.rows_of_part("item", shard).take(rated[known])
        items = rotate_items(model.side(rows, "item"), rotations)
        offsets = None if times is None else times[part]
        total += errors_by_rank(user_rows, at - int(not known[0]), values, users, items, rotations, by, offsets)
    return total
