"""The best unseen items of many users: tiles and thresholds against whole rows of scores and a plain choice.

Covers: tasks/serving/top_items.py, tasks/kernels/top_n.py, tasks/model/best.py. Does not cover: reading and writing
them (test_recommend.py).
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sessions import examples

from funkflow.tasks.model.best import best_places
from funkflow.tasks.model.parts import rows_of_own
from funkflow.tasks.serving import top_items as top_items_module
from funkflow.tasks.serving.top_items import BLOCK_USERS, FEW_USERS, TILE_ITEMS, RatedItems, in_whole_tiles, top_items


def planted(
    rng: np.random.Generator, users: int, items: int, levels: int, seen_part: float
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray], RatedItems]:
    """Small whole numbers as factors, so that products are exact and, with few levels, most scores are tied."""
    factors = rng.integers(-levels, levels + 1, (users, 3)).astype(np.float32)
    catalogue = rng.integers(-levels, levels + 1, (items, 4)).astype(np.float32)
    lists = [np.flatnonzero(rng.random(items) < seen_part * rng.random()) for _ in range(users)]
    starts = np.concatenate([[0], np.cumsum([len(each) for each in lists])])
    rated = np.concatenate([*lists, np.empty(0)]).astype(np.int32)
    return factors, catalogue, lists, RatedItems(rated, starts[:-1].astype(np.int64), starts[1:].astype(np.int64))


def cut(rng: np.random.Generator, catalogue: np.ndarray, shards: int) -> list[np.ndarray]:
    """Cut a catalogue anywhere; some shards may be empty, or smaller than a tile."""
    return np.split(catalogue, np.sort(rng.integers(0, len(catalogue) + 1, shards - 1)))


@settings(max_examples=examples(60), deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    users=st.sampled_from([0, 1, FEW_USERS, FEW_USERS + 1, BLOCK_USERS, BLOCK_USERS + 3]),
    items=st.sampled_from([1, 2, 63, 65, TILE_ITEMS, TILE_ITEMS + 1, 2 * TILE_ITEMS + 70]),
    count=st.sampled_from([1, 2, 7, 100, 2000]),
    levels=st.sampled_from([0, 1, 3, 1000]),
    seen_part=st.sampled_from([0.0, 0.1, 1.0, 2.0]),
    shards=st.integers(1, 6),
)
def test_tiles_and_thresholds_choose_what_whole_rows_do(
    seed: int, users: int, items: int, count: int, levels: int, seen_part: float, shards: int
) -> None:
    rng = np.random.default_rng(seed)
    factors, catalogue, lists, seen = planted(rng, users, items, levels, seen_part)
    top = top_items(factors, cut(rng, catalogue, shards), seen, min(count, items))
    for user in range(users):
        scores = (catalogue[:, :3] @ factors[user] + catalogue[:, 3]).astype(float)
        scores[lists[user]] = -np.inf
        expected = best_places(scores, count)
        assert top.found[user] == len(expected)
        np.testing.assert_array_equal(top.rows[user, : len(expected)], expected)
        np.testing.assert_array_equal(top.scores[user, : len(expected)], scores[expected])


@settings(max_examples=examples(60), deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    users=st.sampled_from([1, 2, 31, BLOCK_USERS + 3]),
    items=st.integers(1, 5 * TILE_ITEMS),
    rank=st.sampled_from([1, 7, 64]),
    shards=st.integers(2, 9),
    alike=st.booleans(),
)
def test_items_in_shards_give_the_bits_of_one_shard(
    seed: int, users: int, items: int, rank: int, shards: int, alike: bool
) -> None:
    """Wherever the shards are cut; `alike` : the same few items again and again, so that ties cross the cuts."""
    rng = np.random.default_rng(seed)
    catalogue = rng.normal(size=(items, rank + 1)).astype(np.float32)
    if alike:
        catalogue = catalogue[rng.integers(0, min(items, 5), items)]
    factors, nothing = rng.normal(size=(users, rank)).astype(np.float32), np.zeros(users, np.int64)
    unrated = RatedItems(np.empty(0, np.int32), nothing, nothing)
    count = min(items, 50)
    whole, in_shards = (top_items(factors, each, unrated, count) for each in ([catalogue], cut(rng, catalogue, shards)))
    for name in ("rows", "scores", "found"):
        np.testing.assert_array_equal(getattr(in_shards, name), getattr(whole, name))
    places = np.argsort(-whole.scores[0], kind="stable")
    np.testing.assert_array_equal(places, np.arange(count))
    tied = np.diff(whole.scores, axis=1) == 0
    assert (np.diff(whole.rows, axis=1)[tied] > 0).all()


def test_one_shard_is_held_at_a_time() -> None:
    """Whoever reads the shards may free each one before the next; `whole tiles` are views of them."""
    rng = np.random.default_rng(3)
    made: list[weakref.ref[np.ndarray]] = []

    def shards() -> Iterator[np.ndarray]:
        for _ in range(4):
            assert [each() for each in made if each() is not None] == []
            shard = rng.normal(size=(2 * TILE_ITEMS + 7, 4)).astype(np.float32)
            made.append(weakref.ref(shard))
            yield shard
            del shard

    nothing = np.zeros(3, np.int64)
    top = top_items(np.ones((3, 3), np.float32), shards(), RatedItems(np.empty(0, np.int32), nothing, nothing), 5)
    assert (top.found == 5).all()
    assert len(made) == 4


@given(sizes=st.lists(st.integers(0, 3 * TILE_ITEMS), max_size=6))
def test_shards_of_whole_tiles_hold_the_same_items(sizes: list[int]) -> None:
    items = np.arange(sum(sizes), dtype=np.float32)[:, None]
    found = list(in_whole_tiles(np.split(items, np.cumsum(sizes)[:-1]) if sizes else []))
    assert all(len(each) % TILE_ITEMS == 0 for each in found[:-1])
    np.testing.assert_array_equal(np.concatenate([items[:0], *found]), items)


@pytest.mark.parametrize("few", [0, FEW_USERS])
@given(seed=st.integers(0, 2**32 - 1), items=st.integers(1, 40), parts=st.integers(1, 9), ratings=st.integers(0, 60))
@settings(max_examples=examples(100), deadline=None)
def test_rated_items_are_those_of_each_wanted_user_by_row(
    few: int, seed: int, items: int, parts: int, ratings: int
) -> None:
    rng = np.random.default_rng(seed)
    cells = np.unique(rng.integers(0, 8 * items, ratings))
    users, rated_items = (cells // items).astype(np.int32), (cells % items).astype(np.int32)
    wanted = np.flatnonzero(rng.random(8) < 0.6).astype(np.int32)
    part_rows = [len(range(part, items, parts)) for part in range(parts)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(top_items_module, "FEW_USERS", few)
        rated = RatedItems.of(wanted, (users, rated_items), part_rows)
    assert [rated.items[start:end].tolist() for start, end in zip(rated.starts, rated.ends, strict=True)] == [
        sorted(rows_of_own(rated_items[users == user], part_rows).tolist()) for user in wanted
    ]


@pytest.mark.parametrize("users", [1, FEW_USERS])
def test_few_users_get_the_bits_that_the_heaps_give(users: int, monkeypatch: pytest.MonkeyPatch) -> None:
    factors, catalogue, _, seen = planted(np.random.default_rng(users), users, 2 * TILE_ITEMS + 70, 0, 0.1)
    plainly = top_items(factors, [catalogue], seen, 40)
    monkeypatch.setattr(top_items_module, "FEW_USERS", 0)
    by_heaps = top_items(factors, [catalogue], seen, 40)
    for name in ("rows", "scores", "found"):
        assert getattr(plainly, name).tobytes() == getattr(by_heaps, name).tobytes()


@pytest.mark.parametrize("count", [1, 3, 5, 9])
def test_the_plain_choice_is_a_full_sort(count: int) -> None:
    rng = np.random.default_rng(count)
    scores = rng.integers(0, 4, 30).astype(float)
    scores[rng.random(30) < 0.3] = -np.inf
    everything = sorted((-score, place) for place, score in enumerate(scores) if score > -np.inf)
    assert best_places(scores, count).tolist() == [place for _, place in everything[:count]]
