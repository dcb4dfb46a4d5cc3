"""What a saved model says of items, from Python: recommend, similar, fold_in and its factors.

Covers: tasks/model/items.py, tasks/model/fold/fold_in.py, tasks/model/neighbours.py, and the titles beside a model.
Does not cover: all users at once (test_recommend.py), the commands (test_recommend_command.py).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sessions import examples

from funkflow.tasks.errors import BadInput
from funkflow.tasks.model.about import About
from funkflow.tasks.model.canonical import canonical_items
from funkflow.tasks.model.fold.fold_in import FoldedRow
from funkflow.tasks.model.model import Model
from funkflow.tasks.model.neighbours import factors_from_rotations, strongest_factors
from funkflow.tasks.model.parts import dense_of_row, rows_of_own
from funkflow.tasks.training.objective import Observed, Point, gradients, objective

L2, DEVIATION, MEAN = 0.07, 1.3, 3.2


def model_of(seed: int = 0, biases: bool = True, l2: float = L2) -> Model:
    rng = np.random.default_rng(seed)
    user_biases, item_biases = ((0.4 * biases * rng.normal(size=count)).astype(np.float32) for count in (30, 20))
    user_factors, item_factors = ((0.5 * rng.normal(size=(count, 3))).astype(np.float32) for count in (30, 20))
    about: About = {"l2": l2, "deviation": DEVIATION, "settings": {"train": {"biases": biases}}}
    ids = np.arange(30), np.arange(20) * 10
    return Model(MEAN, (1.0, 5.0), *ids, user_biases, item_biases, user_factors, item_factors, about)


def test_a_user_gets_what_is_predicted_highest() -> None:
    model = model_of()
    items, scores = model.recommend(7, 5, exclude=())
    predicted = model.predict([7] * 20, model.item_ids, clip=False)
    np.testing.assert_array_equal(items, model.item_ids[np.argsort(-predicted)[:5]])
    np.testing.assert_allclose(scores, np.sort(predicted)[::-1][:5])


def test_what_is_excluded_does_not_come_and_fewer_may_be_left() -> None:
    model = model_of()
    kept = [30, 50]
    items, scores = model.recommend(7, 5, exclude=[each for each in model.item_ids if each not in kept])
    assert sorted(items) == kept
    assert len(scores) == 2


def test_where_it_is_not_known_what_a_user_has_rated_a_warning_says_so() -> None:
    model = model_of()
    with pytest.warns(UserWarning, match=r"keeps the items that user 7 rated: .* pass exclude, \(\) for nothing"):
        got = model.recommend(7, 5)
    assert got.items.tolist() == model.recommend(7, 5, exclude=()).items.tolist()


def test_a_new_user_is_not_recommended_what_they_rated() -> None:
    model = model_of()
    folded = model.fold_in({30: 5.0, 50: 1.0})
    assert not {30, 50} & set(model.recommend(folded, 20).items)
    assert len(model.recommend(folded, 20).items) == 18
    assert {30, 50} < set(model.recommend(folded, 20, exclude=()).items)


@given(sizes=st.lists(st.integers(0, 4), min_size=1, max_size=5).filter(any))
def test_rows_of_a_model_and_dense_ids_lead_to_each_other(sizes: list[int]) -> None:
    """A part holds the dense ids of its shard, so sizes fall by one at most once."""
    count, shards = sum(sizes), len(sizes)
    parts = [len(range(shard, count, shards)) for shard in range(shards)]
    in_order = [dense for shard in range(shards) for dense in range(shard, count, shards)]
    assert [dense_of_row(row, parts) for row in range(count)] == in_order
    assert rows_of_own(np.array(in_order), parts).tolist() == list(range(count))


def test_equal_predictions_come_in_the_order_of_the_model() -> None:
    model = model_of()
    model.item_factors[:] = 0
    model.item_biases[:] = np.arange(20) % 2
    assert model.recommend(7, 4, exclude=()).items.tolist() == [10, 30, 50, 70]


def test_similar_items_have_the_greatest_cosine() -> None:
    model = model_of()
    model.item_factors[4] = 0
    model.item_factors[9] = 3 * model.item_factors[2]
    items, cosines = found = model.similar(20, 30)
    assert (found.items is items, found.cosines is cosines) == (True, True)
    assert items[0] == 90
    assert cosines[0] == pytest.approx(1.0)
    assert set(items) == set(model.item_ids) - {20, 40}
    lengths = np.linalg.norm(model.item_factors, axis=1)
    rows = items // 10
    expected = model.item_factors[rows] @ model.item_factors[2] / (lengths[rows] * lengths[2])
    np.testing.assert_allclose(cosines, expected, rtol=1e-5)
    assert (np.diff(cosines) <= 0).all()


def descended(model: Model, ratings: dict[int, float], side: str, l2: float, biases: bool) -> tuple[Any, float]:
    """Retrain one new row by plain gradient descent on the objective as it stands, the rest of the model fixed."""
    root = math.sqrt(DEVIATION)
    ids = np.array(list(ratings))
    scaled = (np.array(list(ratings.values())) - MEAN) / DEVIATION
    other_factors, other_biases = (
        (model.item_factors, model.item_biases) if side == "user" else (model.user_factors, model.user_biases)
    )
    others = ids // 10 if side == "user" else ids
    fixed = (other_factors.astype(float) / root, other_biases.astype(float) / DEVIATION)
    row: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] = (np.zeros((1, 3)), np.zeros(1))
    data = Observed(np.zeros(len(ids), int), others, scaled)
    for _ in range(20_000):
        slopes = gradients(Point(row[0], fixed[0], row[1], fixed[1]), data, l2)
        row = (
            row[0] - 0.1 / len(ids) * slopes.user_factors,
            row[1] - (0.1 / len(ids) * slopes.user_biases if biases else 0),
        )
        if np.abs(slopes.user_factors).max() < 1e-10:
            break
    assert math.isfinite(objective(Point(row[0], fixed[0], row[1], fixed[1]), data, l2))
    return row[0][0] * root, float(row[1][0] * DEVIATION)


@pytest.mark.parametrize("biases", [True, False])
@settings(max_examples=examples(6), deadline=None)
@given(seed=st.integers(0, 1000), count=st.integers(1, 15), side=st.sampled_from(["user", "item"]))
def test_folding_in_is_retraining_that_row(biases: bool, seed: int, count: int, side: Any) -> None:
    model, rng = model_of(seed, biases), np.random.default_rng(seed)
    known = model.item_ids if side == "user" else model.user_ids
    ratings = {int(each): float(rng.integers(1, 6)) for each in rng.choice(known, count, replace=False)}
    folded = model.fold_in(ratings, side)
    factors, bias = descended(model, ratings, side, L2, biases)
    np.testing.assert_allclose(folded.factors, factors, atol=2e-6)
    assert folded.bias == pytest.approx(bias, abs=2e-6)
    assert biases or folded.bias == 0.0


def test_several_rows_fold_in_as_each_by_itself() -> None:
    model = model_of()
    rows: list[dict[int, float]] = [{10: 5.0, 30: 1.0}, {0: 3.0}, {190: 4.0, 20: 2.0, 30: 2.0}]
    for several, alone in zip(model.fold_in_all(rows), map(model.fold_in, rows), strict=True):
        np.testing.assert_array_equal(several.factors, alone.factors)
        assert several.bias == alone.bias


def test_without_l2_the_shortest_of_many_solutions_is_taken() -> None:
    model = model_of(l2=0.0)
    folded = model.fold_in({10: 5.0, 30: 2.0})
    predicted = MEAN + folded.bias + model.item_biases[[1, 3]] + model.item_factors[[1, 3]] @ folded.factors
    np.testing.assert_allclose(predicted, [5.0, 2.0], atol=1e-5)


def test_a_folded_in_user_gets_recommendations() -> None:
    model = model_of()
    row = FoldedRow(model.user_factors[7], float(model.user_biases[7]))
    assert model.recommend(row, 6).items.tolist() == model.recommend(7, 6, exclude=()).items.tolist()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (lambda model: model.recommend(99), "user 99: this id is not in the model"),
        (lambda model: model.recommend(7, 0), "recommend: n = 0; ask for at least one"),
        (lambda model: model.recommend(7, 3, exclude=[5]), "item 5: this id is not in the model"),
        (lambda model: model.similar(5), "item 5: this id is not in the model"),
        (lambda model: model.similar(10, -1), "similar: n = -1; ask for at least one"),
        (lambda model: model.fold_in({}), "fold_in: there are no ratings"),
        (lambda model: model.fold_in({10: 7}), "fold_in: rating 7 of 10 is not a number from 1 to 5"),
        (lambda model: model.fold_in({10: 3, 20: math.nan}), "fold_in: rating nan of 20 is not a number from 1 to 5"),
        (lambda model: model.fold_in({10: "good"}), "fold_in: ratings have to be numbers"),
        (lambda model: model.fold_in({5: 3}), "item 5: this id is not in the model"),
        (lambda model: model.fold_in({99: 3}, side="item"), "user 99: this id is not in the model"),
        (lambda model: model.fold_in({10: 3}, side="film"), 'fold_in: side is "user" or "item"'),
    ],
)
def test_mistakes_are_told_in_one_line(asked: Any, said: str) -> None:
    with pytest.raises(BadInput, match=said) as caught:
        asked(model_of())
    assert "\n" not in caught.value.message


def test_a_model_that_does_not_say_its_l2_folds_nothing_in() -> None:
    model = model_of()
    model.about.pop("l2")
    with pytest.raises(BadInput, match="lacks the L2 term"):
        model.fold_in({10: 3})


def test_an_item_without_ratings_is_like_nothing() -> None:
    model = model_of()
    model.item_factors[4] = 0
    with pytest.raises(BadInput, match="had no training ratings"):
        model.similar(40)


def test_factors_are_the_singular_vectors_of_the_product() -> None:
    """Of U V^T as a whole matrix, from NumPy, whatever rotation training ended in."""
    model = model_of()
    _, strengths, right = np.linalg.svd(model.user_factors.astype(float) @ model.item_factors.T.astype(float))
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0].astype(np.float32)
    turned = model.user_factors @ turn, model.item_factors @ turn
    found = strongest_factors(*turned)
    again = factors_from_rotations(turned[1], canonical_items(*turned)[0].rotations, 3)
    np.testing.assert_allclose(again.strengths, found.strengths, rtol=1e-12)
    np.testing.assert_allclose(again.loadings, found.loadings, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.strengths, strengths[:3], rtol=1e-5)
    scaled = right[:3].T * np.sqrt(strengths[:3])
    np.testing.assert_allclose(np.abs(found.loadings), np.abs(scaled), atol=1e-5)
    assert (found.loadings.max(axis=0) >= -found.loadings.min(axis=0)).all()
