"""Folding new rows in: by the prior of a model's rows, or by its L2 term where it has no such prior.

Covers: the choice, and reading the prior of a saved model once.
Does not cover: both solutions (new_row_prior.py, fold_in.py), look-ups of ids (tasks/model/items.py).
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from funkflow.tasks.model.fold.fold_in import AllRows, FoldedRow, Penalty, fold_in
from funkflow.tasks.model.fold.new_row_prior import NewRowPrior, Side, read_new_rows
from funkflow.tasks.storage import files


@dataclass(frozen=True)
class Folding:
    """How new rows of a side are folded in.

    others, other_biases : float32 (n, k) and (n,), all rows of the other side; mean : of ratings; penalty, all_others :
    see `fold_in`, of a model without a prior.
    """

    others: npt.NDArray[np.float32]
    other_biases: npt.NDArray[np.float32]
    mean: float
    penalty: Penalty
    prior: NewRowPrior | None
    all_others: AllRows | None = None

    def row(self, places: npt.NDArray[np.integer], ratings: npt.NDArray[np.float64]) -> FoldedRow:
        """Return the row with these ratings, on the scale of training, of rows of the other side."""
        others, biases = self.others[places], self.other_biases[places]
        if self.prior is None:
            return fold_in(others, biases, ratings, self.mean, self.penalty, self.all_others)
        row = self.prior.row(others, ratings - self.mean - biases, places, self.penalty.has_bias)
        return FoldedRow(row[:-1].astype(np.float32), float(row[-1]))

    @property
    def of_nobody(self) -> FoldedRow:
        """The row of whom nothing is known: the mean row, or without a prior that which rows have in common."""
        if self.prior is not None:
            return FoldedRow(self.prior.mean[:-1].astype(np.float32), float(self.prior.mean[-1]))
        return FoldedRow(np.array(self.penalty.common or np.zeros(self.others.shape[1]), np.float32), 0.0)


def new_row_prior_of(folder: str, about: Mapping[str, Any], side: Side) -> NewRowPrior | None:
    """Return the prior of new rows of a saved model; None: it has none, or lies in no folder."""
    if not folder or "new_rows" not in about:
        return None
    return _read_once(folder, json.dumps([about["new_rows"], about["parts"]["item"]]), side)


@functools.lru_cache(maxsize=2)
def _read_once(folder: str, about: str, side: Side) -> NewRowPrior:
    """Read the prior; about : what names its content, so that a new model in the same folder is read anew."""
    new_rows, items = json.loads(about)
    place = files.join(folder, "item_factors.parquet")
    return read_new_rows(
        folder, new_rows, side, [(files.join(place, each["path"]), each["checksum"]) for each in items]
    )
