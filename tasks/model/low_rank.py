"""A_ρ: the best approximation of a model by ρ factors, row block by row block.

Covers: products with the ρ strongest directions of U Vᵀ (Eckart and Young 1936), for blocks and for single cells, with
mean and biases, clipped or not.
Does not cover: the directions (canonical.py), errors at all ranks (errors_by_rank.py), or the whole matrix
(pipeline/stages/reconstruct.py).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from funkflow.tasks.model.canonical import Matrix, Rotations
from funkflow.tasks.model.parts import ModelPart, Rows
from funkflow.tasks.transform import Transform, as_ratings

Floats = npt.NDArray[np.floating[Any]]
_CELLS = 65_536


@dataclass(frozen=True)
class ItemSide:
    """A_ρ without the users.

    Attributes
    ----------
    mean : float, µ in rating units.
    scale : bounds of predictions; None: no clipping.
    biases : (m,), b_i.
    weights : (m, ρ), coordinates of items in the ρ directions.
    rotation : (k, ρ), user factors times it are coordinates of users; None: user factors are the coordinates.
    transform : transform of the ratings in training.
    """

    mean: float
    scale: tuple[float, float] | None
    biases: Floats
    weights: Floats
    rotation: Matrix | None
    transform: Transform = "none"

    def take(self, items: npt.NDArray[np.intp] | slice) -> ItemSide:
        """Return some of the items."""
        return replace(self, biases=self.biases[items], weights=self.weights[items])

    def rotate(self, factors: Floats) -> Floats:
        """Return the coordinates of users, (n, ρ), in the dtype of `weights`."""
        if self.rotation is None:
            return np.asarray(factors, dtype=self.weights.dtype)
        return (factors.astype(np.float64) @ self.rotation).astype(self.weights.dtype)

    def block(self, factors: Floats, biases: Floats) -> Floats:
        """Return ratings of users, by factors (n, k) and biases (n,), for all items: (n, m), dtype of `weights`."""
        ratings = self.rotate(factors) @ self.weights.T
        ratings += (self.mean + biases.astype(np.float64)).astype(ratings.dtype)[:, np.newaxis]
        ratings += self.biases.astype(ratings.dtype)
        return self._clip(ratings)

    def cells(self, factors: Floats, biases: Floats) -> Floats:
        """Return the rating of the j-th user for the j-th item, float64 (n,)."""
        ratings = np.empty(len(biases), dtype=np.float64)
        for start in range(0, len(biases), _CELLS):
            part = slice(start, start + _CELLS)
            products = np.einsum("nk,nk->n", self.rotate(factors[part]), self.weights[part], dtype=np.float64)
            ratings[part] = products + self.mean + biases[part].astype(np.float64) + self.biases[part]
        return self._clip(ratings)

    def _clip(self, ratings: Floats) -> Floats:
        clipped = ratings if self.scale is None else np.clip(ratings, *self.scale, out=ratings)
        return np.asarray(as_ratings(clipped, self.transform))


def low_rank_items(
    items: Rows | ModelPart, mean: float, scale: tuple[float, float] | None, rotations: Rotations | None, rank: int,
    dtype: npt.DTypeLike = np.float64, transform: Transform = "none",
) -> ItemSide:  # fmt: skip
    """Return the item side of A_ρ.

    Parameters
    ----------
    items : all items of the model.
    scale : bounds of predictions; None: no clipping.
    rotations : the canonical form of U Vᵀ; None if `rank` is k, which keeps all directions.
    dtype : of products and blocks; cells are float64.
    transform : transform of the ratings in training; predictions are transformed back.
    """
    if rotations is None:
        weights, rotation = items.factors[:, :rank].astype(dtype), None
    else:
        weights = (items.factors.astype(np.float64) @ rotations.item_weights(rank)).astype(dtype)
        rotation = rotations.users[:, :rank]
    return ItemSide(mean, scale, items.biases, weights, rotation, transform=transform)
