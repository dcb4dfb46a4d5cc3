"""The linear algebra of a model: its SVD, results derived from it, and predictions with fewer factors.

Covers: `Algebra`, the methods of `Model` on matrices. Every result names its matrix: U Vᵀ, or the model with its
biases folded in; never the clipped predictions, which do not have low rank.
Does not cover: the computations (canonical.py, decompositions.py, low_rank.py), or a model too large for one machine's
memory (pipeline/stages/spectrum.py, pipeline/stages/reconstruct.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from funkflow.tasks.errors import BadInput
from funkflow.tasks.late import late
from funkflow.tasks.model.canonical import (
    Matrix,
    Rotations,
    Svd,
    balance,
    canonical_form,
    check_rank,
    combine_r,
    qr_r,
    with_biases,
)
from funkflow.tasks.model.low_rank import low_rank_items
from funkflow.tasks.model.parts import Rows
from funkflow.tasks.transform import Transform

if TYPE_CHECKING:
    from funkflow.tasks.model import decompositions
else:  # its linear operators are those of SciPy, which loads slowly
    decompositions = late("funkflow.tasks.model.decompositions")

PRODUCT = "U Vᵀ"
WHOLE = "µ + b_u + b_i + U Vᵀ, unclipped"


class Factored(Protocol):
    """The attributes that `Algebra` needs; `Model` describes them."""

    @property
    def mean(self) -> float: ...
    @property
    def scale(self) -> tuple[float, float] | None: ...
    @property
    def user_biases(self) -> npt.NDArray[np.float32]: ...
    @property
    def item_biases(self) -> npt.NDArray[np.float32]: ...
    @property
    def user_factors(self) -> npt.NDArray[np.float32]: ...
    @property
    def item_factors(self) -> npt.NDArray[np.float32]: ...
    @property
    def rank(self) -> int: ...
    @property
    def transform(self) -> Transform: ...
    def svd(self, fold_biases: bool = ...) -> Svd: ...
    def known_rows(self, ids: Any, side: Literal["users", "items"]) -> npt.NDArray[np.intp] | slice: ...


class Algebra:
    """Methods of `Model`. Each computes from the factors at every call; `svd` at Netflix sizes takes some seconds."""

    def svd(self: Factored, fold_biases: bool = False) -> Svd:
        """Return the SVD of U Vᵀ, or of the whole model, in the order of `numpy.linalg.svd`, float64.

        Parameters
        ----------
        fold_biases : decompose µ + b_u + b_i + U Vᵀ, of rank k + 2, instead of U Vᵀ.

        Returns
        -------
        U (n, r), s (r,), Vt (r, m), r = min(n, m, k or k + 2); the largest entry of each row of Vt is positive.

        Raises
        ------
        BadInput
            The matrix is zero, complex or not finite.
        """
        if not fold_biases:
            return canonical_form(self.user_factors, self.item_factors)
        return canonical_form(
            with_biases(self.user_factors, self.user_biases, self.mean, "user"),
            with_biases(self.item_factors, self.item_biases, self.mean, "item"),
        )

    def balanced(self: Factored, fold_biases: bool = False) -> tuple[Matrix, Matrix]:
        """Return Û = U Σ^½ (n, r) and V̂ = V Σ^½ (m, r) of `svd`.

        Parameters
        ----------
        fold_biases : as for `svd`.
        """
        return balance(self.svd(fold_biases))

    def eigenpairs(
        self: Factored, side: Literal["users", "items"], fold_biases: bool = False
    ) -> decompositions.Eigenpairs:
        """Return eigenvalues and eigenvectors of AAᵀ (side "users") or AᵀA ("items"); `of` names A.

        Parameters
        ----------
        side : of A that the vectors belong to.
        fold_biases : as for `svd`.
        """
        return decompositions.eigenpairs(self.svd(fold_biases), side, matrix_name(fold_biases))

    def principal_components(self: Factored, fold_biases: bool = False) -> decompositions.PrincipalComponents:
        """Return the PCA of A with users as observations, centred by item; `of` names A.

        Parameters
        ----------
        fold_biases : as for `svd`.
        """
        return decompositions.principal_components(self.svd(fold_biases), matrix_name(fold_biases))

    def pseudo_inverse(
        self: Factored, rcond: float | None = None, fold_biases: bool = False
    ) -> decompositions.PseudoInverse:
        """Return A⁺ (m, n) as a `scipy.sparse.linalg.LinearOperator`; `of` names A.

        Factors are float32, so singular values that should be zero are some 1e-8 of the greatest. Give an `rcond` above
        that for a matrix of less than full rank.

        Parameters
        ----------
        rcond : singular values up to this part of the greatest count as zero, as in `numpy.linalg.pinv`.
        fold_biases : as for `svd`.
        """
        return decompositions.pseudo_inverse(self.svd(fold_biases), rcond, matrix_name(fold_biases))

    def reconstruct(
        self: Factored, users: Any = None, items: Any = None, rank: int | None = None, clip: bool = True,
        cells: bool = False,
    ) -> npt.NDArray[np.float64]:  # fmt: skip
        """Return part of A_ρ = µ + b_u + b_i + U_ρ Σ_ρ V_ρᵀ, the model with its ρ strongest factors.

        Parameters
        ----------
        users, items : array-like of raw ids; None: all, in the order of `user_ids` and `item_ids`.
        rank : ρ, from 0 (bias baseline) to k; None: k.
        clip : clip to the model's scale.
        cells : pair the j-th user with the j-th item, instead of all users with all items.

        Returns
        -------
        float64 (users, items), or (n,) for cells; in rating units.

        Raises
        ------
        BadInput
            An id is unknown, the rank is above the model's, or the numbers of users and items of cells differ.
        """
        kept = check_rank(rank, self.rank)
        user_rows, item_rows = self.known_rows(users, "users"), self.known_rows(items, "items")
        side = low_rank_items(
            Rows(self.item_biases, self.item_factors), self.mean, self.scale if clip else None,
            _rotations(self) if kept < self.rank else None, kept, transform=self.transform,
        ).take(item_rows)  # fmt: skip
        factors, biases = self.user_factors[user_rows], self.user_biases[user_rows]
        if not cells:
            return np.asarray(side.block(factors, biases), dtype=np.float64)
        if len(biases) != len(side.biases):
            raise BadInput(f"reconstruct: {len(biases)} users but {len(side.biases)} items; give a pair for each cell")
        return np.asarray(side.cells(factors, biases), dtype=np.float64)


def matrix_name(fold_biases: bool) -> str:
    """Return the name of the matrix of a result."""
    return WHOLE if fold_biases else PRODUCT


def _rotations(model: Factored) -> Rotations:
    users, items = qr_r(model.user_factors, "user factors"), qr_r(model.item_factors, "item factors")
    return combine_r([users], [items]).rotations
