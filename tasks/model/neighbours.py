"""Items beside items: those that point the same way, and the strongest factors with the items at their ends.

Covers: cosines of item factors, and factors made comparable by the singular value decomposition of U V^T.
Does not cover: looking ids up (model.py), titles (tasks/parsing/titles.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from funkflow.tasks.errors import BadInput
from funkflow.tasks.kernels.best import best_places
from funkflow.tasks.model.canonical import Rotations, core_of, qr_r


def similar_rows(
    factors: npt.NDArray[np.float32], row: int, count: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Return the `count` other rows with the greatest cosine to `row`, and the cosines; rows of zeros are left out.

    Raises
    ------
    BadInput
        The row itself is zero: it had no training ratings.
    """
    lengths = np.linalg.norm(factors.astype(np.float64), axis=1)
    if lengths[row] == 0:
        raise BadInput("similar: this item had no training ratings, so nothing is known to be like it")
    cosines = np.where(lengths > 0, factors @ factors[row].astype(np.float64), -np.inf)
    cosines /= np.where(lengths > 0, lengths, 1.0) * lengths[row]
    cosines[row] = -np.inf
    places = best_places(cosines, count)
    return places, cosines[places]


@dataclass(frozen=True)
class Factors:
    """U V^T as its singular values say it, the strongest first.

    `strengths` : float64 (k,), singular values; `loadings` : float64 (items, k), right singular vectors times the root
    of their values, each with the sign that makes its longest entry positive.
    """

    strengths: npt.NDArray[np.float64]
    loadings: npt.NDArray[np.float64]


def strongest_factors(user_factors: npt.NDArray[np.float32], item_factors: npt.NDArray[np.float32]) -> Factors:
    """Return the factors of U V^T, from QR of both sides and the SVD of the k x k core.

    What training finds is one of many pairs of U and V with the same product; this form is the one that all of them
    share.
    """
    core = core_of(qr_r(user_factors), item_factors)
    return Factors(core.rotations.values, core.item_vectors * np.sqrt(core.rotations.values))


def loaded_factors(item_factors: npt.NDArray[np.float32], rotations: Rotations) -> Factors:
    """Return the same from the canonical form, with the item factors that it was computed of and no user factors."""
    vectors = item_factors.astype(np.float64) @ rotations.item_weights(len(rotations.values))
    return Factors(rotations.values, vectors * np.sqrt(rotations.values))
