"""The standard methods against NumPy, on matrices known by their products.

Covers: tasks/training/svd_methods.py on any shape and spectrum, what it refuses, and tasks/grid/block_products.py
against its slow twin.
Does not cover: the methods on a grid (test_decompose.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from descending import random_block
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.linalg import LinearOperator, aslinearoperator
from sessions import examples

from funkflow.tasks.errors import BadInput, NotConverged, SettingsError
from funkflow.tasks.grid.block_products import (
    Removed,
    row_gram_product,
    row_product,
    row_square,
    row_transposed_product,
    sparse_block,
)
from funkflow.tasks.kernels.reference import zero_filled
from funkflow.tasks.training.svd_methods import SVD_METHODS, Gram, arnoldi, lanczos, power, refuse_what_has_none

Matrix = npt.NDArray[np.float64]
SPECTRA = {
    "falling": 0.8 ** np.arange(12),
    "repeated": np.repeat([3.0, 2.0, 1.0], 4),
    "of rank 3": np.array([5.0, 4.0, 3.0] + [0.0] * 9),
    "ill-conditioned": 10.0 ** -np.arange(12),
}


def with_spectrum(rows: int, columns: int, values: npt.NDArray[Any], seed: int = 0) -> Matrix:
    """A matrix with these singular values and random singular vectors."""
    rng = np.random.default_rng(seed)
    left, right = (np.linalg.qr(rng.normal(size=(side, len(values))))[0] for side in (rows, columns))
    return np.asarray(left @ np.diag(values) @ right.T, np.float64)


@pytest.mark.parametrize("method", SVD_METHODS)
@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize("shape", [(40, 15), (15, 40), (20, 20)])
def test_singular_values_and_the_matrix_they_make_are_numpys(
    method: str, spectrum: str, shape: tuple[int, int]
) -> None:
    matrix, rank = with_spectrum(*shape, SPECTRA[spectrum]), 6
    found = SVD_METHODS[method](aslinearoperator(matrix), rank, 0, 1e-6, None)
    left, values, right = np.linalg.svd(matrix)
    assert np.abs(found.values - values[:rank]).max() <= 1e-6 * values[0]
    assert np.abs(found.left.T @ found.left - np.eye(rank)).max() < 1e-8
    assert np.abs(found.right.T @ found.right - np.eye(rank)).max() < 1e-8
    if (
        values[rank - 1] - values[rank] > 1e-9 * values[0] or not values[rank]
    ):  # else the best approximation is not one matrix
        best = (left[:, :rank] * values[:rank]) @ right[:rank]
        assert np.abs((found.left * found.values) @ found.right.T - best).max() <= 1e-5 * values[0]


@settings(deadline=None, max_examples=examples(25))
@given(
    st.sampled_from(sorted(SVD_METHODS)),
    st.integers(6, 30),
    st.integers(6, 30),
    st.integers(1, 4),
    st.integers(0, 99),
)
def test_random_matrices_of_any_shape(method: str, rows: int, columns: int, rank: int, seed: int) -> None:
    matrix = np.random.default_rng(seed).normal(size=(rows, columns))
    found = SVD_METHODS[method](aslinearoperator(matrix), rank, seed, 1e-6, 20_000)
    expected = np.linalg.svd(matrix, compute_uv=False)
    assert np.abs(found.values - expected[:rank]).max() <= 1e-6 * expected[0]


def test_a_whole_spectrum_by_power_iteration() -> None:
    """Rank equal to the shorter side, which ARPACK cannot do."""
    matrix = with_spectrum(9, 12, 0.5 ** np.arange(9.0))
    found = power(aslinearoperator(matrix), 9, 0, 1e-6, None)
    assert np.abs((found.left * found.values) @ found.right.T - matrix).max() < 1e-9


def test_power_iteration_says_that_it_came_to_its_limit() -> None:
    close = aslinearoperator(with_spectrum(30, 20, 1.0 - 1e-4 * np.arange(20)))
    found = power(close, 3, 0, 1e-9, 5)
    assert found.limit_reached
    assert "3 of 3 eigenvectors reached the limit of 5 iterations" in found.reason
    assert not power(aslinearoperator(with_spectrum(30, 20, 0.5 ** np.arange(20.0))), 3, 0, 1e-9, None).limit_reached


@pytest.mark.parametrize("method", ["lanczos", "arnoldi"])
def test_what_does_not_converge_is_said_with_a_remedy(method: str) -> None:
    close = aslinearoperator(with_spectrum(300, 200, 1.0 - 1e-5 * np.arange(200)))
    message = f"train.method = {method}: .* of 4 singular values converged to 1e-09 within 1 restarts; raise train.iter"
    with pytest.raises(NotConverged, match=message):
        SVD_METHODS[method](close, 4, 0, 1e-9, 1)


class Turning(LinearOperator):
    """Claims that A^T A is a rotation of the plane, whose eigenvalues are complex."""

    def __init__(self, size: int) -> None:
        super().__init__(np.float64, (size, size))  # type: ignore[call-arg]

    def gram_product(self, given: Matrix) -> Matrix:
        return np.roll(given, 1, axis=0)

    def _matvec(self, given: Matrix) -> Matrix:
        return given


def test_complex_eigenvalues_are_refused() -> None:
    with pytest.raises(NotConverged, match=r"an eigenvalue of A\^T A came out complex"):
        arnoldi(Turning(12), 3, 0, 1e-6, None)


@pytest.mark.parametrize(
    ("method", "rank", "norm", "error", "message"),
    [
        ("lanczos", 10, 1.0, SettingsError, "train.rank = 10: lanczos finds at most 9 singular values of a matrix of "),
        ("arnoldi", 9, 1.0, SettingsError, "train.rank = 9: arnoldi finds at most 8 singular values"),
        ("randomized", 11, 1.0, SettingsError, "train.rank = 11: randomized finds at most 10 singular values"),
        ("power", 11, 1.0, SettingsError, "of a matrix of 20 x 10; lower train.rank, or take another train.method"),
        ("power", 2, 0.0, BadInput, "every entry of the matrix is zero"),
        ("power", 2, float("nan"), BadInput, "the matrix is not finite"),
    ],
)
def test_what_cannot_be_decomposed_is_one_line(
    method: str, rank: int, norm: float, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        refuse_what_has_none(method, aslinearoperator(np.zeros((20, 10))), rank, norm)


def test_complex_matrices_are_refused() -> None:
    with pytest.raises(BadInput, match="a matrix of complex128: only real matrices"):
        refuse_what_has_none("lanczos", aslinearoperator(np.eye(4) * 1j), 1, 1.0)


def test_the_same_seed_gives_the_same_bits_and_another_one_does_not() -> None:
    matrix = aslinearoperator(with_spectrum(40, 15, SPECTRA["falling"]))
    once, again, other = (lanczos(matrix, 3, seed, 1e-2, None).right.tobytes() for seed in (0, 0, 1))
    assert once == again != other


@pytest.mark.parametrize("levels", [5, 300, 0])
@settings(deadline=None, max_examples=examples(20))
@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
def test_products_equal_those_of_the_dense_matrix(levels: int, seed: int, columns: int) -> None:
    """In each coding of ratings: one byte, two, and the ratings themselves."""
    rng = np.random.default_rng(seed)
    users, widths = int(rng.integers(1, 70)), [int(width) for width in rng.integers(1, 50, size=2)]
    row = tuple(
        random_block(rng, np.arange(users), np.arange(width), int(rng.integers(1, 400)), (users, width), levels)
        for width in widths
    )
    removed = Removed(float(rng.normal()), rng.normal(size=users), tuple(rng.normal(size=width) for width in widths))
    pieces = [
        zero_filled(
            zip(block.user_rows.tolist(), block.item_rows.tolist(), block.ratings.tolist(), strict=True),
            block.shape, removed.mean, removed.users, biases,
        )
        for block, biases in zip(row, removed.items, strict=True)
    ]  # fmt: skip
    dense = np.concatenate(pieces, axis=1)
    x, y = rng.normal(size=(sum(widths), columns)), rng.normal(size=(users, columns))
    for ours, theirs in (
        (row_product(row, removed, x), dense @ x),
        (row_transposed_product(row, removed, y), dense.T @ y),
        (row_gram_product(row, removed, x), dense.T @ dense @ x),
        (np.array(row_square(row, removed)), np.sum(dense**2)),
        (sparse_block(row, 1, removed).toarray(), pieces[1]),
    ):
        assert np.allclose(ours, theirs, rtol=1e-12, atol=1e-10)


def test_gram_is_of_the_shorter_side() -> None:
    matrix = np.random.default_rng(0).normal(size=(5, 9))
    given_columns = np.eye(5)
    for each in (matrix, matrix.T):
        assert np.allclose(Gram(aslinearoperator(each)).matmat(given_columns), matrix @ matrix.T)
