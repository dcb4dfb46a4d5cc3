"""Ratings for tests of the estimator: a planted matrix, the same as a table, and an estimator fitted to each.

Covers: their making. Does not cover: sets in files (planted_sets.py).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from funkflow import MatrixFactorization


def planted(users: int = 60, items: int = 30, part: float = 0.4, seed: int = 0) -> npt.NDArray[np.float64]:
    """Return a matrix of rank 2 with little noise on a scale of about 1 to 5, NaN where it is missing."""
    rng = np.random.default_rng(seed)
    whole = 3 + 0.8 * rng.normal(size=(users, 2)) @ rng.normal(size=(2, items)) + 0.1 * rng.normal(size=(users, items))
    return np.where(rng.random(whole.shape) < part, np.clip(whole, 1, 5), np.nan)


X = planted()
ROWS, COLUMNS = np.nonzero(~np.isnan(X))
TABLE = pd.DataFrame({"user": ROWS + 100, "item": [f"film {each}" for each in COLUMNS], "rating": X[ROWS, COLUMNS]})
TEST = TABLE.sample(100, random_state=0)
TRAIN = TABLE.drop(TEST.index)


@pytest.fixture(scope="module")
def of_matrix() -> MatrixFactorization:
    return MatrixFactorization(rank=2).fit(X)


@pytest.fixture(scope="module")
def of_table() -> MatrixFactorization:
    return MatrixFactorization(rank=2).fit(TRAIN)
