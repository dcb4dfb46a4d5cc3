"""Two saved models on the same held-out ratings, and whether a saved model's numbers are finite.

Covers: the rows that a piece of held-out ratings has in both models, without the ratings that one of them was trained
on; what is to be said of the ratings.
Does not cover: which ratings a model was trained on (tasks/dataset/trained_pairs.py), the scores (placed_ratings.py),
or what follows from them (pipeline/stages/gate.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from funkflow.tasks.dataset.matches import Places, read_match
from funkflow.tasks.dataset.trained_pairs import TrainingMatch, are_trained_on, known_pairs
from funkflow.tasks.evaluation.placed_ratings import rows_of_own, write_placed
from funkflow.tasks.model.about import Place
from funkflow.tasks.model.parts import read_rows
from funkflow.tasks.storage import files
from funkflow.tasks.training.score import Errors

_NO_ERRORS = Errors(0.0, 0.0, 0)


@dataclass(frozen=True)
class Counted:
    """What is to be said of held-out ratings that two models are scored on.

    `trained_on` : ratings left out as one of the models was trained on them; `unknown` : of the others, how many have a
    user or an item that the older model never met; `known` : how many have both.
    """

    trained_on: int = 0
    unknown: int = 0
    known: int = 0

    def __add__(self, other: Counted) -> Counted:
        return Counted(self.trained_on + other.trained_on, self.unknown + other.unknown, self.known + other.known)


@dataclass(frozen=True)
class Compared:
    """Sums over held-out ratings: the errors of two models, and what is to be said of the ratings."""

    older: Errors = _NO_ERRORS
    newer: Errors = _NO_ERRORS
    counted: Counted = Counted()


@dataclass(frozen=True)
class Pair:
    """Both models: rows of the older one's user parts, and of the newer one's user and item parts.

    `users` : where the newer one's users stand in the older one, by part of the dataset (tasks/dataset/matches.py).
    """

    users: str
    older_users: tuple[int, ...]
    newer_users: tuple[int, ...]
    newer_items: tuple[int, ...]


def place_in_both(
    held_out: Place, part: tuple[int, int], met: Sequence[TrainingMatch], met_items: Sequence[Places], pair: Pair,
    older_items: Places, urls: tuple[str, str],
) -> Counted:  # fmt: skip
    """Write one piece of held-out ratings by the rows of the older and of the newer model, to one URL each.

    Held-out ratings of users or items that the data do not have are left out.

    Parameters
    ----------
    part : of the dataset: its number, and how many parts there are.
    met, met_items : what a model was trained on (tasks/dataset/trained_pairs.py).
    older_items : where the newer one's items stand in the older one.
    """
    table = files.read_table(held_out[0], ["user", "item", "rating"], held_out[1])
    inside, users, items = known_pairs(table)
    left = ~are_trained_on(users, items, part, met, met_items)
    table, users, items = table.filter(pa.array(inside)).filter(pa.array(left)), users[left], items[left]
    there = read_match(pair.users, part[0]).of(users), older_items[items]
    write_placed(urls[0], table, *there, pair.older_users)
    own = rows_of_own(users, pair.newer_users), rows_of_own(items, pair.newer_items)
    write_placed(urls[1], table, *own, pair.newer_users)
    known = int(((there[0] >= 0) & (there[1] >= 0)).sum())
    return Counted(int((~left).sum()), len(users) - known, known)


def is_finite(part: Place, rank: int) -> bool:
    """Say whether all numbers of a part of a saved model are finite."""
    return read_rows(*part, rank).is_finite()
