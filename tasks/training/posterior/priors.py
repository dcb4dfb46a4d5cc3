"""The priors of rows and the precision of ratings, drawn from what they depend on.

Covers: sums over rows, draws of the mean, slope and precision of each column, and the draw of the ratings' precision.
Does not cover: draws of rows (draws.py).

Ratings, scaled to unit deviation, are normal about their predictions with precision tau. Column f of the rows of users
with n ratings is normal with mean m_f + s_f x and precision l_f, and likewise for items; biases are one column more.
Here x is log(1 + n), less its mean over all users with ratings and divided by its deviation. So what many people rate
may be better than the rest, before a rating of it is seen. Above these are

    tau, l_f ~ Gamma(1/2, rate 1/2)        m_f, s_f ~ N(0, 1 / l_f)

(Salakhutdinov & Mnih 2008, with a diagonal precision; Rendle 2012; the regression on x is that of Porteous, Asuncion &
Welling 2010, with one feature). All are conjugate, so their draws are exact.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from funkflow.tasks.grid.solved_rows import Matrix, Rows
from funkflow.tasks.noise import Stream

SHAPE, RATE, MEAN_WEIGHT = 0.5, 0.5, 1.0
LEAST_VARIANCE = 1e-6
"""Of ratings about their predictions, in units of the ratings' variance: they are rounded, if nothing else."""


@dataclass(frozen=True)
class RowPrior:
    """The prior of a side's rows.

    mean, precision : of each column, float64 (w,), the mean where log(1 + n) is `middle`; slope : float64 (w,), how much
    the mean grows with log(1 + n), for n ratings.
    """

    mean: Matrix
    precision: Matrix
    slope: Matrix
    middle: float

    def away(self, counts: Matrix) -> Matrix:
        """Return log(1 + n) less `middle`, float64 (rows,); counts : float64 (rows,), ratings of each."""
        return np.asarray(np.log1p(counts) - self.middle)


@dataclass(frozen=True)
class RowSums:
    """Sums over the rows that have ratings.

    rows : their number; sums, squares : of each column, float64 (w,); logs, log_squares : of log(1 + n), for n ratings;
    crossed : of the product of each column and log(1 + n), float64 (w,).
    """

    rows: int
    sums: Matrix
    squares: Matrix
    logs: float
    log_squares: float
    crossed: Matrix

    @classmethod
    def of(cls, rows: Rows, counts: Matrix) -> RowSums:
        """Return those of a shard; counts : float64 (rows,), ratings of each."""
        rated, logs = rows[counts > 0], np.log1p(counts[counts > 0])
        squares = np.einsum("rf,rf->f", rated, rated, dtype=np.float64)
        crossed = np.einsum("r,rf->f", logs, rated, dtype=np.float64)
        sums = np.sum(rated, axis=0, dtype=np.float64)
        return cls(len(rated), sums, squares, float(np.sum(logs)), float(np.sum(logs**2)), crossed)

    def __add__(self, other: RowSums) -> RowSums:
        pairs = ((getattr(self, field.name), getattr(other, field.name)) for field in fields(self))
        return RowSums(*(mine + theirs for mine, theirs in pairs))

    @property
    def middle(self) -> float:
        """Return the mean of log(1 + n)."""
        return self.logs / max(1, self.rows)

    @property
    def spread(self) -> float:
        """Return the standard deviation of log(1 + n); 0 where it is no more than rounding."""
        variance = self.log_squares / max(1, self.rows) - self.middle**2
        return float(np.sqrt(variance)) if variance > LEAST_VARIANCE else 0.0


def draw_prior(total: RowSums, stream: Stream, side: str) -> RowPrior:
    """Draw the prior of "users" or "items" from the sums over all their rows."""
    generator = stream.generator("prior", side == "items")
    count, spread, middle = total.rows, total.spread, total.middle
    # The sum of x is 0 and that of its squares is the count, so mean and slope do not depend on each other.
    crossed = (total.crossed - middle * total.sums) / spread if spread else np.zeros(len(total.sums))
    weight, slope_weight = count + MEAN_WEIGHT, count * (spread > 0.0) + MEAN_WEIGHT
    about = np.maximum(total.squares - total.sums**2 / weight - crossed**2 / slope_weight, 0.0)
    precision = generator.gamma(SHAPE + count / 2.0, 1.0 / (RATE + about / 2.0))
    mean, slope = generator.standard_normal((2, len(about))) / np.sqrt(precision)
    mean = total.sums / weight + mean / np.sqrt(weight)
    slope = crossed / slope_weight + slope / np.sqrt(slope_weight)
    return RowPrior(mean, precision, slope / spread if spread else np.zeros(len(slope)), middle)


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
    precision = 1.0 / (variance / 2.0 + np.sqrt(variance**2 / 4.0 + variance / told))
    return RowPrior(mean, precision, np.zeros(len(mean)), total.middle)


def draw_noise_precision(squared_errors: float, ratings: int, stream: Stream) -> float:
    """Draw tau from the sum of squared errors, of ratings scaled to unit deviation.

    It is 1 / LEAST_VARIANCE at most, so that ratings which are fitted exactly do not make it infinite.
    """
    rate = RATE + max(squared_errors, 0.0) / 2.0
    drawn = stream.generator("precision").gamma(SHAPE + ratings / 2.0, 1.0 / rate)
    return float(min(drawn, 1.0 / LEAST_VARIANCE))
