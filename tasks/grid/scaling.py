"""How ratings are scaled for training, and the numbers of a gradient step on scaled ratings.

Covers: mean and deviation from sums over the ratings; step sizes and the L2 term beside them.
Does not cover: which numbers are chosen (default_rule.py), or the steps (tasks/training/).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

SMALL_SPREAD = 1e-6
"""Part of the mean square: a variance below it is taken from sums about a mean. Any spread above it keeps ten digits in
the difference, and the bits that it always had."""


@dataclass(frozen=True)
class Scaling:
    """A rating r is trained on as (r - mean) / deviation: both in rating units."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, mean: float, mean_square: float, center: bool, variance: float | None = None) -> Scaling:
        """Return mean and deviation; not centred, the mean is 0 and the deviation is that from zero.

        Parameters
        ----------
        variance : mean square about the mean, for a spread that is so small beside the mean that the difference of
            `mean_square` and the mean's square has lost its digits; None: there is only that.
        """
        taken = mean if center else 0.0
        difference = mean_square - taken**2
        if center and variance is not None and difference < SMALL_SPREAD * mean_square:
            difference = variance
        return cls(taken, math.sqrt(difference))


@dataclass(frozen=True)
class StepSizes(Scaling):
    """A scaling, with the numbers of a step on scaled ratings; `bias_step` is 0 without biases."""

    l2: float = 0.0
    step: float = 0.0
    bias_step: float = 0.0
