"""How good a model is at every rank up to its own, in one pass over the ratings it is measured on.

Covers: errors at all ranks by cumulative sums over the directions of the canonical form, and the table of the spectrum.
Does not cover: the directions (canonical.py), or which task measures which ratings (pipeline/stages/spectrum.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funkflow.tasks.kernels.buffers import Weighed
from funkflow.tasks.model.canonical import Matrix, Rotations

_BLOCK = 8_192
"""Ratings in a block: its products of 64 directions are 4 MiB."""


@dataclass(frozen=True)
class RankErrors:
    """Sums over some ratings at each rank 0 … r, in rating units; they add up."""

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
class Side(Weighed):
    """Factors (rows, k) and biases (rows,) of one side, or of a part of it."""

    factors: npt.NDArray[np.floating[Any]]
    biases: npt.NDArray[np.floating[Any]]


def turned(items: Side, rotations: Rotations) -> Side:
    """Return the item side as `errors_by_rank` takes it: the rows of V, float64, in place of the factors."""
    weights = rotations.item_weights(len(rotations.values))
    return Side(items.factors.astype(np.float64) @ weights, items.biases)


def errors_by_rank(
    user_rows: npt.NDArray[np.integer[Any]],
    item_rows: npt.NDArray[np.integer[Any]],
    ratings: npt.NDArray[np.floating[Any]],
    users: Side,
    items: Side,
    rotations: Rotations,
    mean: float,
    scale: tuple[float, float] | None,
) -> RankErrors:
    """Return the errors of A_0, A_1, … A_r, each clipped to the scale.

    Parameters
    ----------
    user_rows, item_rows : (n,), rows of `users` and `items`; -1 has neither factors nor bias.
    ratings : (n,), in rating units.
    items : as `turned` gives them; rotations : the canonical form of the product of the factors.
    """
    count = len(rotations.values)
    squared, absolute = np.zeros(count + 1), np.zeros(count + 1)
    for start in range(0, len(ratings), _BLOCK):
        part = slice(start, start + _BLOCK)
        u, i = user_rows[part], item_rows[part]
        predicted = np.empty((len(u), count + 1))
        predicted[:, 0] = mean + _known(users.biases, u).astype(np.float64) + _known(items.biases, i)
        left = _known(users.factors, u).astype(np.float64) @ rotations.users
        np.multiply(left, _known(items.factors, i), out=predicted[:, 1:])
        np.cumsum(predicted, axis=1, out=predicted)
        if scale is not None:
            np.clip(predicted, *scale, out=predicted)
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


def _known(rows: npt.NDArray[Any], positions: npt.NDArray[np.integer[Any]]) -> npt.NDArray[Any]:
    """Rows by position; zeros where the position is -1."""
    if not len(rows):
        return np.zeros((len(positions), *rows.shape[1:]), dtype=rows.dtype)
    taken: npt.NDArray[Any] = rows[np.maximum(positions, 0)]
    taken[positions < 0] = 0
    return taken
