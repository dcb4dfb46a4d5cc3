"""The canonical form U Σ Vᵀ of a product of two tall factor matrices, without multiplying them out.

Covers: thin QR of both sides, whole or in parts (tall-skinny QR: Benson, Gleich and Demmel 2013), the SVD of the small
core, fixed signs, the balanced form, and checks of matrices.
Does not cover: other results of an SVD (decompositions.py), truncation (low_rank.py, errors_by_rank.py), or tasks
(pipeline/models/canonical_graph.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from funkflow.tasks.errors import BadInput
from funkflow.tasks.model.html_tables import html_table

_NOTEBOOK_ROWS = 10
"""Number of singular values in a notebook."""

Matrix = npt.NDArray[np.float64]
LEAF_ROWS = 16_384
"""Rows of a part that are factorised at once. Measured with 480,189 rows of 64 on two cores: smaller leaves are up to
twice as fast if BLAS has one thread, as in a worker, and three times as slow if it has two and other programs run."""


class Svd(NamedTuple):
    """A = U Σ Vᵀ in the order of `numpy.linalg.svd`: float64 U (n, r), s (r,) falling, Vt (r, m); r = min(n, m, k)."""

    U: Matrix
    s: Matrix
    Vt: Matrix

    def _repr_html_(self) -> str:
        energy = self.s**2 / max(float((self.s**2).sum()), np.finfo(float).tiny)
        shape = f"{self.U.shape[0]:,} x {self.Vt.shape[1]:,}, rank {len(self.s)}"
        rows = zip(range(1, _NOTEBOOK_ROWS + 1), self.s, energy, energy.cumsum(), strict=False)
        more = f"; the strongest {_NOTEBOOK_ROWS} of {len(self.s)}" if len(self.s) > _NOTEBOOK_ROWS else ""
        return html_table(
            f"A = U Σ Vᵀ, {shape}{more}",
            ("", "singular value", "energy", "and all before"),
            ([f"{n}", f"{value:.6g}", f"{part:.1%}", f"{whole:.1%}"] for n, value, part, whole in rows),
        )


@dataclass(frozen=True)
class Rotations:
    """The canonical form of a product of factors, as two small matrices that rotate the factors into it.

    Attributes
    ----------
    values : float64 (r,), singular values, falling.
    users, items : float64 (k, r); factors of users times `users` are U Σ, factors of items times `items` are V Σ.
        (Rotation to U itself would divide by singular values, which may be zero.)
    """

    values: Matrix
    users: Matrix
    items: Matrix

    def item_weights(self, rank: int) -> Matrix:
        """Return W (k, rank): item factors times W are the first columns of V; zero for zero singular values.

        A column of V has an error of eps σ₁ / σ_j; its product with a column of U Σ has one of eps σ₁.
        """
        values = self.values[:rank]
        counted = values > np.finfo(np.float64).eps * len(self.users) * self.values[0]
        return np.where(counted, self.items[:, :rank] / np.where(counted, values, 1.0), 0.0)


@dataclass(frozen=True)
class Core:
    """The SVD of the small core R_u R_vᵀ of two sides in parts.

    Attributes
    ----------
    rotations : the canonical form.
    users, items : for each part float64 (rows of its R, r); `apply_q` makes the part's rows of U or V of it.
    """

    rotations: Rotations
    users: list[Matrix]
    items: list[Matrix]

    def signed(self, signs: Matrix) -> Core:
        """Return the core with columns times `signs`, (r,) of 1 and -1."""
        form = self.rotations
        return Core(
            Rotations(form.values, form.users * signs, form.items * signs),
            [turn * signs for turn in self.users],
            [turn * signs for turn in self.items],
        )


def real_matrix(what: str, matrix: Any) -> Matrix:
    """Return a matrix as float64.

    Raises
    ------
    BadInput
        It is complex, not finite, or not two-dimensional; `what` names it.
    """
    refuse_complex_arrays(**{what: matrix})
    given = np.asarray(matrix)
    if given.ndim != 2:
        raise BadInput(f"{what}: an array of shape {given.shape} is no matrix; give rows of factors")
    real = given.astype(np.float64, copy=False)
    if not np.isfinite(real).all():
        row, column = np.argwhere(~np.isfinite(real))[0]
        raise BadInput(f"{what}: {real[row, column]} in row {row}, column {column}; train again with a smaller step")
    return real


def refuse_complex_arrays(**arrays: Any) -> None:
    """Raise BadInput for an array of complex numbers, by its name."""
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
    """Return R of the thin QR of one part of a side, float64 (min(rows, k), k)."""
    leaves = [np.linalg.qr(leaf, mode="r") for leaf in _leaves(real_matrix(what, factors))]
    return np.asarray(leaves[0] if len(leaves) == 1 else np.linalg.qr(np.concatenate(leaves), mode="r"))


def apply_q(factors: Any, rotation: Matrix, what: str = "factors") -> Matrix:
    """Return Q · rotation for the Q of `qr_r`: float64 (rows, columns of rotation).

    No process holds Q itself, which is as large as the factors.
    """
    return np.concatenate(list(_pieces_of_q(factors, rotation, what)))


def largest_of_q(factors: Any, rotation: Matrix, what: str = "factors") -> Matrix:
    """Return the `largest_entries` of the result of `apply_q`, of which it makes only a piece at a time."""
    return largest_entries(np.stack([largest_entries(piece) for piece in _pieces_of_q(factors, rotation, what)]))


def _pieces_of_q(factors: Any, rotation: Matrix, what: str) -> Iterator[Matrix]:
    leaves = _leaves(real_matrix(what, factors))
    rotations = [rotation]
    if len(leaves) > 1:
        frame = np.linalg.qr(np.concatenate([np.linalg.qr(leaf, mode="r") for leaf in leaves]))[0] @ rotation
        rotations = np.split(frame, np.cumsum([min(leaf.shape) for leaf in leaves])[:-1])
    for leaf, each in zip(leaves, rotations, strict=True):
        yield np.asarray(np.linalg.qr(leaf)[0] @ each)


def _leaves(matrix: Matrix) -> list[Matrix]:
    """Cut rows to pieces whose QR stays in the cache; a second QR joins them."""
    return [matrix[start : start + LEAF_ROWS] for start in range(0, max(len(matrix), 1), LEAF_ROWS)]


def combine_r(user_triangles: Sequence[Matrix], item_triangles: Sequence[Matrix]) -> Core:
    """Return the SVD of the core of two sides in parts, given R of each; `signs_of` has the signs that are wanted.

    This is the second level of the tall-skinny QR: it factorises the stacked R of the parts of each side.

    Raises
    ------
    BadInput
        The product of the sides is a matrix of zeros.
    """
    (user_frame, users), (item_frame, items) = (
        np.linalg.qr(np.concatenate(triangles)) for triangles in (user_triangles, item_triangles)
    )
    user_turn, values, turned = np.linalg.svd(users @ items.T, full_matrices=False)
    rounding = np.finfo(np.float64).eps * users.shape[1]
    if not len(values) or values[0] <= rounding * np.linalg.norm(users) * np.linalg.norm(items):
        raise BadInput("the factors multiply to a matrix of zeros, which has no directions; train a model first")
    return Core(
        Rotations(values, items.T @ turned.T, users.T @ user_turn),
        _split(user_frame @ user_turn, user_triangles),
        _split(item_frame @ turned.T, item_triangles),
    )


def _split(rows: Matrix, triangles: Sequence[Matrix]) -> list[Matrix]:
    return np.split(rows, np.cumsum([len(each) for each in triangles])[:-1])


def largest_entries(vectors: Matrix) -> Matrix:
    """Return the entry of largest size of each column, the first of equals, float64 (r,); 0 without rows."""
    if not len(vectors):
        return np.zeros(vectors.shape[1])
    return np.asarray(vectors[np.argmax(np.abs(vectors), axis=0), np.arange(vectors.shape[1])])


def signs_of(largest: Sequence[Matrix]) -> Matrix:
    """Return the signs, (r,), by which the largest entry of each column of V becomes positive.

    largest : `largest_entries` of each part of V, in order.
    """
    return np.where(largest_entries(np.stack(largest)) < 0, -1.0, 1.0)


def canonical_items(users: Any, items: Any) -> tuple[Core, Matrix]:
    """Return the core of users · itemsᵀ, each a single part, and V, float64 (m, r)."""
    core = combine_r([qr_r(users, "user factors")], [qr_r(items, "item factors")])
    vectors = apply_q(items, core.items[0])
    signs = signs_of([largest_entries(vectors)])
    return core.signed(signs), vectors * signs


def canonical_form(users: Any, items: Any) -> Svd:
    """Return the SVD of users · itemsᵀ without forming the product, in O((n + m) k²) operations.

    Parameters
    ----------
    users, items : (n, k), (m, k), real.

    Raises
    ------
    BadInput
        Values are complex or infinite, the ranks of the sides differ, or the product is zero.
    """
    users, items = real_matrix("user factors", users), real_matrix("item factors", items)
    if users.shape[1] != items.shape[1]:
        raise BadInput(
            f"user factors have rank {users.shape[1]}, item factors {items.shape[1]}; give both of one model"
        )
    core, vectors = canonical_items(users, items)
    return Svd(apply_q(users, core.users[0]), core.rotations.values, vectors.T)


def balance(svd: Svd) -> tuple[Matrix, Matrix]:
    """Return Û = U Σ^½ (n, r) and V̂ = V Σ^½ (m, r): both sides have the same weight, and Û V̂ᵀ = U Σ Vᵀ."""
    roots = np.sqrt(svd.s)
    return svd.U * roots, svd.Vt.T * roots


def check_rank(rank: int | None, most: int) -> int:
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
