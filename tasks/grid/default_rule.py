"""The default rule for regularisation, step size and patience, so that users need not tune them.

Covers: the L2 term and the first step size, for ratings scaled to unit deviation, and the patience.
Does not cover: settings that overrule it (pipeline/settings/sections.py), the adaptive steps (tasks/kernels/sgd.py),
early stopping (tasks/training/early_stopping.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

L2_AT_ONE_RATING = 0.28
"""L2 for a matrix with one rating a row; it falls with the square root of the ratings a row. Chosen on MovieLens 1M
(10 % hash split) and 100K (u1, u3), rank 64, among 0.015-0.15: their best values, 0.03 and 0.05, give 0.29 and 0.27."""

STEP = 0.05
"""First step of the adaptive steps: 0.04-0.08 end within 0.001 RMSE of each other on both sets, larger ones need fewer
epochs."""

INITIAL_LENGTH = 0.05
"""Expected length of an initial factor row, ratings scaled to unit deviation. Measured on MovieLens 1M and 100K: small
rows that grow into the signal end 0.002-0.006 RMSE better than rows of length 0.5, and can do with half the L2."""

FEW_RATINGS = 80_000
"""With fewer ratings than MovieLens 100K has to train on, first steps are longer and initial rows shorter, by up to 2
and 4 at 5,000: there many directions are taken for signal, and an epoch costs nothing. Planted sets of 2,000 to 5,000
ratings with noise 0.1 (400 x 150, rank 3; 200 x 100, rank 2) end at 1.23-1.33 times the RMSE of ridge regression by
turns without this, and still fall in epoch 100; with it at 1.04-1.16. Samples of 2,000 to 40,000 ratings of MovieLens
100K and ml-latest-small end within 0.3 % of each other either way, and take a third fewer epochs."""


def l2_for(ratings: int, users: int, items: int) -> float:
    """Return the L2 term a rating: 0.28 / sqrt(ratings / (users + items)).

    The rows are the estimates and the ratings are the evidence. A row of n ratings pays n times this term, so the
    weight of the prior against the evidence would not fall as evidence grows; the square root lets it fall as the
    standard error of a row's estimate does.
    """
    return L2_AT_ONE_RATING / math.sqrt(max(1.0, ratings / max(1, users + items)))


ALS_L2 = 2.0
"""Row solves take this multiple of `l2_for`."""
ALPHA_L2, MANY_A_ROW = 0.0085, 80.0
"""L2 of row solves with a weight for missing cells, and the ratings a row above which it falls as their square root."""
FEW_A_ROW, FEW_A_ROW_IF_DENSE, DENSE, MOST_L2 = 20.0, 38.0, 0.005, 4.0
"""Ratings a row below which L2 grows as their inverse, in a sparse matrix and from the density `DENSE` on, by the cube
root of the density in between; and how many times as much it is at most."""
HARDLY_ANY_A_ROW = 7.0
"""Ratings a row below which the weight of missing cells grows."""
OF_USER_ROW = 0.2
"""Least L2 of such solves, as a multiple of 1 / sqrt(weight of a user's row)."""
LIKES_L2, LIKES_DENSITY, MOST_LIKES_A_ROW = 1.6, 0.004, 120.0
"""Greatest multiple of L2 for likes, the density above which it is above 1, and the likes a row below which it is."""
TOWARD_MEAN = 0.75
"""Greatest part of the mean user to which the L2 term pulls users."""
ALS_PATIENCE = 3
"""Epochs of row solves without gain before training stops."""
ALPHA_BY_DENSITY = 15.0


def alpha_for(ratings: int, users: int, items: int) -> float:
    """Return the weight of a missing cell for a ranking: alpha / (1 - alpha) = min(1, 15 x density).

    In a dense matrix a missing rating says that a user chose not to rate; in a sparse one, that they never met the
    item. So all missing cells of a row together weigh 15 times what its ratings do.

    This and L2 were chosen together, as a higher weight wants a lower L2: on MovieLens 1M (hash 10 %, seed 0, rank 64)
    odds of 0.4, 0.7 and 1 with an L2 of 0.0075, 0.005 and 0.005 have an NDCG@10 of 0.3103, 0.3105 and 0.3102.

    With n = ratings / sqrt(users x items) below 7, little but popularity is left to learn, and the odds grow by
    (7 / n)^0.75: an item's row is its ratings over what all its cells weigh, so popular items come first only where the
    missing cells outweigh the ratings of the most rated ones, too. Plain loops for the same objective, rank 64, 12
    epochs, an L2 of 0.034 and `toward_mean_for`, NDCG@10 with odds of 15, 25 and 40 times the density: Gowalla with 3
    ratings a user, n = 2.6, 0.054, 0.062 and 0.049, most rated 0.027; a made catalogue of 54,000 items, n = 3.1,
    0.0106, 0.0130 and 0.0132, most rated 0.0126.
    """
    grown = math.pow(max(1.0, HARDLY_ANY_A_ROW / _a_row(ratings, users, items)), 0.75)
    odds = min(1.0, ALPHA_BY_DENSITY * grown * _density(ratings, users, items))
    return odds / (1.0 + odds)


def als_l2_for(ratings: int, users: int, items: int, alpha: float, likes: bool = False) -> float:
    """Return the L2 term of row solves.

    With a weight for missing cells it goes by n = ratings / sqrt(users x items): 0.0085, times sqrt(80 / n) above 80,
    and times F / n, but at most 4, below F.
    F is 38 from a density of 0.005 on, and 20 in a sparse matrix: there users of Gowalla and MovieTweetings have more
    in common with a few others than those of MovieLens with the same n. Samples, with plain loops for the same
    objective, rank 64, 12 epochs, users pulled to 0, NDCG@10 with F = 20 and no most, with this rule, and of the most
    rated items:

        200 users of latest-small, n = 27, five seeds            0.207 -> 0.216, most rated 0.104
        150 users of 1M, n = 36, five seeds                      0.196 -> 0.202, most rated 0.113
        100K, 25 training ratings a user, n = 20, three seeds    0.091 -> 0.104, most rated 0.078
        latest-small, 30 a user, n = 11, three seeds             0.064 -> 0.072, most rated 0.061
        100K, 8 a user, n = 7, four seeds                        0.051 -> 0.064, most rated 0.068
        1M, 10 a user, n = 14                                    0.046 -> 0.051, most rated 0.057

    Whole sets, likewise, hash 10 %, beside 0.005 max(1, 16 / n) with odds of 30 times the density:

        MovieTweetings, n = 7, seeds 0 and 1          0.1099 -> 0.1162
        MovieLens latest-small, n = 37, seeds 0 to 3  0.2619 -> 0.2652
        MovieLens 100K, n = 72, seeds 0 to 3          0.3177 -> 0.3383
        MovieLens 1M, n = 190, seeds 0 and 1          0.3107 -> 0.3111, recall@20 0.3704 -> 0.3742

    On the published split of Gowalla, n = 23, recall@20 goes from 0.1496 to 0.1510, and NDCG@20 stays at 0.1295.

    It is at least 0.2 / sqrt(w), where w is the mean weight of a user's row: ratings + alpha x items. That counts where
    items are few, as a rank near their number cuts no noise off. The same split, seed 0, NDCG@10, and the best EASE:

        the 100 most rated items of MovieLens 1M      0.276 -> 0.457, EASE 0.461
        100 random items of it                        0.234 -> 0.449, EASE 0.458
        planted tastes, 3,000 users, 100 items        0.229 -> 0.455, EASE 0.441

    Likes have the target 1, where ratings have 0.7 on average, and more noise. From a density of 0.004 on and below 120
    a row their L2 is density / 0.004 or 120 / n times as high, by at most 0.6 of it: MovieLens without ratings, seed 1,
    100K 0.338 -> 0.351, latest-small 0.243 -> 0.249. Outside, 1.5 times would take recall@20 on Gowalla from 0.1510
    to 0.1494, on 1M from 0.309 to 0.303, and HR@10 on NCF's split of it from 0.720 to 0.717.

    Parameters
    ----------
    likes : all targets are 1: pairs without ratings, or counts.
    """
    if not alpha:
        return ALS_L2 * l2_for(ratings, users, items)
    a_row, density = _a_row(ratings, users, items), _density(ratings, users, items)
    few = max(FEW_A_ROW, FEW_A_ROW_IF_DENSE * math.cbrt(min(1.0, density / DENSE)))
    by_ratings = ALPHA_L2 * min(MOST_L2, max(1.0, few / a_row)) * min(1.0, math.sqrt(MANY_A_ROW / a_row))
    if likes:
        by_ratings *= max(1.0, min(LIKES_L2, density / LIKES_DENSITY, MOST_LIKES_A_ROW / a_row))
    return max(by_ratings, OF_USER_ROW / math.sqrt(max(1.0, ratings / max(1, users) + alpha * items)))


def toward_mean_for(ratings: int, users: int, items: int) -> float:
    """Return which part of the mean user the L2 term of a ranking pulls users to, 0 to 1.

    It is 0.75 (1 - density / 0.005) where that is above 0. Below 7 ratings a row what is missing to 1 is n / 7 of that.
    A ranking does not see how long a row is: pulled to 0, users with three ratings are ranked by these alone, and
    pulled to the mean user, by what all rate and by these. In a dense matrix rows say enough: on latest-small 0.3, 0.5
    and 0.7 have 0.254, 0.254 and 0.251, where 0 has 0.255; on MovieLens 1M and 100K all are within 0.001 of it.

    Plain loops for the same objective, rank 64, 12 epochs, NDCG@10: pulled to 0 with odds that grew by (5 / n)^3 below
    n = 5, where L2 fell; with this rule; and of the most rated items. Ratings of training are left out at random, those
    to be found stay. Means of seeds 2 and 3; 0 and 1 of the same sets, or one of them, were looked at for the choice:

        MovieTweetings, n = 7                        0.116 -> 0.134, most rated 0.110
        MovieTweetings, 3 a user, n = 3              0.083 -> 0.105, most rated 0.099
        Gowalla, 3 a user, n = 2.6                   0.043 -> 0.056, most rated 0.027
        MovieLens 1M, 10 a user, n = 14              0.080 -> 0.081, most rated 0.059
        MovieLens 1M, 5 a user, n = 7                0.061 -> 0.065, most rated 0.057
        MovieLens 1M, 3 a user, n = 4                0.047 -> 0.055, most rated 0.056
        100K, 5 a user, n = 5                        0.069 -> 0.075, most rated 0.066
        latest-small, 10 a user, n = 5               0.077 -> 0.082, most rated 0.060
        latest-small, 5 a user, n = 2.5              0.057 -> 0.058, most rated 0.053

    Gowalla with 10 a user, n = 8, seed 0, which was left out, has 0.102 -> 0.104, recall@20 0.140 -> 0.142. With 5 a
    user, n = 4, NDCG@10 is 0.085 and 0.086, but recall@20 falls from 0.113 to 0.110.
    """
    by_density = TOWARD_MEAN * max(0.0, 1.0 - _density(ratings, users, items) / DENSE)
    return 1.0 - (1.0 - by_density) * min(1.0, _a_row(ratings, users, items) / HARDLY_ANY_A_ROW)


def _a_row(ratings: int, users: int, items: int) -> float:
    """Return the geometric mean of the ratings a user and an item."""
    return max(1e-9, ratings / math.sqrt(max(1, users * items)))


def _density(ratings: int, users: int, items: int) -> float:
    return ratings / max(1, users * items)


def step_for(ratings: int) -> float:
    """Return the first step for so many training ratings."""
    return STEP / math.sqrt(_scarcity(ratings))


def initial_length_for(ratings: int) -> float:
    """Return the expected length of an initial factor row for so many training ratings."""
    return INITIAL_LENGTH * _scarcity(ratings)


def _scarcity(ratings: int) -> float:
    return min(1.0, max(0.25, math.sqrt(ratings / FEW_RATINGS)))


NOISE = 0.5
"""Where a model's squared error is less than this part of the ratings' variance, L2 falls with it. L2_AT_ONE_RATING was
chosen where it is 0.56 (MovieLens 1M) and 0.65 (100K); MovieLens 1M and 100K, ml-latest-small, MovieTweetings and the
synthetic Netflix set all stay above a half. On planted sets of 2,000 to 100,000 ratings (signal of unit deviation,
rank 2 to 10) the RMSE ends lower by up to 52 % at noise 0.1, up to 8 % at 0.4, and not at all at 1."""

JUDGED_LATE = 2
"""An epoch uses the results of epochs up to the second before it: the one before still runs when it begins."""


def l2_of_epoch(epoch: int, l2: float, rmses: Sequence[float], deviation: float, start: float | None = None) -> float:
    """Return the L2 of an epoch: less than `l2` where the error is small, as the best ridge goes with the noise.

    The error of the best model so far stands for the noise. It is never below it, so L2 falls as the fit gets better.

    Parameters
    ----------
    epoch : counted from 1. `rmses` : on the stopping ratings, of the epochs so far; only those that are known when this
        one begins count. `start` : of the model that training starts from. `deviation` : of the ratings.
    """
    known = [*rmses[: max(0, epoch - JUDGED_LATE)], *([] if start is None else [start])]
    return l2 * min(1.0, (min(known) / deviation) ** 2 / NOISE) if known else l2


PATIENCE, PURE_PATIENCE = 2, 4
"""Epochs without a gain before training stops, with biases and in the pure form, whose descent lingers at saddles: the
first factor takes the mean rating, and validation stands still for some epochs before the others set out. On MovieLens
1M (10 % hash split) at rank 8, 2 stops there at RMSE 0.929, 3 and 4 go on to 0.884; on 100K at ranks 8 and 16, 2 and 3
stop at 0.966 and 0.965, 4 goes on to 0.948 and 0.943. With biases all factors set out from a saddle, which no patience
is for: see SETTING_OUT."""

SETTING_OUT = 1.2
"""Factors are setting out while they grow in an epoch, as a part of themselves, by more than this times what they carry
as a part of the stopping RMSE. Where biases carry nothing beyond the mean, validation stands still until then, and the
patience alone stopped after 3 epochs at the mean's RMSE: 74 of 252 planted sets of 2,000 to 100,000 ratings did.
Ratings that are all noise take 8 to 23 epochs instead of 3 to 6. With 1 MovieTweetings takes an epoch more for nothing,
with 2 a planted set of 2,000 ratings stopped at 1.18 times what patience 30 reaches, as validation rose for two epochs
first. MovieLens 1M, 100K, ml-latest-small and MovieTweetings keep all bits."""


def patience_for(biases: bool) -> int:
    """Return the number of epochs without a gain before training stops."""
    return PATIENCE if biases else PURE_PATIENCE


FUNK_STEP = 0.01
"""Step of Funk's form, the same for all rows and passes; Funk used 0.001, for far more ratings a row. Chosen with the
next two on MovieLens 1M (10 % hash split) and 100K (u1), rank 64. On 1M, L2 1.5, 0.005, 0.01, 0.02 and 0.03 end at RMSE
0.852, 0.848, 0.849 and 0.852; on 100K 0.003, 0.01, 0.02 and 0.04, each with what suits it best, within 0.001. Steps
that adapt by row, as in the joint form, take 2.3 times as long a pass, and end from 0.001 better to 0.003 worse."""

FUNK_L2_SHARE = 1.25
"""L2 of Funk's form, as a multiple of `l2_for`. On 1M 1 to 2 end within 0.004 of each other; at step 0.01, 1.25 ends
0.0003 (1M) and 0.0012 (100K) below 1.5."""

FUNK_INITIAL = 0.1
"""First value of every number of a feature, if the row has ratings, as Funk chose it. Random numbers end 0.001-0.005
RMSE behind on 100K: a row with few ratings stays close to its start, which all rows then share."""

FUNK_ROUND = 10
"""Passes between two scores of a feature: the gain of one pass is too small to judge."""

WARM_SHRINK = 0.3
"""A warm start multiplies the factors of the start model by this. Early stopping is half of the regularisation, so a
training that continues where another stopped overfits the old ratings, whatever its steps. From shrunk factors, all
directions grow again, those that many ratings share first. On MovieLens 1M by time, ten
days, each from the day before, the best epoch of a day ended above a cold run's RMSE by 0.0032 at most with 0.7, 0.0023
with 0.6, 0.0017 with 0.5, 0.0008 with 0.4, 0.0004 with 0.3, and as it is by 0.0019 on the third day already. With 0.2
it ended below, in the fifth epoch instead of the fourth.

Row solves of ratings take the same number: their next half takes shrunk rows as if its L2 were 1 / 0.3^2 of what it is,
so that only directions grow that many ratings share. The same ten days, with three steps without a preconditioner, end
in the second epoch at 0.0023 to 0.0027 below the RMSE of a cold run, with 0.5 at 0.0017 to 0.0020 below; as it is, from
0.0002 below to 0.0004 above. With a weight for missing cells nothing is shrunk: there more epochs do no harm, and after
the first one NDCG@10 of the last tenth is 0.311 as it is, 0.308 with 0.6 and 0.289 with 0.3."""

WARM_SQUARES = 0.5
"""First value of the sums of squares of such a row, for each of its ratings: of its bias this, of its factors this
times the mean square of the other side's factors. A cold run adds some 0.43 a rating and epoch on MovieLens 1M, so
steps begin as those of its second epoch. With 0.1, 0.25 and 0.5 days end above a cold run by 0.0010, 0.0007 and 0.0004
at most. The sums of the earlier run itself would grow with every night, until steps die out; and without them a warm
start needs the exported model alone."""
