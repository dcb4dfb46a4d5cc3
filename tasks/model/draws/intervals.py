"""Intervals of ratings by the draws of a posterior, by raw ids and by rows.

Covers: `Model.intervals`, and the normals of each pair: one a draw, of which the rating is a mixture.
Does not cover: the mixture (mixture.py), reading the draws (drawn_rows.py), pairs of a file
(tasks/serving/predict_batch.py).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from funkflow.tasks.errors import BadInput
from funkflow.tasks.late import late
from funkflow.tasks.model.draws.drawn_rows import Draws, Numbers, WithDraws
from funkflow.tasks.model.draws.mixture import moments, quantiles
from funkflow.tasks.model.draws.new_rows import DrawnRow
from funkflow.tasks.transform import Transform, as_ratings

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = late("pandas")

LEVELS = (0.5, 0.8, 0.95)
PAIRS_AT_ONCE = 1024
"""Of which the draws of both sides are in memory, in float64."""


class Intervals(WithDraws, ABC):
    """The methods of `Model` that need the draws of a posterior; `Model` describes the attributes."""

    scale: tuple[float, float] | None

    @property
    @abstractmethod
    def transform(self) -> Transform:
        """Transform of the ratings in training."""

    @abstractmethod
    def found_rows(self, ids: Any, side: Literal["users", "items"]) -> npt.NDArray[np.intp]:
        """Return the rows of raw ids, int (n,); -1 for ids that the model does not have."""

    @abstractmethod
    def _offsets_at(
        self, user_rows: npt.NDArray[np.integer], item_rows: npt.NDArray[np.integer], times: Any
    ) -> Numbers:
        """Return what the times of pairs add to their scores, float64 (n,)."""

    def intervals(self, users: Any, items: Any, levels: Sequence[float] = LEVELS, times: Any = None) -> pd.DataFrame:
        """Return for each (user, item) pair the distribution that a new rating would have.

        The rating is normal about the prediction of each draw, and all draws count alike. A user or an item that the
        model does not have, or that had no training rating, is one of whom the draws only tell what is usual, so that
        its intervals are wide.

        Parameters
        ----------
        users : array-like (n,) of raw ids, or one row that `fold_in_draws` returned.
        items : array-like (n,) of raw ids.
        levels : parts of such ratings that an interval shall hold, each above 0 and below 1.
        times : when they would be given, as for `predict`. Effects of time are taken at their mean.

        Returns
        -------
        DataFrame of n rows, float64
            `mean` : of the kept draws, clipped to the scale; `predict` has the mean of all draws, cut to its rank.
            `deviation` : the standard deviation, from what the draws differ by and the noise of ratings, not clipped.
            `lower_50`, `upper_50` and so on, of each level: quantiles with as much below as above, clipped to the
            scale. All are in rating units, but with ingest.transform = "log1p" the deviation is that of
            log(1 + rating).

        Raises
        ------
        BadInput
            The model has no draws (train.keep_draws), a level is no part, or users and items differ in length.
        DamagedFile
            A file of draws is missing, or has another length.
        """
        names = interval_names(levels)
        draws = self.draws_for("intervals")
        item_rows = self.found_rows(items, "items")
        if isinstance(users, DrawnRow):
            draws, user_rows = draws.of_one_user(users.draws), np.zeros_like(item_rows)
        else:
            user_rows = self.found_rows(users, "users")
        if len(user_rows) != len(item_rows):
            raise BadInput(f"intervals: {len(user_rows)} users but {len(item_rows)} items; give one item for each user")
        there = np.full_like(user_rows, -1) if isinstance(users, DrawnRow) else user_rows
        found = intervals_of(draws, user_rows, item_rows, levels, self._offsets_at(there, item_rows, times))
        columns = {name: found[:, number] for number, name in enumerate(names)}
        for name in (each for each in names if each != "deviation"):
            clipped = columns[name] if self.scale is None else np.clip(columns[name], *self.scale)
            columns[name] = np.asarray(as_ratings(clipped, self.transform), np.float64)
        return pd.DataFrame(columns)


def interval_names(levels: Sequence[float]) -> list[str]:
    """Return the names of the columns of intervals.

    Raises
    ------
    BadInput
        A level is not between 0 and 1.
    """
    for level in levels:
        if not 0.0 < level < 1.0:
            raise BadInput(f"intervals: level {level:g} is not between 0 and 1; give parts, such as 0.8")
    return ["mean", "deviation", *(f"{end}_{100 * level:g}" for level in levels for end in ("lower", "upper"))]


def intervals_of(
    draws: Draws, users: npt.NDArray[np.integer], items: npt.NDArray[np.integer], levels: Sequence[float],
    offsets: Numbers | None = None,
) -> Numbers:  # fmt: skip
    """Return the columns of `interval_names` for pairs of rows, not clipped, float64 (n, 2 + 2 levels).

    users, items : (n,) rows of the model, -1 for ids that it does not have; offsets : as for `normals_of`.
    """
    ends = [part for level in levels for part in ((1.0 - level) / 2.0, (1.0 + level) / 2.0)]
    found = np.empty((len(users), 2 + len(ends)))
    for pairs, means, variances in normals_of(draws, users, items, offsets):
        found[pairs, 0], found[pairs, 1] = moments(means, variances)
        found[pairs, 2:] = quantiles(means, variances, ends)
    return found


def normals_of(
    draws: Draws, users: npt.NDArray[np.integer], items: npt.NDArray[np.integer], offsets: Numbers | None = None
) -> Iterator[tuple[npt.NDArray[np.intp], Numbers, Numbers]]:
    """Yield some pairs at a time: their numbers (n,), and the mean and variance of each draw, float64 (n, D).

    Pairs of the same groups of rows come together, so that each group is read once, if those of the items fit.

    offsets : float64 (n,), added to the means of each pair; None: nothing is.
    """
    order = np.lexsort((items, draws.items.groups_of(items), draws.users.groups_of(users)))
    for at in range(0, len(order), PAIRS_AT_ONCE):
        pairs = order[at : at + PAIRS_AT_ONCE]
        yield pairs, *_normals(draws, users[pairs], items[pairs], None if offsets is None else offsets[pairs])


def _normals(
    draws: Draws, users: npt.NDArray[np.integer], items: npt.NDArray[np.integer], offsets: Numbers | None
) -> tuple[Numbers, Numbers]:
    of_users, of_items = draws.users.take(users).astype(np.float64), draws.items.take(items).astype(np.float64)
    sides = ((of_users, draws.users, users), (of_items, draws.items, items))
    for rows, side, ids in sides:
        rows[ids < 0] = side.priors.mean
    products = np.einsum("ndf,ndf->nd", of_users[..., :-1], of_items[..., :-1])
    means = draws.mean + products + of_users[..., -1] + of_items[..., -1]
    if offsets is not None:
        means += offsets[:, None]
    variances = draws.noise_variances(means, users)
    if (unknown := np.flatnonzero((users < 0) | (items < 0))).size:
        spreads = [np.where((ids[unknown] < 0)[:, None, None], side.priors.variance, 0.0) for _, side, ids in sides]
        variances[unknown] += spread_of_products(of_users[unknown], of_items[unknown], *spreads)
    return means, variances


def spread_of_products(users: Numbers, items: Numbers, user_variances: Numbers, item_variances: Numbers) -> Numbers:
    """Return the variance of u·v + b_u + b_i, float64 (n, D), of independent numbers with these means and variances.

    All are float64 (n, D, k + 1), the biases last.
    """
    of_factors = (
        users**2 * item_variances + items**2 * user_variances + user_variances * item_variances
    )[..., :-1].sum(axis=-1)  # fmt: skip
    return np.asarray(of_factors + user_variances[..., -1] + item_variances[..., -1])
