"""The standard methods for the leading singular values and vectors of a matrix, from its products alone.

Covers: Lanczos and Arnoldi (ARPACK, through SciPy), power iteration with Gram-Schmidt deflation, and their common
checks.
Does not cover: the products (tasks/grid/block_products.py, pipeline/training/methods/sparse_operator.py), the
randomised method, which is Dask's (pipeline/training/methods/standard_svd.py).

They decompose the matrix with missing entries as zero. The gradient methods have another objective, over the observed
entries alone: here a film without ratings is a film that everybody rated with zero.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigs, svds

from funkflow.tasks.errors import BadInput, NotConverged, SettingsError

Matrix = npt.NDArray[np.float64]

_RESTARTS = _POWER_ITERATIONS = 1_000
"""Default of `train.iterations`."""
_REAL_PART = 1e-8
"""An imaginary part of an eigenvalue of A^T A up to this part of the greatest eigenvalue is rounding."""
_NOTHING_LEFT = 1e-12
"""A vector shorter than this part of the greatest eigenvalue is rounding: the matrix has no further rank."""


@dataclass(frozen=True)
class Decomposition:
    """A ≈ left diag(values) right^T, values descending; `reason` : for stopping.

    left : float64 (m, k); values : float64 (k,); right : float64 (n, k).
    """

    left: Matrix
    values: Matrix
    right: Matrix
    reason: str
    limit_reached: bool = False


class Gram(LinearOperator):
    """A^T A, or A A^T if that is smaller: symmetric, of the shorter side of `matrix`.

    A matrix can have a method `gram_product` for A^T A X at once.
    """

    def __init__(self, matrix: LinearOperator) -> None:
        self.tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
        self.own: Callable[[Matrix], Matrix] | None = getattr(self.tall, "gram_product", None)
        super().__init__(np.float64, (self.tall.shape[1],) * 2)  # type: ignore[call-arg]  # SciPy's types miss it

    def _matvec(self, given: Matrix) -> Matrix:
        return self._matmat(given.reshape(-1, 1))[:, 0]

    def _matmat(self, given: Matrix) -> Matrix:
        return self.own(given) if self.own else self.tall.rmatmat(self.tall.matmat(given))

    def _adjoint(self) -> Gram:
        return self


def refuse_what_has_none(method: str, matrix: LinearOperator, rank: int, norm: float) -> None:
    """Raise if a matrix lacks such singular values.

    Parameters
    ----------
    norm : of the matrix, the root of its summed squares.

    Raises
    ------
    SettingsError
        The rank is above the limit of the method for a matrix of that shape.
    BadInput
        The matrix is complex, not finite, or zero.
    """
    shorter = min(matrix.shape)
    most = shorter - {"lanczos": 1, "arnoldi": 2}.get(method, 0)
    if np.issubdtype(matrix.dtype, np.complexfloating):
        raise BadInput(f"a matrix of {matrix.dtype}: only real matrices are factorised; give real ratings")
    if rank > most:
        raise SettingsError(
            f"train.rank = {rank}: {method} finds at most {most} singular values of a matrix of "
            f"{matrix.shape[0]:,} x {matrix.shape[1]:,}; lower train.rank, or take another train.method"
        )
    if not np.isfinite(norm):
        raise BadInput(f"the matrix is not finite (norm {norm:g}); check the ratings column")
    if norm == 0.0:
        raise BadInput(
            "every entry of the matrix is zero, so it has no singular values to find; "
            "check the ratings column, or set train.biases and train.center to false to remove nothing"
        )


def lanczos(matrix: LinearOperator, rank: int, seed: int, tolerance: float, iterations: int | None) -> Decomposition:
    """Find singular values by ARPACK's implicitly restarted Lanczos method on A^T A (Lehoucq 1998): SciPy's `svds`.

    Parameters
    ----------
    tolerance : relative accuracy of a singular value; iterations : restarts at most.

    Raises
    ------
    NotConverged
        Fewer than `rank` singular values converged.
    """
    rng, restarts = _generator(seed), iterations or _RESTARTS
    start = rng.standard_normal(min(matrix.shape))
    try:
        left, values, right = svds(matrix, rank, tol=tolerance, v0=start, maxiter=restarts, rng=rng)
    except ArpackNoConvergence as cause:
        raise _not_converged("lanczos", cause, rank, tolerance, restarts) from cause
    order = np.argsort(-values, kind="stable")
    reason = f"all {rank} singular values converged to {tolerance:g}"
    return Decomposition(left[:, order], values[order].astype(np.float64), right[order].T, reason)


def arnoldi(matrix: LinearOperator, rank: int, seed: int, tolerance: float, iterations: int | None) -> Decomposition:
    """Find eigenvectors of A^T A by ARPACK's implicitly restarted Arnoldi method, SciPy's `eigs`, and U from them.

    It does not use the symmetry of A^T A, as Lanczos does.

    Raises
    ------
    NotConverged
        Fewer than `rank` eigenvalues converged, or they are not real.
    """
    gram, rng, restarts = Gram(matrix), _generator(seed), iterations or _RESTARTS
    start = rng.standard_normal(gram.shape[0])
    try:
        values, vectors = eigs(gram, rank, tol=tolerance**2, v0=start, maxiter=restarts, rng=rng)
    except ArpackNoConvergence as cause:
        raise _not_converged("arnoldi", cause, rank, tolerance, restarts) from cause
    greatest = float(np.max(np.abs(values)))
    if float(np.max(np.abs(values.imag))) > _REAL_PART * greatest:
        worst = values[np.argmax(np.abs(values.imag))]
        raise NotConverged(
            f"train.method = arnoldi: an eigenvalue of A^T A came out complex ({worst:g}), and those of a real matrix "
            "are real; lower train.tolerance, or set train.method = lanczos"
        )
    # Two equal eigenvalues can have a pair a +- bi of vectors: a and b span the same plane.
    basis = np.where(values.imag >= 0.0, vectors.real, vectors.imag)
    reason = f"all {rank} eigenvalues converged to {tolerance**2:g}"
    return _from_basis(matrix, np.linalg.qr(basis)[0], reason)


def power(matrix: LinearOperator, rank: int, seed: int, tolerance: float, iterations: int | None) -> Decomposition:
    """Find eigenvectors of A^T A one after another: v <- A^T A v / |A^T A v|, orthogonal to the earlier ones.

    v converges to the eigenvector of the greatest remaining eigenvalue, by the ratio of the next one to it in each
    iteration; Gram-Schmidt, twice against rounding, removes the earlier eigenvectors (deflation). The iteration ends
    when |A^T A v - lambda v| <= tolerance * sigma_1 * sigma, which keeps the error of sigma = sqrt(lambda) below
    tolerance * sigma_1; when lambda is zero; or at its limit.

    Parameters
    ----------
    tolerance : see above; iterations : for each eigenvector at most.
    """
    gram, rng, limit = Gram(matrix), _generator(seed), iterations or _POWER_ITERATIONS
    basis = np.zeros((gram.shape[0], 0))
    greatest, unfinished, worst, most = 0.0, 0, 0.0, 0
    for _ in range(rank):
        vector = _orthogonal(rng.standard_normal(gram.shape[0]), basis)
        for iteration in range(1, limit + 1):
            vector /= np.linalg.norm(vector)
            image = _orthogonal(gram.matvec(vector), basis)
            eigenvalue = float(vector @ image)
            greatest = max(greatest, eigenvalue)
            residual = float(np.linalg.norm(image - eigenvalue * vector))
            allowed = tolerance * np.sqrt(greatest * max(eigenvalue, 0.0))
            most, is_null = max(most, iteration), eigenvalue <= _NOTHING_LEFT * greatest
            if residual <= allowed or is_null:
                break
            vector = image
        else:
            unfinished, worst = unfinished + 1, max(worst, tolerance * residual / allowed)
        basis = np.column_stack([basis, vector / np.linalg.norm(vector)])
        if is_null:
            basis = np.linalg.qr(np.column_stack([basis, rng.standard_normal((len(basis), rank - basis.shape[1]))]))[0]
            break
    reason = f"residuals of all {rank} eigenvectors fell to {tolerance:g}, after {most} iterations at most"
    if unfinished:
        reason = (
            f"{unfinished} of {rank} eigenvectors reached the limit of {limit} iterations, with residuals up to "
            f"{worst:.1e} where {tolerance:g} was asked for (train.iterations, train.tolerance)"
        )
    return _from_basis(matrix, basis, reason, limit_reached=bool(unfinished))


def _orthogonal(vector: Matrix, basis: Matrix) -> Matrix:
    for _ in range(2):
        vector = vector - basis @ (basis.T @ vector)
    return vector


def _from_basis(matrix: LinearOperator, basis: Matrix, reason: str, limit_reached: bool = False) -> Decomposition:
    """Return the singular values and vectors of A in the span of an orthonormal basis of its shorter side."""
    wide = matrix.shape[0] < matrix.shape[1]
    images = matrix.rmatmat(basis) if wide else matrix.matmat(basis)
    longer, values, rotation = np.linalg.svd(images, full_matrices=False)
    shorter = basis @ rotation.T
    left, right = (shorter, longer) if wide else (longer, shorter)
    return Decomposition(left, values, right, reason, limit_reached)


def _generator(seed: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence([seed]))


def _not_converged(method: str, cause: ArpackNoConvergence, rank: int, tolerance: float, restarts: int) -> NotConverged:
    return NotConverged(
        f"train.method = {method}: {len(cause.eigenvalues)} of {rank} singular values converged to {tolerance:g} "
        f"within {restarts} restarts; raise train.iterations or train.tolerance, or lower train.rank"
    )


SVD_METHODS = {"lanczos": lanczos, "arnoldi": arnoldi, "power": power}
