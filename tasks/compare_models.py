"""Two saved models on the same held-out ratings, and whether a saved model's numbers are finite.

Covers: scoring by raw ids what one piece of held-out ratings holds, without the ratings that a model was trained on.
Does not cover: which ratings those are (trained_pairs.py), or what follows from the scores (pipeline/stages/gate.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tasks import files
from tasks.model import Model
from tasks.model_about import Place
from tasks.model_parts import read_part
from tasks.score import Errors
from tasks.trained_pairs import Training, are_trained_on, raw_pairs

_NO_ERRORS = Errors(0.0, 0.0, 0)


@dataclass(frozen=True)
class Compared:
    """Sums over held-out ratings: the errors of two models, and what is to be said of the ratings.

    `trained_on` : ratings left out as one of the models was trained on them; `unknown` : of those scored, how many have
    a user or an item that the older model never met; `known` : how many have both.
    """

    older: Errors = _NO_ERRORS
    newer: Errors = _NO_ERRORS
    trained_on: int = 0
    unknown: int = 0
    known: int = 0

    def __add__(self, other: Compared) -> Compared:
        return Compared(
            self.older + other.older, self.newer + other.newer, self.trained_on + other.trained_on,
            self.unknown + other.unknown, self.known + other.known,
        )  # fmt: skip


def compare_on(
    held_out: Place, ids: tuple[Place, Place], trainings: Sequence[Training], older: str, newer: str
) -> Compared:
    """Score two saved models (their folders) on one piece of held-out ratings, one model in memory at a time.

    Held-out ratings of users or items that the data do not have are left out.
    """
    table = files.read_table(held_out[0], ["user", "item", "rating"], held_out[1])
    inside, users, items = raw_pairs(table, ids)
    ratings = table["rating"].to_numpy()[inside].astype(np.float64)
    met = are_trained_on(users, items, trainings)
    raw_users, raw_items = (each.to_numpy(zero_copy_only=False)[~met] for each in (users, items))
    found = []
    known = 0
    for folder in (older, newer):
        model = Model.load(folder)
        errors = ratings[~met] - model.score(raw_users, raw_items)
        found.append(Errors(float(np.sum(errors**2)), float(np.sum(np.abs(errors))), len(errors)))
        if folder == older:
            known = int(model.knows(raw_users, raw_items).sum())
    return Compared(found[0], found[1], int(met.sum()), len(errors) - known, known)


def is_finite(part: Place, rank: int) -> bool:
    """Say whether all numbers of a part of a saved model are finite."""
    read = read_part(*part, rank)
    return bool(np.isfinite(read.biases).all() and np.isfinite(read.factors).all())
