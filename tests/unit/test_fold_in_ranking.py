"""A new row of a model trained for a ranking: the least of the objective that counts missing cells, too.

Covers: tasks/model/fold/fold_in.py with a weight for missing cells; `Model.fold_in` and `Model.similar` on top of it.
Does not cover: a model of ratings (test_recommender.py), rows of a training (tests/cluster/test_goal.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from dense_als import Dense
from hypothesis import given, settings
from hypothesis import strategies as st
from sessions import examples

from funkflow.tasks.errors import BadInput
from funkflow.tasks.model.about import About
from funkflow.tasks.model.fold.fold_in import AllRows, Penalty, solve_row
from funkflow.tasks.model.model import Model

L2, DEVIATION, MEAN, ALPHA = 0.03, 5.0, 0.0, 0.2
Matrix = npt.NDArray[np.float64]


COMMON = [0.3, -0.2, 0.5, 0.1]


def model_of(l2: float = L2, **others: Any) -> Model:
    rng = np.random.default_rng(1)
    users, items = ((0.6 * rng.normal(size=(count, 4))).astype(np.float32) for count in (40, 25))
    no_biases = np.zeros(40, np.float32), np.zeros(25, np.float32)
    train = {"method": "als", "biases": False, "als": {"alpha": None}}
    about: About = {"l2": l2, "alpha": ALPHA, "deviation": DEVIATION, "goal": "ranking", "settings": {"train": train}}
    about.update(others)  # type: ignore[typeddict-item]
    return Model(MEAN, (1.0, 5.0), np.arange(40), np.arange(25) * 10, *no_biases, users, items, about)


@settings(max_examples=examples(60), deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    rated=st.integers(1, 30),
    alpha=st.sampled_from([0.0, 0.01, 0.5, 1.0]),
    with_confidences=st.booleans(),
)
def test_the_gradient_of_the_objective_vanishes(seed: int, rated: int, alpha: float, with_confidences: bool) -> None:
    """Cell by cell: a weight c for each rating, alpha and the target 0 for all others."""
    rng = np.random.default_rng(seed)
    items = rng.normal(size=(30, 5)).astype(np.float32)
    places = rng.choice(30, rated, replace=False)
    targets = rng.normal(size=rated)
    confidences = rng.uniform(0.1, 9.0, rated) if with_confidences else np.ones(rated)
    row = solve_row(
        items[places], targets, Penalty(L2, L2, False, alpha), AllRows.of(items[:13], items[13:]),
        confidences if with_confidences else None,
    )  # fmt: skip
    weights, wanted = np.full(30, alpha), np.zeros(30)
    weights[places], wanted[places] = confidences, targets
    exact = items.astype(np.float64)
    penalty = L2 * (confidences.sum() + alpha * 30)
    slope = exact.T @ (weights * (exact @ row - wanted)) + penalty * row
    assert np.abs(slope).max() < 1e-10 * (1.0 + np.abs(exact.T @ (weights * wanted)).max())


@pytest.mark.parametrize("side", ["user", "item"])
def test_a_row_equals_the_solution_on_the_whole_matrix(side: Any) -> None:
    """That of NumPy, in the scaling of training: to 1e-8 in float64, and to float32 in the model's units."""
    model = model_of()
    ids, others = (model.item_ids, model.item_factors) if side == "user" else (model.user_ids, model.user_factors)
    chosen = np.random.default_rng(2).choice(len(ids), 7, replace=False)
    ratings = np.array([1.0, 5.0, 4.0, 3.0, 5.0, 2.0, 4.0])
    targets = np.full((1, len(ids)), np.nan)
    targets[0, chosen] = ratings / DEVIATION
    scaled = others.astype(np.float64) / np.sqrt(DEVIATION)
    expected = np.linalg.solve(*Dense(targets, ALPHA, L2).problem(0, scaled)) * np.sqrt(DEVIATION)
    exact = solve_row(others[chosen], ratings, Penalty.of(model.about), AllRows.of(others))
    np.testing.assert_allclose(exact, expected, rtol=1e-8)
    folded = model.fold_in(dict(zip(ids[chosen].tolist(), ratings, strict=True)), side)
    np.testing.assert_allclose(folded.factors, expected, rtol=1e-5)
    assert folded.bias == 0.0


@pytest.mark.parametrize("side", ["user", "item"])
def test_a_new_user_is_pulled_to_the_row_that_users_have_in_common_and_a_new_item_to_zero(side: Any) -> None:
    model = model_of(common_user=COMMON)
    ids, others = (model.item_ids, model.item_factors) if side == "user" else (model.user_ids, model.user_factors)
    targets = np.full((1, len(ids)), np.nan)
    targets[0, 3] = 4.0 / DEVIATION
    scale = np.sqrt(DEVIATION)
    dense = Dense(targets, ALPHA, L2, common=np.array(COMMON) / scale if side == "user" else None)
    expected = np.linalg.solve(*dense.problem(0, others.astype(np.float64) / scale)) * scale
    np.testing.assert_allclose(model.fold_in({ids[3].item(): 4.0}, side).factors, expected, rtol=1e-5)


def test_all_items_are_summed_once() -> None:
    model = model_of()
    first = model.fold_in({10: 4.0})
    model.item_factors[20] += 1.0
    np.testing.assert_array_equal(model.fold_in({10: 4.0}).factors, first.factors)


def test_without_l2_and_with_few_items_there_is_still_an_answer() -> None:
    model = model_of(l2=0.0)
    model.item_factors[:, 3] = 0.0
    folded = model.fold_in({10: 4.0, 20: 5.0})
    assert np.isfinite(folded.factors).all()
    assert folded.factors[3] == 0.0


def test_similar_items_of_a_ranking_model_have_the_greatest_cosine() -> None:
    model = model_of()
    model.item_factors[9] = 2 * model.item_factors[3]
    items, cosines = model.similar(30, 24)
    assert (items[0], cosines[0]) == (90, pytest.approx(1.0))
    lengths = np.linalg.norm(model.item_factors.astype(float), axis=1)
    expected = model.item_factors @ model.item_factors[3].astype(float) / lengths / lengths[3]
    np.testing.assert_allclose(cosines, np.sort(expected[np.arange(25) != 3])[::-1], rtol=1e-6)


def test_a_model_without_its_weight_for_missing_cells_folds_nothing_in() -> None:
    model = model_of()
    model.about.pop("alpha")
    with pytest.raises(BadInput, match=r"lacks the weight of missing cells \(alpha\); export the model again"):
        model.fold_in({10: 3.0})
