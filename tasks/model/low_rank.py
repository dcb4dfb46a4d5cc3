"""A_ρ: the best approximation of a model by fewer factors, row block by row block.

Covers: what to multiply so that only the ρ strongest directions of U Vᵀ count (Eckart and Young 1936), for blocks and
for single cells, with mean and biases, clipped or not.
Does not cover: the directions (canonical.py), errors of all ranks at once (errors_by_rank.py), or the whole matrix
(pipeline/stages/reconstruct.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from funkflow.tasks.model.canonical import Matrix, Rotations
from funkflow.tasks.transform import Transform, as_ratings

Floats = npt.NDArray[np.floating[Any]]
_CELLS = 65_536


@dataclass(frozen=True)
class ItemSide:
    """All of A_ρ but the users.

    Attributes
    ----------
    mean : float, µ in rating units.
    scale : what predictions are clipped to; None: not at all.
    biases : (m,), b_i.
    weights : (m, ρ), what each item has of the ρ directions.
    rotation : (k, ρ), user factors times it are what each user has of them; None: they are it themselves.
    """

    mean: float
    scale: tuple[float, float] | None
    biases: Floats
    weights: Floats
    rotation: Matrix | None
    transform: Transform = "none"

    def take(self, items: npt.NDArray[np.intp] | slice) -> ItemSide:
        """Return the same of some items."""
        return ItemSide(self.mean, self.scale, self.biases[items], self.weights[items], self.rotation, self.transform)

    def turned(self, factors: Floats) -> Floats:
        """Return what users have of the directions, in the number type of `weights`: (n, ρ)."""
        if self.rotation is None:
            return np.asarray(factors, dtype=self.weights.dtype)
        return (factors.astype(np.float64) @ self.rotation).astype(self.weights.dtype)

    def block(self, factors: Floats, biases: Floats) -> Floats:
        """Return the ratings of some users, by their factors (n, k) and biases (n,), for all items: (n, m)."""
        ratings = self.turned(factors) @ self.weights.T
        ratings += (self.mean + biases.astype(np.float64)).astype(ratings.dtype)[:, np.newaxis]
        ratings += self.biases.astype(ratings.dtype)
        return self._clipped(ratings)

    def cells(self, factors: Floats, biases: Floats) -> Floats:
        """Return the rating of the j-th user for the j-th item: (n,)."""
        ratings = np.empty(len(biases), dtype=np.float64)
        for start in range(0, len(biases), _CELLS):
            part = slice(start, start + _CELLS)
            products = np.einsum("nk,nk->n", self.turned(factors[part]), self.weights[part], dtype=np.float64)
            ratings[part] = products + self.mean + biases[part].astype(np.float64) + self.biases[part]
        return self._clipped(ratings)

    def _clipped(self, ratings: Floats) -> Floats:
        clipped = ratings if self.scale is None else np.clip(ratings, *self.scale, out=ratings)
        return np.asarray(as_ratings(clipped, self.transform))


def item_side(
    factors: Floats, biases: Floats, mean: float, scale: tuple[float, float] | None, rotations: Rotations | None,
    rank: int, dtype: npt.DTypeLike = np.float64, transform: Transform = "none",
) -> ItemSide:  # fmt: skip
    """Return the item side of A_ρ.

    Parameters
    ----------
    factors, biases : (m, k), (m,).
    scale : what to clip to; None: do not clip.
    rotations : the canonical form of U Vᵀ; None where `rank` is k, which leaves nothing out.
    transform : what the model was trained on; ratings are turned back.
    dtype : what products are computed in and blocks come in; cells are float64.
    """
    if rotations is None:
        return ItemSide(mean, scale, biases, factors[:, :rank].astype(dtype), None, transform)
    weights = factors.astype(np.float64) @ rotations.item_weights(rank)
    return ItemSide(mean, scale, biases, weights.astype(dtype), rotations.users[:, :rank], transform)
