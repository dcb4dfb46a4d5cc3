"""The one rule that chooses regularisation and step size from the data, so that nothing has to be tuned.

Covers: the L2 term and the first step size, for ratings scaled to unit deviation, and that scaling.
Does not cover: settings that overrule it (pipeline/settings.py), or how the steps adapt from there (kernels.py).
"""

from __future__ import annotations

import math

L2_AT_ONE_RATING = 0.28
"""L2 for a matrix with one rating a row; it falls with the square root of the ratings a row. Chosen on MovieLens 1M
(10 % hash split) and 100K (u1, u3), rank 64, among 0.015-0.15: their best values, 0.03 and 0.05, give 0.29 and 0.27."""

STEP = 0.05
"""First step of the adaptive steps: 0.04-0.08 end within 0.001 RMSE of each other on both sets, larger ones need fewer
epochs."""


def l2_for(ratings: int, users: int, items: int) -> float:
    """Return the L2 term a rating: 0.28 / sqrt(ratings / (users + items)).

    The rows are what is estimated and the ratings are the evidence. A row of n ratings pays n times this term, so the
    weight of the prior against the evidence would not fall as evidence grows; the square root lets it fall as the
    standard error of a row's estimate does.
    """
    return L2_AT_ONE_RATING / math.sqrt(max(1.0, ratings / max(1, users + items)))


def scaling(mean: float, mean_square: float, center: bool) -> tuple[float, float]:
    """Return what is taken from each rating, and what the rest is divided by: mean and deviation, in rating units.

    Not centred, nothing is taken away and the deviation is that from zero.
    """
    taken = mean if center else 0.0
    return taken, math.sqrt(mean_square - taken**2)
