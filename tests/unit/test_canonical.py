"""The canonical form against NumPy's SVD of the whole matrix, for every shape and spectrum.

Covers: tasks/model/canonical.py, and the methods of a model that lead to it.
Does not cover: what follows from an SVD (test_decompositions.py), or the same on Dask (test_spectrum.py).
"""

from __future__ import annotations

import numpy as np
import pytest
from factorised import dense, factors, groups, model_of, projector
from hypothesis import given, settings
from hypothesis import strategies as st
from sessions import examples

from funkflow.tasks.errors import BadInput
from funkflow.tasks.model.canonical import (
    Matrix,
    apply_q,
    balance,
    canonical_form,
    canonical_items,
    combine_r,
    largest_entries,
    largest_of_q,
    qr_r,
    signs_of,
)

TOLERANCE = 1e-6
"""Times the greatest singular value, as is asked for; float64 leaves about 1e-14."""


@given(factors())
@settings(max_examples=examples(150), deadline=None)
def test_it_is_numpys_svd(pair: tuple[Matrix, Matrix]) -> None:
    users, items = pair
    U, s, Vt = canonical_form(users, items)
    expected_U, expected, expected_Vt = np.linalg.svd(users @ items.T, full_matrices=False)
    r = min(*expected.shape, users.shape[1])
    assert (U.shape, s.shape, Vt.shape) == ((len(users), r), (r,), (r, len(items)))
    near = TOLERANCE * expected[0]
    np.testing.assert_allclose(s, expected[:r], atol=near)
    np.testing.assert_allclose(expected[r:], 0.0, atol=near)
    for part in groups(s, 1e-6 * s[0]):  # of a zero singular value any orthonormal columns will do
        np.testing.assert_allclose(projector(U[:, part]), projector(expected_U[:, part]), atol=TOLERANCE)
        np.testing.assert_allclose(projector(Vt[part].T), projector(expected_Vt[part].T), atol=TOLERANCE)
    np.testing.assert_allclose((U * s) @ Vt, users @ items.T, atol=near)


@given(factors())
@settings(max_examples=examples(60), deadline=None)
def test_columns_are_orthonormal_whatever_the_rank(pair: tuple[Matrix, Matrix]) -> None:
    U, s, Vt = canonical_form(*pair)
    np.testing.assert_allclose(U.T @ U, np.eye(len(s)), atol=1e-12)
    np.testing.assert_allclose(Vt @ Vt.T, np.eye(len(s)), atol=1e-12)
    assert (np.diff(s) <= 0).all()


@given(factors())
@settings(max_examples=examples(60), deadline=None)
def test_signs_do_not_depend_on_the_factors(pair: tuple[Matrix, Matrix]) -> None:
    """The same matrix from other factors, all of them negated or turned, has the same U and Vt."""
    users, items = pair
    U, s, Vt = canonical_form(users, items)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(users.shape[1],) * 2))[0]
    other_U, _, other_Vt = canonical_form(-users @ turn, -items @ turn)
    for column in (part.start for part in groups(s, 1e-6 * s[0]) if part.stop == part.start + 1):
        if _has_one_largest(Vt[column]):
            assert Vt[column][np.argmax(np.abs(Vt[column]))] > 0
            np.testing.assert_allclose(other_Vt[column], Vt[column], atol=1e-8)
            np.testing.assert_allclose(other_U[:, column], U[:, column], atol=1e-8)


CUTS = st.lists(st.integers(0, 14), max_size=4)


@given(factors(), CUTS, CUTS)
@settings(max_examples=examples(100), deadline=None)
def test_parts_come_to_what_the_whole_does(
    pair: tuple[Matrix, Matrix], user_cuts: list[int], item_cuts: list[int]
) -> None:
    """Both sides in parts of any size, empty ones too, which are smaller than the rank."""
    whole = canonical_form(*pair)
    parts = [
        np.split(side, sorted(min(cut, len(side)) for cut in cuts))
        for side, cuts in zip(pair, (user_cuts, item_cuts), strict=True)
    ]
    core = combine_r(*([qr_r(part) for part in side] for side in parts))
    U, V = (
        np.concatenate([apply_q(part, turn) for part, turn in zip(side, turns, strict=True)])
        for side, turns in zip(parts, (core.users, core.items), strict=True)
    )
    values = core.rotations.values
    np.testing.assert_allclose(values, whole.s, atol=1e-12 * values[0])
    for vectors in (U, V):
        np.testing.assert_allclose(vectors.T @ vectors, np.eye(len(values)), atol=1e-12)
    np.testing.assert_allclose((U * values) @ V.T, pair[0] @ pair[1].T, atol=1e-12 * values[0])
    largest = [largest_of_q(part, turn) for part, turn in zip(parts[1], core.items, strict=True)]
    signed = core.signed(signs_of(largest)).rotations
    for part in groups(values, 1e-6 * values[0]):
        if part.stop == part.start + 1 and _has_one_largest(whole.Vt[part.start]):
            of_parts = pair[1] @ signed.items[:, part]
            np.testing.assert_allclose(of_parts, whole.Vt[part].T * values[part], atol=1e-8 * values[0])


def _has_one_largest(row: Matrix) -> bool:
    """Return whether no other entry is as large as the largest, but for rounding."""
    return len(row) == 1 or float(np.diff(np.sort(np.abs(row))[-2:])[0]) > 1e-6


@pytest.mark.parametrize("rows", [16_384, 16_385, 40_000])
def test_more_rows_than_one_leaf_has(rows: int) -> None:
    """The last leaf of 16,385 rows has fewer rows than there are factors; factors of rank 5 in 7 columns."""
    rng = np.random.default_rng(rows)
    users, items = rng.normal(size=(rows, 5)) @ rng.normal(size=(5, 7)), rng.normal(size=(30, 7))
    U, s, Vt = canonical_form(users, items)
    expected_U, expected, _ = np.linalg.svd(users @ items.T, full_matrices=False)
    np.testing.assert_allclose(s, expected[:7], atol=1e-10 * s[0])
    np.testing.assert_allclose(U.T @ U, np.eye(7), atol=1e-12)
    turn = combine_r([qr_r(items)], [qr_r(users)]).items[0]
    np.testing.assert_array_equal(largest_of_q(users, turn), largest_entries(apply_q(users, turn)))
    np.testing.assert_allclose(np.abs(np.sum(U[:, :5] * expected_U[:, :5], axis=0)), 1.0, atol=1e-9)
    np.testing.assert_allclose((U * s) @ Vt, users @ items.T, atol=1e-10 * s[0])


@given(factors())
@settings(max_examples=examples(60), deadline=None)
def test_rotations_turn_factors_into_the_canonical_form(pair: tuple[Matrix, Matrix]) -> None:
    users, items = pair
    U, s, Vt = canonical_form(users, items)
    rotations = canonical_items(users, items)[0].rotations
    near = 1e-10 * s[0]
    for part in groups(s, 1e-6 * s[0]):
        left, right = (users @ rotations.users)[:, part], (items @ rotations.item_weights(len(s)))[:, part]
        np.testing.assert_allclose(left @ right.T, (U[:, part] * s[part]) @ Vt[part], atol=near)


@pytest.mark.parametrize("fold_biases", [False, True])
def test_a_model_is_the_product_of_what_it_hands_out(fold_biases: bool) -> None:
    """On sampled cells, to 1e-5 of the matrix: U Σ Vᵀ, Û V̂ᵀ and the formula."""
    rng = np.random.default_rng(3)
    model = model_of(rng, users=300, items=90)
    U, s, Vt = model.svd(fold_biases=fold_biases)
    left, right = model.balanced(fold_biases=fold_biases)
    assert len(s) == model.rank + 2 * fold_biases
    rows, columns = rng.integers(0, 300, 500), rng.integers(0, 90, 500)
    whole = dense(model) if fold_biases else model.user_factors @ model.item_factors.T
    by_svd = np.einsum("nr,r,rn->n", U[rows], s, Vt[:, columns])
    by_balanced = np.einsum("nr,nr->n", left[rows], right[columns])
    size = np.linalg.norm(whole[rows, columns])
    assert np.linalg.norm(by_svd - by_balanced) <= 1e-5 * size
    assert np.linalg.norm(by_svd - whole[rows, columns]) <= 1e-5 * size


def test_the_balanced_sides_carry_the_same() -> None:
    svd = model_of(np.random.default_rng(4)).svd()
    left, right = balance(svd)
    np.testing.assert_allclose(left.T @ left, np.diag(svd.s), atol=1e-12 * svd.s[0])
    np.testing.assert_allclose(right.T @ right, np.diag(svd.s), atol=1e-12 * svd.s[0])


ONES = np.ones((3, 2))


@pytest.mark.parametrize(
    ("users", "items", "message"),
    [
        (0 * ONES, ONES, "a matrix of zeros, which has no directions; train a model first"),
        (ONES @ [[1, 2], [3, 6]], ONES @ [[4, -2], [2, -1]], "a matrix of zeros"),
        (ONES * 1j, ONES, "user factors: complex values; only real matrices are factorised"),
        (ONES, ONES * np.nan, "item factors: nan in row 0, column 0; train again with a smaller step"),
        (ONES, np.ones((3, 3)), "user factors have rank 2, item factors 3; give both of one model"),
        (ONES[0], ONES, r"user factors: an array of shape \(2,\) is no matrix"),
    ],
)
def test_what_cannot_be_decomposed_is_said_in_one_line(users: Matrix, items: Matrix, message: str) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        canonical_form(users, items)
    assert "\n" not in caught.value.message
