"""Whether draws have converged: R-hat and the effective number of draws, by the trace of predictions.

Covers: both measures, for many quantities at once. Does not cover: which predictions are traced (held_out.py).

Both are those of Vehtari, Gelman, Simpson, Carpenter and Bürkner (2021), section 4: of rank-normalised draws, in chains
that are split in halves. R-hat compares the halves; it is near 1 where they agree.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from funkflow.tasks.grid.solved_rows import Matrix

LEAST_DRAWS = 8
"""With fewer draws a chain neither has halves to compare, nor a correlation."""
R_HAT_EDGES = (1.01, 1.05, 1.1, 1.2, 1.5)
"""Between bins of R-hat. Below 1.01 chains agree (Vehtari et al. 2021); the older limit was 1.1."""
EFFECTIVE_EDGES = (12.0, 25.0, 50.0, 100.0, 200.0, 400.0)
"""Between bins of effective numbers of draws."""


def convergence_of(traces: npt.NDArray[np.float32]) -> tuple[Matrix, Matrix]:
    """Return R-hat and the effective number of draws of each quantity.

    Parameters
    ----------
    traces : float32 (chains, draws, quantities), at least LEAST_DRAWS draws.

    Returns
    -------
    R-hat and effective numbers, float64 (quantities,); both nan where all draws are equal.

    Examples
    --------
    >>> draws = np.random.default_rng(0).normal(size=(1, 400, 3)).astype(np.float32)
    >>> r_hat, effective = convergence_of(draws)
    >>> bool(np.all(np.abs(r_hat - 1) < 0.02) and np.all(effective > 300))
    True
    """
    chains, draws, count = traces.shape
    half = draws // 2
    halves = traces[:, : 2 * half].reshape(2 * chains, half, count).astype(np.float64)
    scores = _normal_scores(halves.reshape(-1, count)).reshape(halves.shape)
    means, variances = scores.mean(axis=1), scores.var(axis=1, ddof=1)
    within, between = variances.mean(axis=0), half * means.var(axis=0, ddof=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        overall = (half - 1) / half * within + between / half
        r_hat = np.sqrt(overall / within)
        correlation = 1.0 - (within - _autocovariances(scores).mean(axis=0) * half / (half - 1)) / overall
    return r_hat, np.where(within > 0, 2 * chains * half / _correlation_time(correlation), np.nan)


def _normal_scores(values: Matrix) -> Matrix:
    """Return the normal quantiles of the ranks of each column; equal values share the mean of their ranks."""
    count = len(values)
    table = np.array(
        [NormalDist().inv_cdf((rank - 0.375) / (count + 0.25)) for rank in np.arange(2, 2 * count + 1) / 2]
    )
    scores = np.empty_like(values)
    for column, numbers in enumerate(values.T):
        _, places, times = np.unique(numbers, return_inverse=True, return_counts=True)
        twice_rank = 2 * np.cumsum(times) - times + 1
        scores[:, column] = table[twice_rank[places] - 2]
    return scores


def _autocovariances(scores: Matrix) -> Matrix:
    """Return those of each chain at every lag, (chains, draws, quantities), divided by the number of draws."""
    draws = scores.shape[1]
    spectrum = np.fft.rfft(scores - scores.mean(axis=1, keepdims=True), n=2 * draws, axis=1)
    return np.asarray(np.fft.irfft(np.abs(spectrum) ** 2, axis=1)[:, :draws] / draws)


def _correlation_time(correlation: Matrix) -> Matrix:
    """Return 1 + twice the sum of correlations, by Geyer's initial monotone sequence; correlation : (lags, n)."""
    lags = len(correlation) - len(correlation) % 2
    pairs = correlation[:lags].reshape(lags // 2, 2, -1).sum(axis=1)
    pairs[0] += 1.0 - correlation[0]  # lag 0 is 1 by definition
    positive = np.logical_and.accumulate(pairs > 0, axis=0)
    falling = np.minimum.accumulate(np.where(positive, pairs, 0.0), axis=0)
    return np.asarray(np.maximum(2.0 * falling.sum(axis=0) - 1.0, 1.0 / np.log10(max(10, len(correlation)))))
