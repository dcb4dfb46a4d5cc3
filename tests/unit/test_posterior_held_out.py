"""Predictions of validation ratings by draws: their mean, and the traces of some.

Covers: tasks/training/posterior/held_out.py and `traces_of`: rows without training ratings, many chains, no ratings.
Does not cover: what convergence is made of traces (test_convergence.py).
"""

from __future__ import annotations

import numpy as np
import pytest

from funkflow.tasks.grid.scaling import Scaling
from funkflow.tasks.training.posterior import held_out as scoring
from funkflow.tasks.training.posterior.mean import CompactShard
from funkflow.tasks.training.posterior.priors import NoiseLevel
from funkflow.tasks.training.posterior.starts import first_items, first_users
from funkflow.tasks.training.posterior.state import traces_of
from funkflow.tasks.training.posterior.sweep_parts import UserDraw
from funkflow.tasks.training.score import HeldOut

RANK, SCALING, SCALE = 2, Scaling(3.0, 2.0), (1.0, 5.0)
USERS, ITEMS = 6, 4


def held_out(count: int) -> HeldOut:
    """Ratings in two item shards of two rows; -1 stands for a row without training ratings."""
    rng = np.random.default_rng(2)
    rows = [rng.integers(-1, most, count).astype(np.int32) for most in (USERS, ITEMS // 2)]
    starts = np.array([0, count // 2, count])
    return HeldOut(rows[0], rows[1], rng.integers(1, 6, count).astype(np.float32), starts)


def draw(seed: int) -> tuple[UserDraw, list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    users, items = (rng.normal(size=(n, RANK + 2)).astype(np.float32) for n in (USERS, ITEMS))
    users[:, -1] = items[:, -2] = 1.0
    return first_users(users, np.ones(USERS)), [items[:2], items[2:]]


def predicted(ratings: HeldOut, users: np.ndarray, items: list[np.ndarray]) -> list[float]:
    """Rating by rating; a row without training ratings adds neither factors nor bias."""
    found = []
    for n in range(len(ratings.ratings)):
        u, i, shard = ratings.user_rows[n], ratings.item_rows[n], items[int(n >= ratings.starts[1])]
        if u >= 0 and i >= 0:
            found.append(float(users[u].astype(float) @ shard[i].astype(float)))
        else:
            found.append(float(users[u, -2] if u >= 0 else 0.0) + float(shard[i, -1] if i >= 0 else 0.0))
    return found


def test_the_mean_of_draws_and_its_errors() -> None:
    ratings, each = held_out(40), []
    drawn = [scoring.HeldOutDraws.none(ratings) for _ in range(2)]
    for seed in range(6):
        users, items = draw(seed)
        whole = first_items([np.ones(2)] * 2, NoiseLevel(1.0, 8.0), *items)
        drawn[seed % 2] = scoring.add_draw(drawn[seed % 2], ratings, True, users, whole)
        each.append(predicted(ratings, users.rows, items))
    mean = 3.0 + 2.0 * np.mean(each, axis=0)
    errors = scoring.errors_of_mean(ratings, SCALING, SCALE, *drawn)
    assert errors.rmse == pytest.approx(np.sqrt(np.mean((ratings.ratings - np.clip(mean, *SCALE)) ** 2)), rel=1e-6)
    np.testing.assert_allclose(traces_of(drawn, 3), [each[0::2], each[1::2]], rtol=1e-6)
    assert (ratings.user_rows < 0).any()


def test_a_place_in_which_chains_follow_each_other_has_a_trace_for_each() -> None:
    ratings = held_out(8)
    drawn = scoring.HeldOutDraws.none(ratings)
    for seed in range(6):
        users, items = draw(seed)
        drawn = scoring.add_draw(
            drawn, ratings, True, users, first_items([np.ones(2)] * 2, NoiseLevel(1.0, 8.0), *items)
        )
    assert traces_of([drawn], 2).shape == (3, 2, 8)
    np.testing.assert_array_equal(traces_of([drawn], 2).reshape(6, 8), drawn.trace)


def test_without_ratings_there_is_nothing_to_trace() -> None:
    ratings = held_out(0)
    drawn = scoring.HeldOutDraws.none(ratings)
    users, items = draw(1)
    for _ in range(4):
        drawn = scoring.add_draw(
            drawn, ratings, True, users, first_items([np.ones(2)] * 2, NoiseLevel(1.0, 8.0), *items)
        )
    assert traces_of([drawn, drawn], 2).shape == (4, 2, 0)
    assert scoring.errors_of_mean(ratings, SCALING, SCALE, drawn).ratings == 0


def test_a_compact_mean_of_all_ranks_is_not_away_from_the_mean() -> None:
    """One draw, so that the compact factors are the draw's own."""
    ratings = held_out(40)
    users, items = draw(3)
    drawn = scoring.add_draw(
        scoring.HeldOutDraws.none(ratings),
        ratings,
        True,
        users,
        first_items([np.ones(2)] * 2, NoiseLevel(1.0, 8.0), *items),
    )
    mine = CompactShard(users.rows[:, :RANK], users.rows[:, -2].astype(float))
    others = [CompactShard(each[:, :RANK], each[:, -1].astype(float)) for each in items]
    whole, cut = scoring.errors_of_compact(ratings, mine, others, [RANK, 1], SCALING, SCALE, drawn)
    assert whole.away < 1e-9 < cut.away
    assert whole.errors.rmse == pytest.approx(scoring.errors_of_mean(ratings, SCALING, SCALE, drawn).rmse, rel=1e-5)
