"""The least error on a synthetic set (bench/planted_bound.py).

Covers: the exact rows of users, against dense least squares.
Does not cover: reading a set of a run.
"""

from __future__ import annotations

import numpy as np

from bench.planted_bound import posterior_means


def test_rows_of_users_are_those_of_dense_least_squares() -> None:
    rng, noise = np.random.default_rng(0), 0.7
    items = np.column_stack([rng.normal(size=(6, 2)), np.ones(6)])
    starts, rows, targets = np.array([0, 3, 3, 7]), rng.integers(0, 6, 7).astype(np.int32), rng.normal(size=7)
    precision = np.array([1.0, 2.0, 3.0])
    wanted = [
        np.linalg.solve(
            items[rows[own]].T @ items[rows[own]] / noise + np.diag(precision),
            items[rows[own]].T @ targets[own] / noise,
        )
        for own in (slice(0, 3), slice(3, 3), slice(3, 7))
    ]
    found = posterior_means(starts, rows, targets, items, precision, noise)
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)
