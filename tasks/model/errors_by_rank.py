"""Errors of a model at every rank up to its own, in one pass over the ratings.

Covers: errors at all ranks by cumulative sums over the directions of the canonical form, and the table of the spectrum.
Does not cover: the directions (canonical.py), or tasks (pipeline/stages/spectrum.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funkflow.tasks.kernels.buffers import Weighed
from funkflow.tasks.model.canonical import Matrix, Rotations
from funkflow.tasks.model.score_rows import Scorer

_BATCH = 8_192
"""Ratings in a batch; their products with 64 directions take 4 MiB."""


@dataclass(frozen=True)
class RankErrors:
    """Sums of errors over some ratings at each rank 0 … r, float64 (r + 1,), in rating units; `+` adds them."""

    squared: Matrix
    absolute: Matrix
    ratings: int

    def __add__(self, other: RankErrors) -> RankErrors:
        squared, absolute = self.squared + other.squared, self.absolute + other.absolute
        return RankErrors(squared, absolute, self.ratings + other.ratings)

    @property
    def rmse(self) -> Matrix:
        return np.asarray(np.sqrt(self.squared / self.ratings))

    @property
    def mae(self) -> Matrix:
        return self.absolute / self.ratings


@dataclass(frozen=True)
class SideFactors(Weighed):
    """Factors (rows, k) and biases (rows,) of one side, or of a part of it."""

    factors: npt.NDArray[np.floating[Any]]
    biases: npt.NDArray[np.floating[Any]]


def no_errors(rotations: Rotations) -> RankErrors:
    """Return the errors of no ratings."""
    nothing = np.zeros(len(rotations.values) + 1)
    return RankErrors(nothing, nothing, 0)


def rotate_items(items: SideFactors, rotations: Rotations) -> SideFactors:
    """Return the items with their rows of V, float64, in place of their factors, for `errors_by_rank`."""
    weights = rotations.item_weights(len(rotations.values))
    return SideFactors(items.factors.astype(np.float64) @ weights, items.biases)


def errors_by_rank(
    user_rows: npt.NDArray[np.integer[Any]],
    item_rows: npt.NDArray[np.integer[Any]],
    ratings: npt.NDArray[np.floating[Any]],
    users: SideFactors,
    items: SideFactors,
    rotations: Rotations,
    by: Scorer,
    offsets: Matrix | None = None,
) -> RankErrors:
    """Return the errors of A_0, A_1, … A_r, clipped to the scale.

    Parameters
    ----------
    user_rows, item_rows : (n,), rows of `users` and `items`; -1: no factors, no bias.
    ratings : (n,), in rating units.
    items : the result of `rotate_items`.
    rotations : the canonical form of U Vᵀ.
    by : gives mean and scale. offsets : (n,), added to each prediction at any rank; None: nothing is.
    """
    count = len(rotations.values)
    squared, absolute = np.zeros(count + 1), np.zeros(count + 1)
    for start in range(0, len(ratings), _BATCH):
        part = slice(start, start + _BATCH)
        u, i = user_rows[part], item_rows[part]
        predicted = np.empty((len(u), count + 1))
        predicted[:, 0] = by.mean + _rows_or_zeros(users.biases, u).astype(np.float64) + _rows_or_zeros(items.biases, i)
        if offsets is not None:
            predicted[:, 0] += offsets[part]
        left = _rows_or_zeros(users.factors, u).astype(np.float64) @ rotations.users
        np.multiply(left, _rows_or_zeros(items.factors, i), out=predicted[:, 1:])
        np.cumsum(predicted, axis=1, out=predicted)
        if by.scale is not None:
            np.clip(predicted, *by.scale, out=predicted)
        predicted -= ratings[part, np.newaxis]
        absolute += np.sum(np.abs(predicted), axis=0)
        squared += np.sum(np.square(predicted, out=predicted), axis=0)
    return RankErrors(squared, absolute, len(ratings))


def spectrum_table(values: Matrix, errors: RankErrors | None) -> pa.Table:
    """Return rank, singular_value, energy, cumulative_energy (parts of Σσ²), rmse and mae (null without ratings)."""
    energy = values**2 / np.sum(values**2)
    measured = errors is not None and errors.ratings > 0
    scores = {
        name: pa.array(getattr(errors, name)[1:]) if measured else pa.nulls(len(values), pa.float64())
        for name in ("rmse", "mae")
    }
    return pa.table(
        {
            "rank": pa.array(np.arange(1, len(values) + 1)),
            "singular_value": pa.array(values),
            "energy": pa.array(energy),
            "cumulative_energy": pa.array(np.minimum(np.cumsum(energy), 1.0)),
            **scores,
        }
    )


def _rows_or_zeros(rows: npt.NDArray[Any], positions: npt.NDArray[np.integer[Any]]) -> npt.NDArray[Any]:
    """Return rows by position; zeros for position -1."""
    if not len(rows):
        return np.zeros((len(positions), *rows.shape[1:]), dtype=rows.dtype)
    taken: npt.NDArray[Any] = rows[np.maximum(positions, 0)]
    taken[positions < 0] = 0
    return taken
