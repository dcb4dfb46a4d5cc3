"""The best unseen items of many users: tiles and heaps against whole rows of scores and a plain choice.

Covers: tasks/serving/top_items.py, tasks/kernels/top_n.py, tasks/model/best.py. Does not cover: reading and writing
them (test_recommend.py).
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sessions import examples

from funkflow.tasks.model.best import best_places
from funkflow.tasks.serving import top_items as top_items_module
from funkflow.tasks.serving.top_items import BLOCK_USERS, FEW_USERS, TILE_ITEMS, Catalogue, RatedItems, top_items


def planted(
    rng: np.random.Generator, users: int, items: int, levels: int, seen_part: float
) -> tuple[np.ndarray, Catalogue, list[np.ndarray], RatedItems]:
    """Small whole numbers as factors, so that products are exact and, with few levels, most scores are tied."""
    factors = rng.integers(-levels, levels + 1, (users, 3)).astype(np.float32)
    catalogue = Catalogue(
        rng.integers(-levels, levels + 1, (items, 4)).astype(np.float32), rng.permutation(items).astype(np.int32)
    )
    lists = [np.flatnonzero(rng.random(items) < seen_part * rng.random()) for _ in range(users)]
    starts = np.concatenate([[0], np.cumsum([len(each) for each in lists])])
    places = np.concatenate([*lists, np.empty(0)]).astype(np.int32)
    return factors, catalogue, lists, RatedItems(places, starts[:-1].astype(np.int64), starts[1:].astype(np.int64))


@settings(max_examples=examples(60), deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    users=st.sampled_from([0, 1, FEW_USERS, FEW_USERS + 1, BLOCK_USERS, BLOCK_USERS + 3]),
    items=st.sampled_from([1, 2, 63, 65, TILE_ITEMS, TILE_ITEMS + 1, 2 * TILE_ITEMS + 70]),
    count=st.sampled_from([1, 2, 7, 100, 2000]),
    levels=st.sampled_from([0, 1, 3, 1000]),
    seen_part=st.sampled_from([0.0, 0.1, 1.0, 2.0]),
)
def test_tiles_and_heaps_choose_what_whole_rows_do(
    seed: int, users: int, items: int, count: int, levels: int, seen_part: float
) -> None:
    rng = np.random.default_rng(seed)
    factors, catalogue, lists, seen = planted(rng, users, items, levels, seen_part)
    top = top_items(factors, catalogue, seen, count)
    for user in range(users):
        scores = np.empty(items)
        scores[catalogue.rows] = catalogue.factors[:, :3] @ factors[user] + catalogue.factors[:, 3]
        scores[catalogue.rows[lists[user]]] = -np.inf
        expected = best_places(scores, count)
        assert top.found[user] == len(expected)
        np.testing.assert_array_equal(top.rows[user, : len(expected)], expected)
        np.testing.assert_array_equal(top.scores[user, : len(expected)], scores[expected])


@pytest.mark.parametrize("users", [1, FEW_USERS])
def test_few_users_get_the_bits_that_the_heaps_give(users: int, monkeypatch: pytest.MonkeyPatch) -> None:
    factors, catalogue, _, seen = planted(np.random.default_rng(users), users, 2 * TILE_ITEMS + 70, 0, 0.1)
    plainly = top_items(factors, catalogue, seen, 40)
    monkeypatch.setattr(top_items_module, "FEW_USERS", 0)
    by_heaps = top_items(factors, catalogue, seen, 40)
    for name in ("rows", "scores", "found"):
        assert getattr(plainly, name).tobytes() == getattr(by_heaps, name).tobytes()


@pytest.mark.parametrize("count", [1, 3, 5, 9])
def test_the_plain_choice_is_a_full_sort(count: int) -> None:
    rng = np.random.default_rng(count)
    scores = rng.integers(0, 4, 30).astype(float)
    scores[rng.random(30) < 0.3] = -np.inf
    everything = sorted((-score, place) for place, score in enumerate(scores) if score > -np.inf)
    assert best_places(scores, count).tolist() == [place for _, place in everything[:count]]
