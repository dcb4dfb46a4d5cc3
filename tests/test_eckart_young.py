"""On a matrix without gaps, following the gradient ends at the truncated SVD (Eckart and Young 1936).

Covers: batch and stochastic descent in the pure form, against numpy.linalg.svd, on random, nearly low-rank and
ill-conditioned matrices.
Does not cover: matrices with gaps, where there is no such yardstick (test_quality.py).
"""

from __future__ import annotations

import numpy as np
import pytest
from conftest import Heard
from fully_observed import PURE, Matrix, distance, factorised

from pipeline.settings import BatchSettings, TrainSettings
from pipeline.stages.train import train
from pipeline.stages.train_batch import train_batch

RANK = 5
USERS, ITEMS = 40, 30


def orthonormal(rng: np.random.Generator, rows: int) -> Matrix:
    columns, _ = np.linalg.qr(rng.normal(size=(rows, ITEMS)))
    return np.asarray(columns, np.float64)


def matrix_of(kind: str) -> Matrix:
    """Return a matrix; those that are ill-conditioned have a condition number of 1e6, and of 1e18 (Hilbert's)."""
    rng = np.random.default_rng(0)
    match kind:
        case "random":
            return rng.normal(size=(USERS, ITEMS))
        case "ratings":
            return rng.integers(1, 6, (USERS, ITEMS)).astype(np.float64)
        case "low rank":
            noise = 0.1 * rng.normal(size=(USERS, ITEMS))
            return rng.normal(size=(USERS, RANK)) @ rng.normal(size=(RANK, ITEMS)) + noise
        case "ill-conditioned":
            return orthonormal(rng, USERS) * np.logspace(0, -6, ITEMS) @ orthonormal(rng, ITEMS).T
    rows, columns = np.indices((USERS, ITEMS))
    return np.reciprocal(rows + columns + np.float64(1.0))


@pytest.mark.parametrize(
    "kind", ["random", pytest.param("ratings", marks=pytest.mark.slow), "low rank", "ill-conditioned"]
)
def test_batch_reaches_the_truncated_svd(heard: Heard, kind: str) -> None:
    """With default settings: the line search needs no step size."""
    settings = TrainSettings(method="batch", rank=RANK, **PURE)
    found, manifest = factorised(heard.context, matrix_of(kind), settings, train_batch, shards=1)
    off = distance(matrix_of(kind), found, RANK)
    assert manifest["reason"].startswith("converged")
    assert abs(off.excess) <= 1e-6
    assert off.sigma <= 1e-3


@pytest.mark.slow
def test_batch_reaches_it_on_hilberts_matrix(heard: Heard) -> None:
    """Its fifth singular value is 4e-5 of the first, so the way there is long and flat."""
    settings = TrainSettings(method="batch", rank=RANK, batch=BatchSettings(checkpoint_steps=500), **PURE)
    found, _ = factorised(heard.context, matrix_of("hilbert"), settings, train_batch, shards=1)
    off = distance(matrix_of("hilbert"), found, RANK)
    assert abs(off.excess) <= 1e-6
    assert off.sigma <= 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ratings", "low rank", "ill-conditioned"])
def test_stochastic_descent_comes_close(heard: Heard, kind: str) -> None:
    """With more and longer steps than its defaults, which are for millions of ratings and early stopping.

    Hilbert's matrix takes it 1,500 epochs, and the random one 5,000: sigma_5 and sigma_6 are close together there, and
    the noise of single steps dies down slowly.
    """
    settings = TrainSettings(rank=RANK, epochs=1000, step=0.2, checkpoint_epochs=500, **PURE)
    found, _ = factorised(heard.context, matrix_of(kind), settings, train, shards=1)
    off = distance(matrix_of(kind), found, RANK)
    assert off.excess <= 1e-3
    assert off.sigma <= 1e-3
