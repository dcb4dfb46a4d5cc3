"""Eigenpairs, principal components and pseudo-inverses against NumPy and scikit-learn on the whole matrix.

Covers: tasks/model/decompositions.py and the methods of a model that lead to it. Does not cover: the SVD
(test_canonical.py).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from factorised import dense, factors, groups, model_of, projector
from hypothesis import given, settings
from hypothesis import strategies as st
from sessions import examples
from sklearn.decomposition import PCA

from funkflow.tasks.errors import BadInput
from funkflow.tasks.model.canonical import Matrix, canonical_form
from funkflow.tasks.model.decompositions import eigenpairs, principal_components, pseudo_inverse

TOLERANCE = 1e-6


@pytest.mark.parametrize("side", ["users", "items"])
@given(pair=factors())
@settings(max_examples=examples(80), deadline=None)
def test_eigenpairs_are_the_square_matrixs(side: Literal["users", "items"], pair: tuple[Matrix, Matrix]) -> None:
    A = pair[0] @ pair[1].T
    square = A @ A.T if side == "users" else A.T @ A
    found = eigenpairs(canonical_form(*pair), side)
    expected_values, expected_vectors = (each[..., ::-1] for each in np.linalg.eigh(square))
    r, largest = len(found.values), found.values[0]
    np.testing.assert_allclose(found.values, expected_values[:r], atol=TOLERANCE * largest)
    np.testing.assert_allclose(expected_values[r:], 0.0, atol=TOLERANCE * largest)
    for part in groups(found.values, 1e-5 * largest):
        expected = projector(expected_vectors[:, part])
        np.testing.assert_allclose(projector(found.vectors[:, part]), expected, atol=TOLERANCE)


@given(pair=factors())
@settings(max_examples=examples(100), deadline=None)
def test_principal_components_are_scikit_learns(pair: tuple[Matrix, Matrix]) -> None:
    A = pair[0] @ pair[1].T
    strongest = float(np.linalg.norm(A, 2))
    if len(A) < 2 or np.linalg.norm(A - A.mean(axis=0), 2) < 1e-9 * strongest:
        with pytest.raises(BadInput, match="principal components"):
            principal_components(canonical_form(*pair))
        return
    found = principal_components(canonical_form(*pair))
    expected = PCA(svd_solver="full").fit(A)
    r = len(found.explained_variance)
    near = TOLERANCE * strongest
    spread = np.sqrt(found.explained_variance * (len(A) - 1))
    np.testing.assert_allclose(found.mean, expected.mean_, atol=near)
    np.testing.assert_allclose(spread, expected.singular_values_[:r], atol=near)
    np.testing.assert_allclose(found.explained_variance_ratio, expected.explained_variance_ratio_[:r], atol=TOLERANCE)
    np.testing.assert_allclose(found.scores @ found.components + found.mean, A, atol=near)
    for part in groups(spread, 1e-6 * strongest):
        theirs = projector(expected.components_[part].T)
        np.testing.assert_allclose(projector(found.components[part].T), theirs, atol=TOLERANCE)


@given(pair=factors(), rcond=st.sampled_from([1e-10, 1e-5, 0.05, 0.5]))
@settings(max_examples=examples(120), deadline=None)
def test_the_pseudo_inverse_is_numpys_with_the_same_rcond(pair: tuple[Matrix, Matrix], rcond: float) -> None:
    A = pair[0] @ pair[1].T
    svd = canonical_form(*pair)
    if (np.abs(svd.s / svd.s[0] - rcond) < 1e-6).any():
        return  # a value on the border may count for one and not for the other
    found, expected = pseudo_inverse(svd, rcond), np.linalg.pinv(A, rcond=rcond)
    near = TOLERANCE * float(np.linalg.norm(expected, 2))
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal(len(A)), rng.standard_normal(len(A.T))
    assert found.shape == expected.shape
    np.testing.assert_allclose(found @ np.eye(len(A)), expected, atol=near)
    np.testing.assert_allclose(found @ x, expected @ x, atol=near * float(np.linalg.norm(x)))
    np.testing.assert_allclose(found.rmatvec(y), y @ expected, atol=near * float(np.linalg.norm(y)))
    np.testing.assert_allclose(found.T @ np.eye(A.shape[1]), expected.T, atol=near)


@given(pair=factors())
@settings(max_examples=examples(60), deadline=None)
def test_penroses_four_conditions(pair: tuple[Matrix, Matrix]) -> None:
    A = pair[0] @ pair[1].T
    svd = canonical_form(*pair)
    inverse = pseudo_inverse(svd, 1e-10) @ np.eye(len(A))
    near = 1e-9 * float(svd.s[0] / svd.s[svd.s > 1e-10 * svd.s[0]][-1])
    np.testing.assert_allclose(A @ inverse @ A, A, atol=near * svd.s[0])
    np.testing.assert_allclose(inverse @ A @ inverse, inverse, atol=near * float(np.linalg.norm(inverse, 2)))
    for product in (A @ inverse, inverse @ A):
        np.testing.assert_allclose(product, product.T, atol=near)


@pytest.mark.parametrize(("fold_biases", "of"), [(False, "U Vᵀ"), (True, "µ + b_u + b_i + U Vᵀ, unclipped")])
def test_a_models_results_say_and_are_what_they_speak_of(fold_biases: bool, of: str) -> None:
    model = model_of(np.random.default_rng(8))
    A = dense(model) if fold_biases else (model.user_factors.astype(float) @ model.item_factors.T.astype(float))
    pairs, components = model.eigenpairs("items", fold_biases), model.principal_components(fold_biases)
    inverse = model.pseudo_inverse(1e-5, fold_biases)
    assert pairs.of == components.of == inverse.of == of
    np.testing.assert_allclose(A.T @ (A @ pairs.vectors), pairs.vectors * pairs.values, atol=1e-9 * pairs.values[0])
    np.testing.assert_allclose(components.mean, A.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(inverse @ A, np.linalg.pinv(A, rcond=1e-5) @ A, atol=1e-9)
    assert inverse.kept == model.rank + 2 * fold_biases


def test_bad_requests_are_one_line() -> None:
    svd = canonical_form(np.ones((1, 1)), np.ones((2, 1)))
    with pytest.raises(BadInput, match="1 user; a variance needs at least 2"):
        principal_components(svd)
    with pytest.raises(BadInput, match="rcond 2; give a part of the greatest singular value"):
        pseudo_inverse(svd, 2)
    with pytest.raises(BadInput, match="side 'rows'; give \"users\""):
        eigenpairs(svd, "rows")  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="all users are equal"):
        principal_components(canonical_form(np.ones((3, 1)), np.ones((2, 1))))
