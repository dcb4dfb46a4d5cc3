"""R-hat and effective numbers of draws against chains of which they are known.

Covers: tasks/training/posterior/convergence.py. Does not cover: which predictions are traced.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from funkflow.tasks.training.posterior.convergence import LEAST_DRAWS, convergence_of

Traces = npt.NDArray[np.float32]


def autoregressive(correlation: float, chains: int, draws: int, count: int, seed: int = 1) -> Traces:
    """Stationary chains x' = c x + e, whose effective number of draws is (1 - c) / (1 + c) of all."""
    rng = np.random.default_rng(seed)
    found = np.empty((chains, draws, count))
    found[:, 0] = rng.normal(size=(chains, count))
    for at in range(1, draws):
        shocks = rng.normal(size=(chains, count)) * np.sqrt(1 - correlation**2)
        found[:, at] = correlation * found[:, at - 1] + shocks
    return found.astype(np.float32)


@pytest.mark.parametrize(("correlation", "chains"), [(0.0, 1), (0.5, 1), (0.9, 1), (0.5, 4), (0.9, 4), (-0.4, 2)])
def test_autoregressive_chains(correlation: float, chains: int) -> None:
    """The mean over 400 quantities within a tenth of what is known: its own error is below a fiftieth."""
    draws = 4_000 // chains
    r_hat, effective = convergence_of(autoregressive(correlation, chains, draws, 400))
    known = 4_000 * (1 - correlation) / (1 + correlation)
    assert np.mean(effective) == pytest.approx(known, rel=0.1)
    assert np.quantile(r_hat, 0.95) < 1.05


def test_any_rising_function_of_draws_has_the_same_measures() -> None:
    draws = autoregressive(0.5, 2, 300, 3)
    for mine, others in zip(convergence_of(draws), convergence_of(np.exp(3 * draws)), strict=True):
        np.testing.assert_allclose(mine, others, rtol=1e-12)


def test_chains_with_other_means_have_not_converged() -> None:
    draws = autoregressive(0.3, 2, 400, 50)
    draws[1] += 2.0
    r_hat, effective = convergence_of(draws)
    assert r_hat.min() > 1.3
    assert effective.max() < 20


def test_a_chain_that_drifts_has_not_converged() -> None:
    draws = autoregressive(0.0, 1, 400, 50) + np.linspace(0, 3, 400, dtype=np.float32)[:, None]
    assert convergence_of(draws)[0].min() > 1.2


def test_equal_draws_have_no_measure_and_others_keep_theirs() -> None:
    draws = autoregressive(0.0, 1, 100, 3)
    draws[:, :, 1] = 4.0
    r_hat, effective = convergence_of(draws)
    assert np.isnan([r_hat[1], effective[1]]).all()
    assert np.isfinite(r_hat[[0, 2]]).all()
    assert np.isfinite(effective[[0, 2]]).all()


def test_chains_that_stand_still_apart_have_not_converged() -> None:
    draws = np.zeros((2, 20, 1), np.float32)
    draws[1] = 1.0
    r_hat, _ = convergence_of(draws)
    assert r_hat[0] > 10


@pytest.mark.parametrize("draws", [LEAST_DRAWS, LEAST_DRAWS + 1])
def test_the_fewest_draws_are_enough(draws: int) -> None:
    r_hat, effective = convergence_of(autoregressive(0.0, 1, draws, 30))
    assert np.isfinite(r_hat).all()
    assert (effective > 0).all()
