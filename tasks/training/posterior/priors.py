"""The priors of rows and the precision of ratings, drawn from what they depend on.

Covers: sums over rows, draws of the mean and precision of each column, and the draw of the ratings' precision.
Does not cover: draws of rows (draws.py).

Ratings, scaled to unit deviation, are normal about their predictions with precision tau. Column f of the users' rows is
normal with mean m_f and precision l_f, and likewise for items; biases are one column more. Above these are

    tau, l_f ~ Gamma(1/2, rate 1/200)        m_f ~ N(0, 1 / l_f)

(Salakhutdinov & Mnih 2008, with a diagonal precision; Rendle 2012, whose rate of 1/2 takes noise for structure where
ratings are few). All are conjugate, so their draws are exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from funkflow.tasks.grid.solved_rows import Matrix, Rows
from funkflow.tasks.noise import Stream

SHAPE, RATE, MEAN_WEIGHT = 0.5, 0.005, 1.0
"""Of the priors of tau and of columns. The rate is that of rows whose deviation is a tenth of the ratings': a rate of
1/2 keeps columns apart from 0 that mean nothing. Mean squared error above that of the mean rating, of 202 validation
ratings among 809 random ones (60 x 40, five sets, rank 64): 0.295 with 1/2, 0.019 with 1/200. RMSE at rank 32, eight
chains of 16 draws: dense planted ratings 0.5322 and 0.5276, MovieLens latest-small 0.8473 with both; MovieLens 100K
(u1), rank 64, 0.9086 and 0.9082."""
LEAST_VARIANCE = 1e-6
"""Of ratings about their predictions, in units of the ratings' variance: they are rounded, if nothing else."""


@dataclass(frozen=True)
class RowPrior:
    """The prior of a side's rows: mean and precision of each column, float64 (w,)."""

    mean: Matrix
    precision: Matrix


@dataclass(frozen=True)
class RowSums:
    """Sums over the rows that have ratings: their number, and sums and squares of each column, float64 (w,)."""

    rows: int
    sums: Matrix
    squares: Matrix

    @classmethod
    def of(cls, rows: Rows, counts: Matrix) -> RowSums:
        """Return those of a shard; counts : float64 (rows,), ratings of each."""
        rated = rows[counts > 0]
        squares = np.einsum("rf,rf->f", rated, rated, dtype=np.float64)
        return cls(len(rated), np.sum(rated, axis=0, dtype=np.float64), squares)

    def __add__(self, other: RowSums) -> RowSums:
        return RowSums(self.rows + other.rows, self.sums + other.sums, self.squares + other.squares)


def draw_prior(total: RowSums, stream: Stream, side: str) -> RowPrior:
    """Draw the prior of "users" or "items" from the sums over all their rows."""
    generator = stream.generator("prior", side == "items")
    count, mean = total.rows, total.sums / max(1, total.rows)
    weight = count + MEAN_WEIGHT
    about = np.maximum(total.squares - count * mean**2, 0.0) + count * MEAN_WEIGHT / weight * mean**2
    precision = generator.gamma(SHAPE + count / 2.0, 1.0 / (RATE + about / 2.0))
    drawn = count * mean / weight + generator.standard_normal(len(mean)) / np.sqrt(weight * precision)
    return RowPrior(drawn, precision)


def first_prior(total: RowSums, others: RowSums, evidence: float) -> RowPrior:
    """Return the prior for the first sweep from an optimum, where rows vary less than draws do.

    A prior drawn from them would be so narrow that the next rows collapse to their mean, from which they take dozens of
    sweeps to return. The variance x of a draw is that of the optimum, a, and the posterior's own: x = a + 1 / (1 / x +
    b), where b = tau n c is what n ratings tell about it, with the mean square c of the other side's column.

    Parameters
    ----------
    total, others : sums over the rows of this side and of the other one.
    evidence : tau times the mean number of ratings of a row.
    """
    mean, other_rows = total.sums / max(1, total.rows), max(1, others.rows)
    variance = np.maximum(total.squares / max(1, total.rows) - mean**2, LEAST_VARIANCE)
    told = np.maximum(evidence * others.squares / other_rows, LEAST_VARIANCE)
    return RowPrior(mean, 1.0 / (variance / 2.0 + np.sqrt(variance**2 / 4.0 + variance / told)))


def draw_noise_precision(squared_errors: float, ratings: int, stream: Stream) -> float:
    """Draw tau from the sum of squared errors, of ratings scaled to unit deviation.

    It is 1 / LEAST_VARIANCE at most, so that ratings which are fitted exactly do not make it infinite.
    """
    rate = RATE + max(squared_errors, 0.0) / 2.0
    drawn = stream.generator("precision").gamma(SHAPE + ratings / 2.0, 1.0 / rate)
    return float(min(drawn, 1.0 / LEAST_VARIANCE))
