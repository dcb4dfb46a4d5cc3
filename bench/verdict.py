"""May a speed be quoted? Only of a method that learned something, and that did not look at the answers.

Covers: the two RMSEs between which a sane model's lies. Does not cover: where they come from (data.py).
"""

from __future__ import annotations

import math

from bench.data import Data


def objection(rmse: float, data: Data) -> str:
    """Return why a model with that RMSE on the probe counts as failed; empty if it does not."""
    if not math.isfinite(rmse):
        return f"RMSE {rmse} is no number"
    if rmse >= data.biases_rmse:
        return f"RMSE {rmse:.4f} is worse than the bias baseline ({data.biases_rmse:.4f})"
    if rmse <= data.truth_rmse:
        return f"RMSE {rmse:.4f} is below the planted truth ({data.truth_rmse:.4f}): it has seen the probe"
    return ""
