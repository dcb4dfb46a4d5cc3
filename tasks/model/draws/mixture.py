"""Mixtures of normal distributions with equal weights: the distribution of a rating over draws.

Covers: mean and deviation, the distribution function, quantiles.
Does not cover: where the normals come from (intervals.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from funkflow.tasks.late import late

if TYPE_CHECKING:
    from scipy import special
else:
    special = late("scipy.special")

Numbers = npt.NDArray[np.float64]
_CLOSE = 1e-9
"""Of a probability, where a quantile is found."""
_MOST_STEPS = 100
_BATCH = 1 << 13


def moments(means: Numbers, variances: Numbers) -> tuple[Numbers, Numbers]:
    """Return the mean and the standard deviation of each mixture, float64 (n,).

    means, variances : float64 (n, D), or broadcast to it, of the normals.
    """
    return means.mean(axis=1), np.sqrt(means.var(axis=1) + np.broadcast_to(variances, means.shape).mean(axis=1))


def below(values: Numbers, means: Numbers, variances: Numbers) -> Numbers:
    """Return the probability of each mixture below its value, float64 (n,); values may be infinite."""
    return np.asarray(special.ndtr((values[:, None] - means) / np.sqrt(variances)).mean(axis=1))


def quantiles(means: Numbers, variances: Numbers, probabilities: npt.ArrayLike) -> Numbers:
    """Return quantiles of each mixture, float64 (n, q).

    By Newton's method between the least and the greatest quantile of the normals, which enclose that of the mixture,
    with bisection where a step leaves them. Each mixture stops by itself, so its bits depend on no other.

    Parameters
    ----------
    means : float64 (n, D); variances : float64 (D,) or (n, D).
    probabilities : (q,), each above 0 and below 1.
    """
    wanted, deviations = np.asarray(probabilities, np.float64), np.sqrt(variances) + np.zeros_like(means)
    found: Numbers = np.empty((len(means), len(wanted)))
    for at in range(0, len(means), _BATCH):
        part = slice(at, at + _BATCH)
        for number, probability in enumerate(wanted.tolist()):
            found[part, number] = _quantile(means[part], deviations[part], probability)
    return found


def _quantile(means: Numbers, deviations: Numbers, probability: float) -> Numbers:
    ends = means + special.ndtri(probability) * deviations
    low, high, found = ends.min(axis=1), ends.max(axis=1), np.asarray(ends.mean(axis=1))
    left = np.arange(len(means))
    for _ in range(_MOST_STEPS):
        away = (found[left, None] - means[left]) / deviations[left]
        over = special.ndtr(away).mean(axis=1) - probability
        going = np.abs(over) > _CLOSE
        left, over, away = left[going], over[going], away[going]
        if not len(left):
            break
        above = over > 0.0
        high[left[above]], low[left[~above]] = found[left[above]], found[left[~above]]
        density = (np.exp(-0.5 * away**2) / deviations[left]).mean(axis=1) / np.sqrt(2.0 * np.pi)
        with np.errstate(divide="ignore", over="ignore"):
            step = found[left] - over / density
        inside = (step > low[left]) & (step < high[left])
        found[left] = np.where(inside, step, 0.5 * (low[left] + high[left]))
    return found
