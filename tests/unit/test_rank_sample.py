"""NDCG of a model in training on a sample of users, against plain loops over whole matrices.

Covers: tasks/serving/rank_sample.py.
Does not cover: the measures (test_ranking_measures.py), the loop that stops by it (tests/cluster/test_stop_by_ndcg.py).
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sessions import examples

from funkflow.tasks.grid.block import RatingBlock
from funkflow.tasks.grid.factor_shard import shard_rows
from funkflow.tasks.serving.rank_sample import (
    LEAST_USERS,
    MOST_USERS,
    RankSample,
    SampleRule,
    choose_sample,
    rank_sample,
    users_to_sample,
)
from funkflow.tasks.training.score import HeldOut, held_out_table

USERS, ITEMS, SHARDS, LENGTH = 31, 23, 3, 5
ALL = SampleRule(LENGTH, 4.0, 10_000, 0)


class Made:
    """Ratings, of which some are held out, and random factors."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        cells = np.sort(rng.choice(USERS * ITEMS, 300, replace=False))
        self.users, self.items = cells // ITEMS, cells % ITEMS
        self.ratings = rng.integers(1, 6, 300).astype(np.float32)
        self.held = rng.random(300) < 0.3
        self.factors = [rng.standard_normal((count, 4)).astype(np.float32) for count in (USERS, ITEMS)]

    def sample(self, shard: int, rule: SampleRule = ALL) -> RankSample:
        row = []
        for column in range(SHARDS):
            here = ~self.held & (self.users % SHARDS == shard) & (self.items % SHARDS == column)
            shape = shard_rows(USERS, SHARDS, shard), shard_rows(ITEMS, SHARDS, column)
            rows, columns = ((each[here] // SHARDS).astype(np.int32) for each in (self.users, self.items))
            row.append(RatingBlock.of(rows, columns, self.ratings[here], shape))
        table = held_out_table(
            np.append(self.users[self.held], -1), np.append(self.items[self.held], 3),
            np.append(self.ratings[self.held], np.float32(5)), SHARDS, shard,
        ).combine_chunks()  # fmt: skip
        rows, columns, ratings = (table[name].to_numpy() for name in ("user_row", "item_row", "rating"))
        starts = np.searchsorted(table["item_shard"].to_numpy(), np.arange(SHARDS + 1)).astype(np.int64)
        return choose_sample(tuple(row), HeldOut(rows, columns, ratings, starts), rule, shard)

    def ndcg(self, user: int) -> float | None:
        """One user's NDCG, as a textbook has it; None without a relevant rating."""
        mine = self.users == user
        relevant = set(self.items[mine & self.held & (self.ratings >= ALL.threshold)].tolist())
        if not relevant:
            return None
        scores = self.factors[1] @ self.factors[0][user]
        scores[self.items[mine & ~self.held]] = -np.inf
        best = [item for item in np.argsort(-scores).tolist() if scores[item] > -np.inf][:LENGTH]
        ideal = sum(1 / math.log2(place + 2) for place in range(min(len(relevant), LENGTH)))
        return sum(1 / math.log2(place + 2) for place, item in enumerate(best) if item in relevant) / ideal


@given(st.integers(0, 1_000))
@settings(max_examples=examples(40), deadline=None)
def test_with_all_users_it_is_the_ndcg_of_plain_loops(seed: int) -> None:
    made = Made(seed)
    by_shard = [[each[shard::SHARDS] for shard in range(SHARDS)] for each in made.factors]
    found = [rank_sample(made.sample(shard), LENGTH, users, *by_shard[1]) for shard, users in enumerate(by_shard[0])]
    expected = [ndcg for user in range(USERS) if (ndcg := made.ndcg(user)) is not None]
    assert sum(each.users for each in found) == len(expected)
    assert sum(each.ndcg for each in found) == pytest.approx(sum(expected))


def test_a_sample_has_as_many_users_of_each_shard_and_their_ratings_alone() -> None:
    made, rule = Made(0), SampleRule(LENGTH, 4.0, 6, 0)
    by_shard = [[each[shard::SHARDS] for shard in range(SHARDS)] for each in made.factors]
    for shard, users in enumerate(by_shard[0]):
        few = made.sample(shard, rule)
        assert len(few.users) == 2
        expected = [made.ndcg(int(row) * SHARDS + shard) for row in few.users]
        assert rank_sample(few, LENGTH, users, *by_shard[1]).ndcg == pytest.approx(sum(each or 0 for each in expected))


def test_the_seed_chooses_the_users() -> None:
    made = Made(0)
    chosen = [made.sample(0, SampleRule(LENGTH, 4.0, 9, seed)).users.tolist() for seed in (0, 0, 1, 2, 3)]
    assert chosen[0] == chosen[1]
    assert len({tuple(each) for each in chosen}) > 1


def test_without_a_relevant_rating_there_are_no_users() -> None:
    made = Made(0)
    none = made.sample(0, SampleRule(LENGTH, 6.0, 9, 0))
    found = rank_sample(none, LENGTH, made.factors[0][::3], *(made.factors[1][shard::3] for shard in range(3)))
    assert (len(none.users), found.users, found.ndcg) == (0, 0, 0.0)


@pytest.mark.parametrize(
    ("items", "users"), [(1, MOST_USERS), (3_706, MOST_USERS), (40_981, 3_275), (10**7, LEAST_USERS)]
)
def test_more_items_leave_fewer_users(items: int, users: int) -> None:
    assert users_to_sample(items) == users
