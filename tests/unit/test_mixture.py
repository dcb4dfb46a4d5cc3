"""Mixtures of normals: their quantiles against a root finder, their moments against sums.

Covers: tasks/model/draws/mixture.py. Does not cover: the normals of pairs (tests/cluster/test_intervals.py).
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, stats

from funkflow.tasks.model.draws.mixture import below, moments, quantiles

RNG = np.random.default_rng(4)
MEANS, VARIANCES = RNG.normal(3.0, 2.0, (6, 5)), RNG.uniform(0.01, 2.0, (6, 5))
MEANS[0] = [0.0, 0.0, 0.0, 0.0, 50.0]  # the density between the two heaps is 0 in float64
VARIANCES[0] = 0.01


@pytest.mark.parametrize("probability", [0.001, 0.25, 0.5, 0.79, 0.975])
def test_quantiles_are_where_a_root_finder_finds_them(probability: float) -> None:
    found = quantiles(MEANS, VARIANCES, [probability])[:, 0]
    for mean, variance, value in zip(MEANS, VARIANCES, found, strict=True):
        distribution = stats.norm(mean, np.sqrt(variance))
        wanted = optimize.brentq(lambda x, d=distribution: d.cdf(x).mean() - probability, -90.0, 90.0, xtol=1e-12)
        assert value == pytest.approx(wanted, abs=1e-6)


def test_a_quantile_has_the_same_bits_whatever_is_computed_beside_it() -> None:
    together = quantiles(MEANS, VARIANCES, [0.1, 0.9])
    for row in range(len(MEANS)):
        np.testing.assert_array_equal(
            quantiles(MEANS[row : row + 1], VARIANCES[row : row + 1], [0.1, 0.9])[0], together[row]
        )


def test_moments_are_those_of_the_law_of_total_variance() -> None:
    mean, deviation = moments(MEANS, VARIANCES)
    np.testing.assert_allclose(mean, MEANS.mean(axis=1))
    np.testing.assert_allclose(deviation**2, ((VARIANCES + MEANS**2).mean(axis=1) - mean**2))


def test_nothing_lies_below_minus_infinity_and_all_below_infinity() -> None:
    ends = np.where(np.arange(6) % 2, np.inf, -np.inf)
    np.testing.assert_array_equal(below(ends, MEANS, VARIANCES), np.arange(6) % 2)
