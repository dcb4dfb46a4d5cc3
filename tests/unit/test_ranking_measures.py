"""Measures of lists of items, against plain loops, scikit-learn and every order that chance can give.

Covers: tasks/serving/ranking_measures.py.
Does not cover: the lists of a whole run and its most rated items (test_recommend.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import permutations
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, label_ranking_average_precision_score, ndcg_score

from funkflow.tasks.serving.ranking_measures import (
    Ranking,
    expected_rankings,
    no_rankings,
    self_information,
    sum_rankings,
)

ITEMS = 9
USER = st.tuples(st.permutations(range(ITEMS)), st.sets(st.integers(0, ITEMS - 1), min_size=1), st.integers(0, ITEMS))


def plain(order: Sequence[int], relevant: set[int], length: int) -> dict[str, float]:
    """One user's measures, as a textbook has them."""
    shown = list(order)[:length]
    hits = [item in relevant for item in shown]
    ideal = sum(1 / math.log2(place + 2) for place in range(min(len(relevant), length)))
    precisions = [sum(hits[: place + 1]) / (place + 1) for place in range(len(shown)) if hits[place]]
    return {
        "precision": sum(hits) / length,
        "recall": sum(hits) / len(relevant),
        "ndcg": sum(1 / math.log2(place + 2) for place, hit in enumerate(hits) if hit) / ideal,
        "hit_rate": float(any(hits)),
        "mrr": 1 / (hits.index(True) + 1) if any(hits) else 0.0,
        "map": sum(precisions) / min(len(relevant), length),
    }


def mean(several: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: sum(each[name] for each in several) / len(several) for name in several[0]}


def measured(
    rows: Any, relevant: Sequence[set[int]], lengths: Sequence[int], information: npt.NDArray[np.float64] | None = None
) -> tuple[Ranking, ...]:
    pairs = np.array([user * ITEMS + item for user, own in enumerate(relevant) for item in own], np.int64)
    known = np.zeros(ITEMS) if information is None else information
    return sum_rankings(np.array(rows, np.int32), pairs, known, lengths)


@given(st.lists(USER, min_size=1, max_size=5), st.sets(st.integers(1, ITEMS + 3), min_size=1, max_size=3), st.data())
def test_every_measure_is_that_of_plain_loops(users: Any, lengths: set[int], data: st.DataObject) -> None:
    """Lists end early for some users, and lengths may pass the number of items."""
    asked, most = tuple(lengths), min(ITEMS, max(lengths))
    lists = [order[:long] for order, _, long in users]
    rows = [(own + [-1] * ITEMS)[:most] for own in lists]
    ratings = np.array(data.draw(st.lists(st.integers(0, 8), min_size=ITEMS, max_size=ITEMS)), np.int64)
    found = measured(rows, [relevant for _, relevant, _ in users], asked, self_information(ratings, 8))
    for length, ranking in zip(asked, found, strict=True):
        expected = mean([plain(own, each[1], length) for own, each in zip(lists, users, strict=True)])
        listed = [item for own in lists for item in own[:length]]
        expected["coverage"] = len(set(listed)) / ITEMS
        surprises = [-math.log2(max(1, ratings[item]) / 8) for item in listed]
        expected["novelty"] = sum(surprises) / len(surprises) if surprises else 0.0
        assert ranking.means(ITEMS) == pytest.approx(expected)


@given(st.lists(USER, min_size=2, max_size=6), st.integers(1, ITEMS))
def test_users_in_two_parts_have_the_sums_of_all(users: Any, length: int) -> None:
    rows, relevant = [each[0][:length] for each in users], [each[1] for each in users]
    ((whole,), (first,), (rest,)) = (
        measured(rows[part], relevant[part], [length]) for part in (slice(None), slice(1), slice(1, None))
    )
    assert (first + rest).means(ITEMS) == pytest.approx(whole.means(ITEMS))
    assert (whole + no_rankings(ITEMS, [length])[0]).means(ITEMS) == whole.means(ITEMS)


@pytest.mark.parametrize("length", [1, 5, 20, 50])
def test_scikit_learn_has_the_same_ndcg_precision_of_hits_and_first_hit(length: int) -> None:
    """Average precision has no cut in scikit-learn, so it is compared where the list holds all items."""
    rng = np.random.default_rng(3)
    scores, likes = rng.normal(size=(40, 50)), rng.random((40, 50)) < 0.1
    likes[np.arange(40), rng.integers(0, 50, 40)] = True
    rows = np.argsort(-scores, axis=1)[:, :length].astype(np.int32)
    (found,) = sum_rankings(rows, np.flatnonzero(likes), np.zeros(50), [length])
    measures = found.means(50)
    assert measures["ndcg"] == pytest.approx(ndcg_score(likes, scores, k=length))
    if length == 50:
        each = [average_precision_score(own, mine) for own, mine in zip(likes, scores, strict=True)]
        assert measures["map"] == pytest.approx(np.mean(each))
        assert measures["map"] == pytest.approx(label_ranking_average_precision_score(likes, scores))
        only = np.eye(50, dtype=bool)[np.argmax(np.where(likes, scores, -np.inf), axis=1)]
        assert measures["mrr"] == pytest.approx(label_ranking_average_precision_score(only, scores))


@pytest.mark.parametrize("candidates", range(1, 7))
def test_a_random_order_is_expected_to_have_the_mean_over_all_orders(candidates: int) -> None:
    lengths = [1, 2, 4, 8]
    for relevant in range(1, candidates + 1):
        orders = list(permutations(range(candidates)))
        found = expected_rankings(np.array([candidates]), np.array([relevant]), np.array([2.5]), lengths)
        for length, ranking in zip(lengths, found, strict=True):
            expected = mean([plain(order, set(range(relevant)), length) for order in orders])
            assert ranking.means(ITEMS) == pytest.approx({**expected, "novelty": 2.5})


def test_a_random_order_of_many_items_loses_no_digits() -> None:
    """A million candidates with 500 relevant: 1 - C(M - R, k) / C(M, k), by logarithms of factorials."""
    m, r, k = 1_000_000, 500, 100
    (found,) = expected_rankings(np.array([m]), np.array([r]), np.zeros(1), [k])
    logarithm = sum(math.log1p(-r / (m - place)) for place in range(k))
    assert found.hit_rate == pytest.approx(-math.expm1(logarithm), rel=1e-9)


def test_a_perfect_ranking_measures_one() -> None:
    (found,) = sum_rankings(np.array([[3, 1, 2], [0, 2, -1]], np.int32), np.array([3, 1, 2, 4, 6]), np.zeros(4), [3])
    assert (found.recall, found.hit_rate, found.mrr, found.map) == (2.0, 2.0, 2.0, 2.0)
    assert found.ndcg == pytest.approx(2.0)
    assert found.precision == pytest.approx(1 + 2 / 3)


def test_an_item_that_nobody_rated_counts_as_rated_once() -> None:
    assert self_information(np.array([0, 1, 2, 8]), 8).tolist() == [3.0, 3.0, 2.0, 0.0]
