"""Ratings as a factorisation machine has them: user, item, the items of the user, the users of the item, the day.

Covers: the matrices, as Rendle, Zhang & Koren 2019, "On the difficulty of evaluating baselines", have them for
"timeSVD++ flipped". Does not cover: sampling (bench/peers/myfm_gibbs.py), or which part has which (parts.py).

It imports NumPy and SciPy alone, as it runs in the Python of myFM.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse

RATED = np.dtype([("user", "<i4"), ("item", "<i4"), ("rating", "<f4"), ("day", "<i4")])
"""A rating in dense ids; days are dense, too, in the order of time."""
Ratings = npt.NDArray[np.void]
"""Records of RATED, (n,)."""
Matrix = Any
"""A sparse matrix in rows (CSR), float64."""


@dataclass(frozen=True)
class Features:
    """What stays the same for all ratings.

    Attributes
    ----------
    users : a row for each user: one column that is 1, then perhaps a column for each item; (users, users + items).
    items : likewise, (items, items + users).
    days : number of days; 0: the day is no feature.
    groups : number of columns that share a prior, in the order of columns: days, users, their items, items, their
        users.
    """

    users: Matrix
    items: Matrix
    days: int
    groups: tuple[int, ...]

    @classmethod
    def of(cls, training: Ratings, validation: Ratings, *, who: bool, when: bool) -> Features:
        """Return the features of ids in either part. Pairs count, and only those of the training ratings."""
        users, items, days = (
            1 + int(max(training[name].max(), validation[name].max())) for name in ("user", "item", "day")
        )
        of_users, of_items = (scipy.sparse.identity(count, format="csr") for count in (users, items))
        groups = [users, items]
        if who:
            met = scipy.sparse.csr_matrix(
                (np.ones(len(training)), (training["user"], training["item"])), shape=(users, items)
            )
            of_users = scipy.sparse.hstack([of_users, _shared(met)], format="csr")
            of_items = scipy.sparse.hstack([of_items, _shared(met.T.tocsr())], format="csr")
            groups = [users, items, items, users]
        return cls(of_users, of_items, days if when else 0, (*([days] if when else []), *groups))

    def days_of(self, ratings: Ratings) -> Matrix:
        """Return the day of each rating, one column that is 1, (n, days); (n, 0) where the day is no feature."""
        count = len(ratings)
        if not self.days:
            return scipy.sparse.csr_matrix((count, 0))
        places = (np.arange(count), ratings["day"])
        return scipy.sparse.csr_matrix((np.ones(count), places), shape=(count, self.days))


def _shared(met: Matrix) -> Matrix:
    """Return n^(-1/2) in place of 1 in each row with n of them; a row may be empty."""
    met.data[:] = 1.0
    counts = np.diff(met.indptr)
    return scipy.sparse.diags(1.0 / np.sqrt(np.maximum(counts, 1))) @ met
