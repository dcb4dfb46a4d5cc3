"""Similar items by cosine, and the strongest factors with the loadings of items.

Covers: cosines of item factors, and factors in the canonical form of U V^T.
Does not cover: look-ups of ids (model.py), titles (tasks/parsing/titles.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from funkflow.tasks.errors import BadInput
from funkflow.tasks.model.best import best_places
from funkflow.tasks.model.canonical import Rotations, canonical_items


def similar_rows(
    factors: npt.NDArray[np.float32], row: int, count: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Return the `count` other rows with the greatest cosine to `row`, and the cosines; leave out rows of zeros.

    Raises
    ------
    BadInput
        The row is zero: the item had no training ratings.
    """
    lengths = np.linalg.norm(factors.astype(np.float64), axis=1)
    if lengths[row] == 0:
        raise BadInput("similar: this item had no training ratings, so it has no similar items")
    cosines = np.where(lengths > 0, factors @ factors[row].astype(np.float64), -np.inf)
    cosines /= np.where(lengths > 0, lengths, 1.0) * lengths[row]
    cosines[row] = -np.inf
    places = best_places(cosines, count)
    return places, cosines[places]


@dataclass(frozen=True)
class Factors:
    """The factors of U V^T in its canonical form, the strongest first.

    `strengths` : float64 (k,), singular values; `loadings` : float64 (items, k), right singular vectors times the root
    of their values; the largest entry of each vector is positive.
    """

    strengths: npt.NDArray[np.float64]
    loadings: npt.NDArray[np.float64]


def strongest_factors(user_factors: npt.NDArray[np.float32], item_factors: npt.NDArray[np.float32]) -> Factors:
    """Return the factors of U V^T, from QR of both sides and the SVD of the k x k core.

    Training finds one of many pairs of U and V with the same product; all of them share this form.
    """
    core, vectors = canonical_items(user_factors, item_factors)
    return Factors(core.rotations.values, vectors * np.sqrt(core.rotations.values))


def factors_from_rotations(item_factors: npt.NDArray[np.float32], rotations: Rotations, count: int) -> Factors:
    """Return the `count` strongest factors of U V^T, of all or some items, from its canonical form."""
    vectors, strengths = item_factors.astype(np.float64) @ rotations.item_weights(count), rotations.values[:count]
    return Factors(strengths, vectors * np.sqrt(strengths))
