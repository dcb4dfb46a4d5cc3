"""What a synthetic set is made of: sizes, exact counts, the planted factors, titles.

Covers: tasks/synthetic/planted.py and tasks/synthetic/titles.py. Does not cover: ratings drawn from them
(test_synthesise.py).
"""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sessions import examples

from funkflow.tasks.errors import SettingsError
from funkflow.tasks.synthetic.planted import PLANTED_RANK, apportion, film_counts, plan_set, plant
from funkflow.tasks.synthetic.titles import titles_text


def test_the_planted_model_has_twenty_factors_that_fade() -> None:
    model = plant(plan_set("demo"))
    spectrum = np.linalg.norm(model.user_factors, axis=0) * np.linalg.norm(model.item_factors, axis=0)
    assert model.rank == PLANTED_RANK == 20
    assert np.linalg.matrix_rank(model.user_factors) == np.linalg.matrix_rank(model.item_factors) == 20
    assert (np.diff(spectrum) < 0).mean() > 0.8


def test_the_netflix_shape_has_the_counts_of_the_real_set() -> None:
    whole = plan_set("netflix")
    counts = film_counts(whole)
    assert (whole.users, whole.items) == (480_189, 17_770)
    assert int(counts.ratings.sum()) == 100_480_507
    assert int(counts.probe.sum()) == 1_408_395
    assert 480 < np.median(counts.ratings) < 650
    assert 200_000 < counts.ratings.max() < 260_000


def test_a_fraction_keeps_the_density_and_shrinks_users_more_than_films() -> None:
    whole, part = plan_set("netflix"), plan_set("netflix", 0.05)
    assert (part.ratings, part.probe) == (5_024_025, 70_420)
    density = whole.ratings / whole.users / whole.items
    assert part.ratings / part.users / part.items == pytest.approx(density, rel=0.01)
    assert part.users / whole.users < part.items / whole.items


def test_a_fraction_too_small_for_its_films_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"10 ratings by 1 users of 120 films.*enlarge synth\.fraction"):
        plan_set("demo", 0.00001)


@settings(max_examples=examples(200), deadline=None)
@given(shares=st.lists(st.integers(1, 1000), min_size=1, max_size=30), data=st.data())
def test_apportion_is_exact_and_within_its_bounds(shares: list[int], data: st.DataObject) -> None:
    most = np.array(data.draw(st.lists(st.integers(1, 50), min_size=len(shares), max_size=len(shares))))
    total = data.draw(st.integers(len(shares), int(most.sum())))
    counts = apportion(np.array(shares), total, 1, most)
    assert counts.sum() == total
    assert (counts >= 1).all()
    assert (counts <= most).all()


def test_apportion_without_bounds_in_the_way_is_within_one_of_proportion() -> None:
    counts = apportion(np.array([1.0, 2.0, 4.0]), 10, 0, np.full(3, 10))
    assert counts.tolist() == [1, 3, 6]


def test_titles_are_as_awkward_as_the_real_ones() -> None:
    text = titles_text(plan_set("demo"))
    with pytest.raises(UnicodeDecodeError):
        text.decode("utf-8")
    rows = [re.fullmatch(r"(\d+),(\d{4}|NULL),(.+)", line) for line in text.decode("latin-1").splitlines()]
    found = [row.groups() for row in rows if row]
    assert [int(item) for item, _, _ in found] == list(range(1, 1_201))
    assert 1 <= sum(year == "NULL" for _, year, _ in found) <= 30
    assert any("," in title for _, _, title in found)
