"""The canonical form U Σ Vᵀ of a product of two tall factor matrices, which is never multiplied out.

Covers: thin QR of both sides, whole or in parts (tall-skinny QR: Benson, Gleich and Demmel 2013), the SVD of the small
core, fixed signs, the balanced form, and what is wanted of a matrix before any of this.
Does not cover: what else follows from an SVD (decompositions.py), truncation (low_rank.py, errors_by_rank.py), or which
task sees which part (pipeline/models/canonical_graph.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from funkflow.tasks.errors import BadInput
from funkflow.tasks.model.html_tables import html_table

_SHOWN = 10
"""Singular values that a notebook shows."""

Matrix = npt.NDArray[np.float64]
_LEAF_ROWS = 16_384
"""Measured with 480,189 rows of 64 on two cores: smaller leaves are up to twice as fast where the linear algebra has
one thread, as in a worker, and three times as slow where it has two and other programs are at work."""


class Svd(NamedTuple):
    """A = U Σ Vᵀ as `numpy.linalg.svd` orders it: float64 U (n, r), s (r,) falling, Vt (r, m); r = min(n, m, k)."""

    U: Matrix
    s: Matrix
    Vt: Matrix

    def _repr_html_(self) -> str:
        energy = self.s**2 / max(float((self.s**2).sum()), np.finfo(float).tiny)
        shape = f"{self.U.shape[0]:,} x {self.Vt.shape[1]:,}, rank {len(self.s)}"
        rows = zip(range(1, _SHOWN + 1), self.s, energy, energy.cumsum(), strict=False)
        more = f"; the strongest {_SHOWN} of {len(self.s)}" if len(self.s) > _SHOWN else ""
        return html_table(
            f"A = U Σ Vᵀ, {shape}{more}",
            ("", "singular value", "energy", "and all before"),
            ([f"{n}", f"{value:.6g}", f"{part:.1%}", f"{whole:.1%}"] for n, value, part, whole in rows),
        )


@dataclass(frozen=True)
class Rotations:
    """The canonical form of a product of factors, as two small matrices that turn the factors into it.

    Attributes
    ----------
    values : float64 (r,), singular values, falling.
    users, items : float64 (k, r); factors of users times `users` are U Σ, factors of items times `items` are V Σ.
        (Turning to U itself would divide by singular values, which may be zero.)
    """

    values: Matrix
    users: Matrix
    items: Matrix

    def item_weights(self, rank: int) -> Matrix:
        """Return W (k, rank): item factors times W are the first columns of V; zero where the singular value is.

        A column of V is wrong by eps σ₁ / σ_j, and is multiplied by one of U Σ, so that products are wrong by eps σ₁.
        """
        values = self.values[:rank]
        counted = values > np.finfo(np.float64).eps * len(self.users) * self.values[0]
        return np.where(counted, self.items[:, :rank] / np.where(counted, values, 1.0), 0.0)


@dataclass(frozen=True)
class Core:
    """The SVD of the small core: `user_turn` (rows of the user side's R, r) and the item side's vectors V (m, r)."""

    rotations: Rotations
    user_turn: Matrix
    item_vectors: Matrix


def real_matrix(what: str, matrix: Any) -> Matrix:
    """Return a matrix as float64.

    Raises
    ------
    BadInput
        It is complex, not of two dimensions, or not finite; `what` names it.
    """
    refuse_complex(**{what: matrix})
    given = np.asarray(matrix)
    if given.ndim != 2:
        raise BadInput(f"{what}: shape {given.shape} is not that of a matrix; give rows of factors")
    real = given.astype(np.float64)
    if not np.isfinite(real).all():
        row, column = np.argwhere(~np.isfinite(real))[0]
        raise BadInput(f"{what}: {real[row, column]} in row {row}, column {column}; train again with a smaller step")
    return real


def refuse_complex(**arrays: Any) -> None:
    """Raise BadInput, with its name, for an array of complex numbers."""
    for name, array in arrays.items():
        if np.iscomplexobj(array):
            raise BadInput(f"{name}: complex values; only real matrices are factorised, give their real part")


def with_biases(factors: Any, biases: Any, mean: float, side: str) -> Matrix:
    """Return factors with two more columns, so that their product is µ + b_u + b_i + U Vᵀ.

    Users get (µ + b_u, 1), items (1, b_i): float64 (rows, k + 2).
    """
    wide, one = real_matrix(f"{side} factors", factors), np.ones(len(biases))
    column = np.asarray(biases, dtype=np.float64)
    return np.column_stack([wide, *([column + mean, one] if side == "user" else [one, column])])


def qr_r(factors: Any, what: str = "factors") -> Matrix:
    """Return R of the thin QR of one part of a side: float64 (min(rows, k), k)."""
    leaves = [np.linalg.qr(leaf, mode="r") for leaf in _leaves(real_matrix(what, factors))]
    return np.asarray(leaves[0] if len(leaves) == 1 else np.linalg.qr(np.concatenate(leaves), mode="r"))


def apply_q(factors: Any, turn: Matrix, what: str = "factors") -> Matrix:
    """Return Q · turn with the Q that goes with `triangle`: float64 (rows, columns of turn).

    Q itself is never held: it would be as large as the factors once more.
    """
    leaves = _leaves(real_matrix(what, factors))
    if len(leaves) == 1:
        return np.asarray(np.linalg.qr(leaves[0])[0] @ turn)
    frame = np.linalg.qr(np.concatenate([np.linalg.qr(leaf, mode="r") for leaf in leaves]))[0] @ turn
    ends = np.cumsum([min(leaf.shape) for leaf in leaves])[:-1]
    turns = np.split(frame, ends)
    return np.concatenate([np.linalg.qr(leaf)[0] @ each for leaf, each in zip(leaves, turns, strict=True)])


def _leaves(matrix: Matrix) -> list[Matrix]:
    """Cut rows to pieces whose QR stays in the cache; a second QR joins them."""
    return [matrix[start : start + _LEAF_ROWS] for start in range(0, max(len(matrix), 1), _LEAF_ROWS)]


def core_of(user_triangle: Matrix, items: Any) -> Core:
    """Return the SVD of R_u R_vᵀ, with R_v from the QR of the item factors.

    The sign of each column is such that the entry of V of largest size, the first of equals, is positive.

    Parameters
    ----------
    user_triangle : float64 (p, k), R of the user factors.
    items : (m, k) item factors.

    Raises
    ------
    BadInput
        The product is a matrix of zeros.
    """
    item_frame, item_triangle = np.linalg.qr(real_matrix("item factors", items))
    user_turn, values, turned = np.linalg.svd(user_triangle @ item_triangle.T, full_matrices=False)
    rounding = np.finfo(np.float64).eps * user_triangle.shape[1]
    if not len(values) or values[0] <= rounding * np.linalg.norm(user_triangle) * np.linalg.norm(item_triangle):
        raise BadInput("the factors multiply to a matrix of zeros, which has no directions; train a model first")
    item_vectors = item_frame @ turned.T
    largest = item_vectors[np.argmax(np.abs(item_vectors), axis=0), np.arange(len(values))]
    signs = np.where(largest < 0, -1.0, 1.0)
    user_turn, item_turn = user_turn * signs, turned.T * signs
    rotations = Rotations(values, item_triangle.T @ item_turn, user_triangle.T @ user_turn)
    return Core(rotations, user_turn, item_vectors * signs)


def combine_r(triangles: Sequence[Matrix], items: Any) -> tuple[Core, list[Matrix]]:
    """Return the core for a user side in parts, and for each part what `apply_q` takes to give its rows of U.

    The second level of the tall-skinny QR: the parts' triangles, stacked, are factorised once more.
    """
    frame, whole = np.linalg.qr(np.concatenate(triangles))
    core = core_of(whole, items)
    ends = np.cumsum([len(each) for each in triangles])[:-1]
    return core, np.split(frame @ core.user_turn, ends)


def canonical_form(users: Any, items: Any) -> Svd:
    """Return the SVD of users · itemsᵀ without forming it: O((n + m) k²) operations.

    Parameters
    ----------
    users, items : (n, k), (m, k), real.

    Raises
    ------
    BadInput
        Complex or infinite values, factors that do not go together, or a product of zeros.
    """
    users, items = real_matrix("user factors", users), real_matrix("item factors", items)
    if users.shape[1] != items.shape[1]:
        raise BadInput(
            f"user factors have rank {users.shape[1]}, item factors {items.shape[1]}; give both of one model"
        )
    core = core_of(qr_r(users), items)
    return Svd(apply_q(users, core.user_turn), core.rotations.values, core.item_vectors.T)


def balanced(svd: Svd) -> tuple[Matrix, Matrix]:
    """Return Û = U Σ^½ (n, r) and V̂ = V Σ^½ (m, r): both sides carry the same, and Û V̂ᵀ = U Σ Vᵀ."""
    roots = np.sqrt(svd.s)
    return svd.U * roots, svd.Vt.T * roots


def chosen_rank(rank: int | None, most: int) -> int:
    """Return the rank to truncate to; None: all.

    Raises
    ------
    BadInput
        It is not between 0 and `most`.
    """
    if rank is None:
        return most
    if isinstance(rank, bool) or int(rank) != rank or not 0 <= rank <= most:
        raise BadInput(f"rank {rank}: this model has rank {most}; give a whole number from 0 to {most}")
    return int(rank)
