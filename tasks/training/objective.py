"""The objective and its gradients in plain NumPy, as in textbooks.

Covers: J, and dJ/dU, dJ/dV, dJ/db_u, dJ/db_i over a list of observed ratings, by the chain rule through D = U V^T.
Does not cover: the fast forms by block (batch.py) and by rating (tasks/kernels/sgd.py, with the factor 2 in the step),
the step rule (gradient_descent.py), the check by difference quotients (gradient_check.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from funkflow.tasks.errors import BadInput
from funkflow.tasks.late import late

if TYPE_CHECKING:
    from scipy import sparse
else:
    sparse = late("scipy.sparse")

Matrix = npt.NDArray[np.floating[Any]]
"""float64 in use; given float32, all is float32 (gradient_check.py shows the loss)."""
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Point:
    """A point of the objective: U (users, k), V (items, k), b_u (users,), b_i (items,), all of one dtype.

    Raises
    ------
    BadInput
        A part is complex.
    """

    user_factors: Matrix
    item_factors: Matrix
    user_biases: Matrix
    item_biases: Matrix

    def __post_init__(self) -> None:
        for name, values in vars(self).items():
            check_real(values, name)


@dataclass(frozen=True)
class Observed:
    """Ratings already centred: users, items : int (n,), rows of U and V; ratings : float (n,).

    Raises
    ------
    BadInput
        The ratings are complex.
    """

    users: Rows
    items: Rows
    ratings: Matrix

    def __post_init__(self) -> None:
        check_real(self.ratings, "ratings")


Gradients = Callable[[Point, Observed, float], Point]
"""The signature of `gradients`: point, ratings, L2."""


def check_real(values: npt.NDArray[Any], name: str) -> None:
    """Raise BadInput for complex values: |e|^2 has no gradient of the form used here."""
    if np.iscomplexobj(values):
        raise BadInput(
            f"{name} of shape {np.shape(values)} are {values.dtype}: only real matrices are factorised; "
            "give real and imaginary parts as two matrices, or their absolute values"
        )


def objective(at: Point, data: Observed, l2: float) -> float:
    """Return J = sum over observed (r, c) of e^2 + l2 (|u_r|^2 + |v_c|^2 + b_r^2 + b_c^2).

    Here e = A_rc - D_rc - b_r - b_c with D = U V^T. The L2 term is counted once a rating, so a row pays l2 times its
    number of ratings.
    """
    of_user, of_item = _counts(at, data)
    penalty = (
        of_user @ (np.sum(at.user_factors**2, axis=1) + at.user_biases**2)
        + of_item @ (np.sum(at.item_factors**2, axis=1) + at.item_biases**2)
    )  # fmt: skip
    return float(np.sum(_rating_errors(at, data) ** 2) + _scalar(l2, at) * penalty)


def gradients(at: Point, data: Observed, l2: float) -> Point:
    """Return dJ/dU, dJ/dV, dJ/db_u, dJ/db_i.

    By the chain rule through D = U V^T, with dJ/dD = -2 e at the observed entries and 0 elsewhere:

        dJ/dU = (dJ/dD) V        dJ/dU_rq = -2 sum over c of e_rc V_cq
        dJ/dV = (dJ/dD)^T U      dJ/dV_cq = -2 sum over r of e_rc U_rq

    so each sums over the *other* index alone. A bias is a factor whose partner is 1. The penalty adds 2 l2 times the
    row for each of its ratings.
    """
    slopes = slope_by_entry(at, data)
    of_user, of_item = (2 * _scalar(l2, at) * counts for counts in _counts(at, data))
    return Point(
        slopes @ at.item_factors + of_user[:, None] * at.user_factors,
        slopes.T @ at.user_factors + of_item[:, None] * at.item_factors,
        slopes.sum(axis=1) + of_user * at.user_biases,
        slopes.sum(axis=0) + of_item * at.item_biases,
    )


def slope_by_entry(at: Point, data: Observed) -> sparse.coo_array:
    """Return dJ/dD without the penalty, (users, items): -2 e at the observed entries, nothing elsewhere."""
    shape = len(at.user_factors), len(at.item_factors)
    return sparse.coo_array((-2 * _rating_errors(at, data), (data.users, data.items)), shape=shape)


def _rating_errors(at: Point, data: Observed) -> Matrix:
    products = np.einsum("nk,nk->n", at.user_factors[data.users], at.item_factors[data.items])
    return np.asarray(data.ratings - products - at.user_biases[data.users] - at.item_biases[data.items])


def _counts(at: Point, data: Observed) -> tuple[Matrix, Matrix]:
    """Return the number of ratings of each user and each item."""
    pairs = ((data.users, at.user_factors), (data.items, at.item_factors))
    of_user, of_item = (np.bincount(rows, minlength=len(factors)).astype(factors.dtype) for rows, factors in pairs)
    return of_user, of_item


def _scalar(value: float, at: Point) -> Any:
    """Return a number in the precision of the point, so that NumPy calculates in it."""
    return at.user_factors.dtype.type(value)
