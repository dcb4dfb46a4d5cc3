"""The places of the highest scores in one row, in plain NumPy; ties go to the first.

Covers: one user, for whom it is fast enough; tests compare the compiled loops (tasks/kernels/top_n.py) with it.
Does not cover: computing scores (tasks/serving/top_items.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def best_places(scores: npt.NDArray[Any], count: int) -> npt.NDArray[np.intp]:
    """Return the places of the `count` highest scores, best first; of equal scores the first place comes first.

    There are fewer if fewer than `count` scores are above -inf.
    """
    candidates = np.flatnonzero(scores > -np.inf)
    if count < len(candidates):
        worst = np.partition(scores[candidates], -count)[-count]
        candidates = candidates[scores[candidates] >= worst]
    order = np.argsort(-scores[candidates], kind="stable")
    return candidates[order[:count]]
