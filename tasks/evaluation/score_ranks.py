"""Score one part of a saved model at every rank at once.

Covers: the item side, rotated once for the tasks of a worker, and the errors of one user part.
Does not cover: the errors of a rank (tasks/model/errors_by_rank.py), the order of tasks (pipeline/stages/spectrum.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from funkflow.tasks.model.about import Place
from funkflow.tasks.model.canonical import Rotations
from funkflow.tasks.model.errors_by_rank import RankErrors, SideFactors, errors_by_rank, rotate_items
from funkflow.tasks.model.parts import ModelPart, ModelParts
from funkflow.tasks.model.score_rows import Scorer
from funkflow.tasks.training.score import read_held_out


@dataclass(frozen=True)
class CanonicalModel:
    """A saved model and its canonical form: of µ + b_u + b_i + U Vᵀ if `fold_biases`, else of U Vᵀ."""

    parts: ModelParts
    rotations: Rotations
    fold_biases: bool

    def side(self, rows: ModelPart, name: Literal["user", "item"]) -> SideFactors:
        """Return some rows of a side; with `fold_biases` the factors contain the biases."""
        if not self.fold_biases:
            return SideFactors(rows.factors, rows.biases)
        whole = self.parts.matrix(rows, name, True)
        return SideFactors(whole, np.zeros(len(whole)))


def turn_items(model: CanonicalModel) -> SideFactors:
    """Return the rotated item side, for all tasks of a worker."""
    return rotate_items(model.side(model.parts.item_side(), "item"), model.rotations)


def score_ranks(model: CanonicalModel, number: int, held_out: Place, items: SideFactors) -> RankErrors:
    """Score one user part at every rank. Its rows and those of its held-out ratings are the rows of one shard."""
    parts, fold_biases = model.parts, model.fold_biases
    ratings = read_held_out(*held_out, shards=len(parts.items))
    # The ratings have an item's row in its shard; the item side has all shards, one after another.
    sides, before = [], 0
    for shard, count in enumerate(parts.item_counts):
        rows = ratings.item_rows[ratings.starts[shard] : ratings.starts[shard + 1]]
        sides.append(np.where(rows < 0, -1, rows + before))
        before += count
    return errors_by_rank(
        ratings.user_rows,
        np.concatenate(sides),
        ratings.ratings,
        users=model.side(parts.user_part(number), "user"),
        items=items,
        rotations=model.rotations,
        by=Scorer(parts.rank, 0.0 if fold_biases else parts.mean, parts.scale),
    )
