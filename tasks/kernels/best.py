"""The best of some scores, plainly: which places hold the highest, ties to the first.

Covers: one row of scores, in NumPy. The compiled heaps (top_n.py) are held to it, and it is fast
enough for one user.
Does not cover: where scores come from.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def best_places(scores: npt.NDArray[Any], count: int) -> npt.NDArray[np.intp]:
    """Return the places of the `count` highest scores, the best first and of equal ones the first first.

    Places with -inf are left out, so there may be fewer.
    """
    candidates = np.flatnonzero(scores > -np.inf)
    if count < len(candidates):
        worst = np.partition(scores[candidates], -count)[-count]
        candidates = candidates[scores[candidates] >= worst]
    order = np.argsort(-scores[candidates], kind="stable")
    return candidates[order[:count]]
