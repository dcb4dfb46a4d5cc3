"""Results derived from any SVD: eigenpairs of AAᵀ and AᵀA, principal components, the Moore–Penrose pseudo-inverse.

Covers: all three from U, s, Vt alone, without forming A, AAᵀ, AᵀA or A⁺.
Does not cover: the SVD itself (canonical.py). The rows of A are users; with items as rows AAᵀ and AᵀA swap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.sparse.linalg import LinearOperator

from funkflow.tasks.errors import BadInput
from funkflow.tasks.model.canonical import Matrix, Svd, canonical_form


@dataclass(frozen=True)
class Eigenpairs:
    """The r eigenvalues of AAᵀ or AᵀA that may differ from zero, and their eigenvectors.

    `values` : float64 (r,), falling; `vectors` : float64 (rows, r), orthonormal columns; `of` : the name of A.
    """

    values: Matrix
    vectors: Matrix
    of: str


@dataclass(frozen=True)
class PrincipalComponents:
    """PCA of a matrix with users as observations and items as variables, centred by item.

    Attributes
    ----------
    components : float64 (r, m), orthonormal rows, the strongest first.
    explained_variance : float64 (r,), variance of each component, with the divisor n - 1.
    explained_variance_ratio : float64 (r,), its part of the total variance of the items.
    mean : float64 (m,), mean of each item.
    scores : float64 (n, r), coordinates of the centred users.
    of : the name of the matrix.
    """

    components: Matrix
    explained_variance: Matrix
    explained_variance_ratio: Matrix
    mean: Matrix
    scores: Matrix
    of: str


def eigenpairs(svd: Svd, side: Literal["users", "items"], of: str = "A") -> Eigenpairs:
    """Return eigenpairs of AAᵀ (side "users") or AᵀA ("items"): σ² with the columns of U or of V.

    Raises
    ------
    BadInput
        `side` is neither.
    """
    if side not in ("users", "items"):
        raise BadInput(f'eigenpairs: side {side!r}; give "users" for those of AAᵀ or "items" for those of AᵀA')
    return Eigenpairs(svd.s**2, svd.U if side == "users" else svd.Vt.T, of)


def principal_components(svd: Svd, of: str = "A") -> PrincipalComponents:
    """Return the PCA of A. Centring changes U Σ alone: A − 1 aᵀ = (U Σ − 1 uᵀ) Vᵀ, with the means a = V u.

    Raises
    ------
    BadInput
        There are fewer than two rows, or all rows are equal.
    """
    rows = len(svd.U)
    if rows < 2:
        raise BadInput(f"principal components: {rows} user; a variance needs at least 2")
    scaled = svd.U * svd.s
    means = scaled.mean(axis=0)
    centred = scaled - means
    if np.abs(centred).max() <= np.finfo(np.float64).eps * rows * svd.s[0]:
        raise BadInput("principal components: all users are equal, so the centred matrix is zero; nothing varies")
    rotated = canonical_form(centred, svd.Vt.T)
    variance = rotated.s**2 / (rows - 1)
    return PrincipalComponents(
        components=rotated.Vt, explained_variance=variance, explained_variance_ratio=variance / variance.sum(),
        mean=means @ svd.Vt, scores=rotated.U * rotated.s, of=of,
    )  # fmt: skip


class PseudoInverse(LinearOperator):
    """A⁺ = V Σ⁺ Uᵀ of shape (m, n), as an operator; Σ⁺ holds the reciprocals of the singular values above the cutoff.

    Attributes
    ----------
    kept : number of singular values above `rcond` times the greatest.
    of : the name of A.

    `@` takes vectors (n,) and matrices (n, j); `.T` and `.H` are the pseudo-inverse of Aᵀ.
    """

    def __init__(self, svd: Svd, rcond: float | None = None, of: str = "A") -> None:
        shape = (svd.Vt.shape[1], svd.U.shape[0])
        super().__init__(np.dtype(np.float64), shape)  # type: ignore[call-arg]  # the stubs lack this signature
        cutoff = svd.s.max(initial=0.0) * (max(shape) * np.finfo(np.float64).eps if rcond is None else rcond)
        counted = svd.s > cutoff
        self.kept, self.of = int(counted.sum()), of
        self._left = svd.Vt.T[:, counted] / svd.s[counted]
        self._right = svd.U[:, counted].T

    def _matmat(self, X: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.asarray(self._left @ (self._right @ X))

    def _matvec(self, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return self._matmat(x)

    def _rmatmat(self, X: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.asarray(self._right.T @ (self._left.T @ X))

    def _rmatvec(self, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return self._rmatmat(x)


def pseudo_inverse(svd: Svd, rcond: float | None = None, of: str = "A") -> PseudoInverse:
    """Return A⁺ as an operator.

    Parameters
    ----------
    rcond : singular values up to `rcond` times the greatest count as zero, as in `numpy.linalg.pinv`; None: the greater
        dimension of A times the machine epsilon of float64.

    Raises
    ------
    BadInput
        `rcond` is not between 0 and 1.
    """
    if rcond is not None and not 0 <= rcond < 1:
        raise BadInput(f"pseudo_inverse: rcond {rcond}; give a part of the greatest singular value, 0 to below 1")
    return PseudoInverse(svd, rcond, of)
