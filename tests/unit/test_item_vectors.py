"""Vectors of items and users for other programs: their inner products order items as the model does.

Covers: tasks/serving/item_vectors.py, and the number of lists of an index.
Does not cover: the index itself, which needs faiss (tests/commands/test_index_command.py).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from funkflow.tasks.model.model import Model
from funkflow.tasks.serving.item_vectors import (
    as_vectors,
    exact_lists,
    item_vectors,
    recall,
    sample_items,
    user_vectors,
)
from funkflow.tasks.serving.served_model import ServedModel
from funkflow.tasks.storage.faiss_index import lists_for

MEAN = 3.2


def saved(folder: Path, biases: bool) -> tuple[Model, ServedModel]:
    """A model of 30 users and 20 items in parts of at most 7 rows."""
    rng = np.random.default_rng(0)
    user_biases, item_biases = ((0.4 * biases * rng.normal(size=count)).astype(np.float32) for count in (30, 20))
    user_factors, item_factors = ((0.5 * rng.normal(size=(count, 3))).astype(np.float32) for count in (30, 20))
    ids = np.arange(30), np.arange(20) * 10
    model = Model(MEAN, (1.0, 5.0), *ids, user_biases, item_biases, user_factors, item_factors, {})
    model.save(str(folder), part_rows=7)
    return model, ServedModel.of_files(str(folder))


@pytest.mark.parametrize("biases", [True, False])
def test_products_of_vectors_are_the_predictions(tmp_path: Path, biases: bool) -> None:
    model, served = saved(tmp_path, biases)
    items, has_biases = sample_items(served, served.items, seed=0)
    assert has_biases is biases
    vectors = np.concatenate(list(item_vectors(served, has_biases)))
    np.testing.assert_array_equal(vectors, as_vectors(items, has_biases))
    assert vectors.shape == (20, 4 if biases else 3)
    users = served.users_at(np.arange(30))
    scores = user_vectors(users, has_biases) @ vectors.T + users.scores[:, None]
    ids = np.repeat(users.ids.to_numpy(), 20), np.tile(served.item_ids(np.arange(20)).to_numpy(), 30)
    expected = model.predict(*ids, clip=False).reshape(30, 20)
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    assert abs(expected.mean() - MEAN) < 1


def test_exact_lists_are_of_all_items(tmp_path: Path) -> None:
    _, served = saved(tmp_path, biases=True)
    users = served.users_at(np.array([3, 8]))
    scores = user_vectors(users, True) @ np.concatenate(list(item_vectors(served, True))).T
    np.testing.assert_array_equal(exact_lists(served, users, 6), np.argsort(-scores, axis=1)[:, :6])


def test_a_sample_has_each_item_once_at_most(tmp_path: Path) -> None:
    _, served = saved(tmp_path, biases=True)
    items, _ = sample_items(served, 9, seed=1)
    assert items.shape == (9, 4)
    assert len(np.unique(items, axis=0)) == 9


def test_recall_is_the_part_of_the_best_that_is_found() -> None:
    exact = np.array([[1, 2, 3], [4, 5, 6]])
    found = np.array([[2, 1, 9], [5, 7, -1]])
    assert recall(found, exact, 2) == pytest.approx((2 + 1) / 4)
    assert recall(found, exact, 3) == pytest.approx((2 + 1) / 6)
    assert recall(exact, exact, 3) == 1.0


@pytest.mark.parametrize(("items", "lists"), [(1, 1), (77, 1), (3706, 95), (40_981, 810), (1_000_000, 4000)])
def test_lists_grow_with_the_root_and_have_enough_each(items: int, lists: int) -> None:
    assert lists_for(items) == lists
