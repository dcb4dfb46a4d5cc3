"""The compiled sums over the ratings of rows equal plain sums, rating by rating.

Covers: tasks/kernels/row_terms.py, for ranks with all kinds of remainders, in float32 and float64.
Does not cover: the order of ratings, and solves (test_als.py).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from sessions import only_long

from funkflow.tasks.grid.ordered_ratings import Ordered, as_records
from funkflow.tasks.kernels.row_terms import TERMS

RANKS = [3, 64, 67, *(only_long(rank) for rank in (1, 2, 5, 7, 8, 13, 16, 17, 31, 32, 66, 128, 130, 257))]
COUNTS = [0, 1, 2, 3, 4, 5, 63, 0, 64, 65, 131]
"""Ratings of each row: with and without a rest of four, and of the places between both loops."""
WEIGHT = 0.7


def sum_plainly(
    ratings: Ordered, rows: npt.NDArray[np.float64], others: npt.NDArray[np.float64], has_targets: bool, sure: bool
) -> tuple[npt.NDArray[np.float64], float, float]:
    """Return the sums of (t - w s) y, of t s and of s^2 or w s^2; the last two only with targets."""
    sums, met, squared = np.zeros(rows.shape), 0.0, 0.0
    for row in range(len(rows)):
        for place in range(ratings.starts[row], ratings.starts[row + 1]):
            y = others[ratings.partners[place]]
            product = rows[row] @ y
            given = 0.0 if ratings.targets is None else float(ratings.targets[place])
            target, weight = given if has_targets else 0.0, WEIGHT + given if sure else WEIGHT
            sums[row] += (target - weight * product) * y
            if has_targets:
                met, squared = met + target * product, squared + (weight if sure else 1.0) * product**2
    return sums, met, squared


@pytest.mark.parametrize("rank", RANKS)
def test_sums_equal_plain_ones(rank: int) -> None:
    rng, places = np.random.default_rng(rank), sum(COUNTS)
    starts = np.concatenate([[0], np.cumsum(COUNTS)]).astype(np.int32)
    partners = np.append(rng.integers(0, 9, places), np.zeros(TERMS, np.int64)).astype(np.uint16)
    for number, has_targets, sure, precision in (
        ("f4", True, False, 1e-4), ("f4", False, False, 1e-4), ("f8", True, False, 1e-11), ("f8", True, True, 1e-11),
        ("f8", False, True, 1e-11),
    ):  # fmt: skip
        rows, others, before = (
            rng.normal(size=(count, rank)).astype(number) for count in (len(COUNTS), 9, len(COUNTS))
        )
        # Places behind the last rating are read and must not count.
        targets = np.append(rng.normal(size=places), np.full(TERMS, np.nan)).astype(number)
        ratings = Ordered(starts, partners, targets)
        sums = before.astype(np.float64)
        seen = ratings.add(
            as_records(rows), as_records(others), sums, weight=WEIGHT, no_targets=not has_targets, sure=sure
        )
        added, *expected = sum_plainly(ratings, rows.astype(np.float64), others.astype(np.float64), has_targets, sure)
        scale = np.abs(added).max()
        np.testing.assert_allclose(sums - before, added, rtol=0, atol=precision * scale)
        np.testing.assert_allclose(seen, expected, rtol=precision, atol=precision * scale)


@pytest.mark.parametrize("rank", RANKS)
def test_squared_errors_of_rows_equal_plain_ones(rank: int) -> None:
    rng, places = np.random.default_rng(rank), sum(COUNTS)
    starts = np.concatenate([[0], np.cumsum(COUNTS)]).astype(np.int32)
    partners = np.append(rng.integers(0, 9, places), np.zeros(TERMS, np.int64)).astype(np.uint16)
    for number, precision in (("f4", 1e-4), ("f8", 1e-11)):
        rows, others = (rng.normal(size=(count, rank)).astype(number) for count in (len(COUNTS), 9))
        targets = np.append(rng.normal(size=places), np.full(TERMS, np.nan)).astype(number)
        found = Ordered(starts, partners, targets).squared_errors(as_records(rows), as_records(others))
        of_ratings = np.repeat(np.arange(len(COUNTS)), COUNTS)
        products = np.einsum("nf,nf->n", rows[of_ratings], others[partners[:places]], dtype=np.float64)
        expected = np.bincount(of_ratings, (targets[:places] - products) ** 2, len(COUNTS))
        np.testing.assert_allclose(found, expected, rtol=precision, atol=precision * expected.max())
