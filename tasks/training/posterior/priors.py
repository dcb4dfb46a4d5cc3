"""The priors of rows and the noise of ratings, drawn from what they depend on.

Covers: sums over rows and users, draws of the mean, slope and precision of each column, and of the ratings' noise.
Does not cover: draws of rows (draws.py).

Ratings, scaled to unit deviation, are normal about their predictions. Those of user u have precision tau a_u: some
people rate less steadily than others. Column f of the rows of users with n ratings is normal with mean m_f + s_f x and
precision l_f, and likewise for items; biases are one column more. Here x is log(1 + n), less its mean over all users
with ratings and divided by its deviation. So what many people rate may be better than the rest, before a rating of it
is seen. Above these are

    tau, l_f ~ Gamma(1/2, rate 1/200)      m_f, s_f ~ N(0, 1 / l_f)        a_u ~ Gamma(nu/2, rate nu/2)

with nu one of NOISE_SHAPES, all as probable (Salakhutdinov & Mnih 2008, with a diagonal precision; Rendle 2012, whose
rate of 1/2 takes noise for structure where ratings are few; the regression on x as in Porteous, Asuncion & Welling
2010, the noise of users as in Lakshminarayanan, Bouchard & Archambeau 2011). All are conjugate but nu, which has few
values. So their draws are exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

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
NOISE_SHAPES = 2.0 ** (1.0 + np.arange(65) / 8.0)
"""What nu may be, 2 to 512. With the last all users have nearly the same noise."""
LEAST_WEIGHT = 1e-6
"""Of a user, so that no root of it is 0 in float32."""


@dataclass(frozen=True)
class NoiseLevel:
    """How ratings scatter about their predictions: tau is `precision`, and nu is `shape`."""

    precision: float
    shape: float


@dataclass(frozen=True)
class WeightSums:
    """Sums over the users that have ratings, with weights a_u.

    users : their number; logs_less_weights : of log a_u - a_u; inverse : of n / a_u, for n ratings.
    """

    users: int = 0
    logs_less_weights: float = 0.0
    inverse: float = 0.0

    @classmethod
    def of(cls, weights: Matrix, counts: Matrix) -> WeightSums:
        """Return those of a shard; counts : float64 (rows,), ratings of each."""
        rated = weights[counts > 0]
        inverse = float(np.sum(counts[counts > 0] / rated))
        return cls(len(rated), float(np.sum(np.log(rated) - rated)), inverse)

    def __add__(self, other: WeightSums) -> WeightSums:
        return WeightSums(*(mine + theirs for mine, theirs in zip(_numbers(self), _numbers(other), strict=True)))


@dataclass(frozen=True)
class RowPrior:
    """The prior of a side's rows.

    mean, precision : of each column, float64 (w,), the mean where log(1 + n) is `middle`, for n ratings; slope :
    float64 (w,), how much the mean grows with log(1 + n); usual : mean of log(1 + n) over ratings, of the rows that
    they are of.
    """

    mean: Matrix
    precision: Matrix
    slope: Matrix
    middle: float
    usual: float

    @property
    def lift(self) -> Matrix:
        """Return by how much the mean of the usual row is above that of a row without ratings, float64 (w,)."""
        return np.asarray(self.slope * self.usual)

    def of(self, counts: Matrix) -> Matrix:
        """Return the mean of each row, float64 (rows, w); counts : float64 (rows,), ratings of each."""
        return np.asarray(self.mean + np.outer(self.away(counts), self.slope))

    def away(self, counts: Matrix) -> Matrix:
        """Return log(1 + n) less `middle`, float64 (rows,); counts : float64 (rows,), ratings of each."""
        return np.asarray(np.log1p(counts) - self.middle)


@dataclass(frozen=True)
class RowSums:
    """Sums over the rows that have ratings.

    rows : their number; sums, squares : of each column, float64 (w,); logs, log_squares : of log(1 + n), for n ratings;
    crossed : of the product of each column and log(1 + n), float64 (w,); ratings, rated_logs : of n, and n log(1 + n).
    """

    rows: int
    sums: Matrix
    squares: Matrix
    logs: float
    log_squares: float
    crossed: Matrix
    ratings: float = 0.0
    rated_logs: float = 0.0

    @classmethod
    def of(cls, rows: Rows, counts: Matrix) -> RowSums:
        """Return those of a shard; counts : float64 (rows,), ratings of each."""
        rated, logs = rows[counts > 0], np.log1p(counts[counts > 0])
        squares = np.einsum("rf,rf->f", rated, rated, dtype=np.float64)
        crossed = np.asarray(np.einsum("r,rf->f", logs, rated, dtype=np.float64))
        sums = np.asarray(np.sum(rated, axis=0, dtype=np.float64))
        weights = counts[counts > 0]
        return cls(
            len(rated), sums, squares, float(np.sum(logs)), float(np.sum(logs**2)), crossed, float(np.sum(weights)),
            float(weights @ logs),
        )  # fmt: skip

    def __add__(self, other: RowSums) -> RowSums:
        return RowSums(*(mine + theirs for mine, theirs in zip(_numbers(self), _numbers(other), strict=True)))

    @property
    def middle(self) -> float:
        """Return the mean of log(1 + n)."""
        return self.logs / max(1, self.rows)

    @property
    def usual(self) -> float:
        """Return the mean of log(1 + n) over ratings."""
        return self.rated_logs / max(1.0, self.ratings)

    @property
    def spread(self) -> float:
        """Return the standard deviation of log(1 + n); 0 where it is no more than rounding."""
        variance = self.log_squares / max(1, self.rows) - self.middle**2
        return float(np.sqrt(variance)) if variance > LEAST_VARIANCE else 0.0


def _numbers(sums: RowSums | WeightSums) -> list[Any]:
    return [getattr(sums, field.name) for field in fields(sums)]


def draw_prior(total: RowSums, stream: Stream, side: str) -> RowPrior:
    """Draw the prior of "users" or "items" from the sums over all their rows."""
    generator = stream.generator("prior", side == "items")
    count, spread, middle = total.rows, total.spread, total.middle
    # The sum of x is 0 and that of its squares is the count, so mean and slope do not depend on each other.
    crossed = (total.crossed - middle * total.sums) / spread if spread else np.zeros(len(total.sums))
    weight, slope_weight = count + MEAN_WEIGHT, count * (spread > 0.0) + MEAN_WEIGHT
    about: Matrix = np.maximum(total.squares - total.sums**2 / weight - crossed**2 / slope_weight, 0.0)
    precision = generator.gamma(SHAPE + count / 2.0, 1.0 / (RATE + about / 2.0))
    mean, slope = generator.standard_normal((2, len(about))) / np.sqrt(precision)
    mean = total.sums / weight + mean / np.sqrt(weight)
    slope = crossed / slope_weight + slope / np.sqrt(slope_weight)
    return RowPrior(mean, precision, slope / spread if spread else np.zeros(len(slope)), middle, total.usual)


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
    return RowPrior(mean, precision, np.zeros(len(mean)), total.middle, total.usual)


def draw_precision(count: int, squares: Matrix, stream: Stream, name: str) -> Matrix:
    """Draw the precision of columns whose mean is 0, from their sums of squares over so many rows."""
    return stream.generator(name).gamma(SHAPE + count / 2.0, 1.0 / (RATE + squares / 2.0))


def draw_user_weights(
    squared_errors: Matrix, counts: Matrix, noise: NoiseLevel, generator: np.random.Generator
) -> Matrix:
    """Draw a_u of some users, float64 (users,), from sums of squared errors and numbers of ratings.

    tau a_u is 1 / LEAST_VARIANCE at most, for users whose ratings are fitted exactly.
    """
    rates = noise.shape / 2.0 + noise.precision * squared_errors / 2.0
    drawn = generator.gamma(noise.shape / 2.0 + counts / 2.0) / rates
    return np.asarray(np.clip(drawn, LEAST_WEIGHT, 1.0 / (LEAST_VARIANCE * noise.precision)))


def draw_noise(weighed_errors: float, ratings: int, weights: WeightSums, stream: Stream) -> NoiseLevel:
    """Draw tau from the sum of squared errors times weights, of ratings scaled to unit deviation, and nu from weights.

    tau is 1 / LEAST_VARIANCE at most, so that ratings which are fitted exactly do not make it infinite.
    """
    generator = stream.generator("precision")
    drawn = generator.gamma(SHAPE + ratings / 2.0, 1.0 / (RATE + max(weighed_errors, 0.0) / 2.0))
    halves = NOISE_SHAPES / 2.0
    each = halves * np.log(halves) - np.array([math.lgamma(half) for half in halves])
    likely = weights.users * each + halves * weights.logs_less_weights
    chances = np.cumsum(np.exp(likely - likely.max()))
    shape = NOISE_SHAPES[min(int(np.searchsorted(chances, generator.random() * chances[-1])), len(halves) - 1)]
    return NoiseLevel(float(min(drawn, 1.0 / LEAST_VARIANCE)), float(shape))
