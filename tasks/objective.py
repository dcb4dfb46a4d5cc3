"""The objective and its gradients, in float64, as they stand in the book: what the kernels descend.

Covers: J, and dJ/dU, dJ/dV, dJ/db_u, dJ/db_i over a list of observed ratings, through D = U V^T.
Does not cover: anything fast; kernels.py takes these gradients one rating at a time, with the factor 2 absorbed in the
step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Point:
    """Where the objective is looked at: U (users, k), V (items, k), b_u (users,), b_i (items,), all float64."""

    user_factors: Matrix
    item_factors: Matrix
    user_biases: Matrix
    item_biases: Matrix


@dataclass(frozen=True)
class Observed:
    """Ratings already centred: users, items : int (n,), rows of U and V; ratings : float64 (n,)."""

    users: npt.NDArray[np.int64]
    items: npt.NDArray[np.int64]
    ratings: Matrix


def objective(at: Point, data: Observed, l2: float) -> float:
    """Return J = sum over observed (r, c) of e^2 + l2 (|u_r|^2 + |v_c|^2 + b_r^2 + b_c^2).

    Here e = A_rc - b_r - b_c - <u_r, v_c>. The L2 term is counted once a rating, so a row pays l2 times its number of
    ratings.
    """
    error = _errors(at, data)
    penalty = sum(np.sum(values[rows] ** 2) for values, rows in _parts(at, data))
    return float(np.sum(error**2) + l2 * penalty)


def gradients(at: Point, data: Observed, l2: float) -> Point:
    """Return dJ/dU, dJ/dV, dJ/db_u, dJ/db_i.

    With D = U V^T, dJ/dD is -2 e at the observed cells and 0 elsewhere, and the chain rule gives
    dJ/dU = (dJ/dD) V and dJ/dV = (dJ/dD)^T U: dJ/dU_rq = -2 sum over c of e_rc V_cq, a sum over the *other* index
    alone. The penalty adds 2 l2 times the row for each of its ratings.
    """
    by_cell = -2.0 * _errors(at, data)
    slopes = [np.zeros_like(values) for values, _ in _parts(at, data)]
    chained = (
        by_cell[:, None] * at.item_factors[data.items],
        by_cell[:, None] * at.user_factors[data.users],
        by_cell,
        by_cell,
    )
    for slope, through_cell, (values, rows) in zip(slopes, chained, _parts(at, data), strict=True):
        np.add.at(slope, rows, through_cell + 2.0 * l2 * values[rows])
    return Point(*slopes)


def _errors(at: Point, data: Observed) -> Matrix:
    products = np.einsum("nk,nk->n", at.user_factors[data.users], at.item_factors[data.items])
    return np.asarray(
        data.ratings - at.user_biases[data.users] - at.item_biases[data.items] - products, dtype=np.float64
    )


def _parts(at: Point, data: Observed) -> tuple[tuple[Matrix, npt.NDArray[np.int64]], ...]:
    return (
        (at.user_factors, data.users),
        (at.item_factors, data.items),
        (at.user_biases, data.users),
        (at.item_biases, data.items),
    )
