"""Two saved models on the same validation ratings, and a check for infinite numbers in a saved model.

Covers: the rows of validation ratings in both models, without the trained-on ratings of either; counts of the ratings.
Does not cover: trained-on ratings (tasks/dataset/trained_pairs.py), scores (placed_ratings.py), or the decision
(pipeline/stages/gate.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from funkflow.tasks.dataset.matches import Places, read_match
from funkflow.tasks.dataset.trained_pairs import TrainingMatch, are_trained_on, known_pairs
from funkflow.tasks.evaluation.placed_ratings import write_by_row
from funkflow.tasks.model.about import Place
from funkflow.tasks.model.parts import read_part_rows, rows_of_own
from funkflow.tasks.storage import files
from funkflow.tasks.training.score import Errors

_NO_ERRORS = Errors(0.0, 0.0, 0)


@dataclass(frozen=True)
class PairCounts:
    """Counts of validation ratings for two models.

    `trained_on` : ratings left out, as a model was trained on them; `unknown` : others whose user or item is not in the
    older model; `known` : others with both.
    """

    trained_on: int = 0
    unknown: int = 0
    known: int = 0

    def __add__(self, other: PairCounts) -> PairCounts:
        return PairCounts(self.trained_on + other.trained_on, self.unknown + other.unknown, self.known + other.known)


@dataclass(frozen=True)
class ModelErrors:
    """Errors of two models on validation ratings, and counts of the ratings."""

    older: Errors = _NO_ERRORS
    newer: Errors = _NO_ERRORS
    counted: PairCounts = PairCounts()


@dataclass(frozen=True)
class ModelPair:
    """Two models: row counts of the user parts of the older one, and of the user and item parts of the newer one.

    `users` : file of rows of the newer model's users in the older one, by part (tasks/dataset/matches.py).
    """

    users: str
    older_users: tuple[int, ...]
    newer_users: tuple[int, ...]
    newer_items: tuple[int, ...]


def place_in_both(
    validation: Place, part: tuple[int, int], met: Sequence[TrainingMatch], met_items: Sequence[Places],
    pair: ModelPair, older_items: Places, urls: tuple[str, str],
) -> PairCounts:  # fmt: skip
    """Write one piece of validation ratings by the rows of the older and of the newer model, to one URL each.

    Leave out ratings of users or items that are not in the dataset.

    Parameters
    ----------
    part : number of the part of the dataset, and number of parts.
    met, met_items : trained-on pairs (tasks/dataset/trained_pairs.py).
    older_items : rows of the newer model's items in the older one.
    """
    table = files.read_table(validation[0], ["user", "item", "rating"], validation[1])
    is_inside, users, items = known_pairs(table)
    is_kept = ~are_trained_on(users, items, part, met, met_items)
    table, users, items = table.filter(pa.array(is_inside)).filter(pa.array(is_kept)), users[is_kept], items[is_kept]
    older = read_match(pair.users, part[0]).of(users), older_items[items]
    write_by_row(urls[0], table, *older, pair.older_users)
    newer = rows_of_own(users, pair.newer_users), rows_of_own(items, pair.newer_items)
    write_by_row(urls[1], table, *newer, pair.newer_users)
    known = int(((older[0] >= 0) & (older[1] >= 0)).sum())
    return PairCounts(int((~is_kept).sum()), len(users) - known, known)


def is_finite(part: Place, rank: int) -> bool:
    """Return whether all numbers of a part of a saved model are finite."""
    return read_part_rows(*part, rank).is_finite()
