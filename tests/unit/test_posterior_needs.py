"""The predicted memory of sampling a posterior, and of the stages after it.

Covers: pipeline/planning/posterior_memory.py, and the rank of the saved model in pipeline/planning/budget.py.
Does not cover: what a run takes (tests/cluster/test_bayes_memory.py).
"""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from funkflow.pipeline.planning.budget import predict_bytes
from funkflow.pipeline.planning.method_memory import Size, Workload, als_need, row_bytes
from funkflow.pipeline.planning.posterior_memory import bayes_need, members_need, noise_bytes
from funkflow.pipeline.planning.sgd_memory import sgd_need
from funkflow.tasks.grid.block import RatingBlock
from funkflow.tasks.grid.factor_shard import shard_of, write_shard
from funkflow.tasks.grid.scaling import Scaling
from funkflow.tasks.training.posterior.noise_by_rating import measure_row

NETFLIX = Workload(Size(99_000_000, 480_189, 17_770, 0), 32, 4, 1, 2)


def test_small_sets_need_little_beside_row_solves() -> None:
    small = Workload(Size(810, 60, 40, 0), 64, 4, 1, 2)
    assert bayes_need(small).worker < als_need(small).worker + 20e6


def test_waiting_draws_and_means_grow_with_rows_and_rank() -> None:
    beside = bayes_need(NETFLIX).worker - als_need(NETFLIX).worker
    row_bytes = 4 * 34 * (480_189 + 17_770)
    assert 6 * row_bytes < beside < 30 * row_bytes
    wide = replace(NETFLIX, rank=64)
    assert bayes_need(wide).worker - als_need(wide).worker > 1.8 * beside


def test_a_mean_of_runs_needs_what_a_run_needs_and_a_few_of_them() -> None:
    beside = members_need(NETFLIX).worker - sgd_need(NETFLIX).worker
    row_bytes = 4 * 34 * (480_189 + 17_770)
    assert 6 * row_bytes < beside < 30 * row_bytes
    assert members_need(NETFLIX).worker < bayes_need(NETFLIX).worker


@pytest.mark.parametrize(
    ("ratings", "users", "rank"), [(1_000_000, 6_000, 16), (100_000, 60_000, 64), (400_000, 20_000, 128)]
)
def test_noise_by_rating_takes_what_is_predicted(tmp_path: Path, ratings: int, users: int, rank: int) -> None:
    """A task on two blocks of so many ratings, traced, beside its items; what Arrow reads is not traced."""
    items, rng = 3_000, np.random.default_rng(0)
    cells = [np.sort(rng.choice(users * items, ratings, replace=False)) for _ in range(2)]
    values = rng.integers(1, 6, ratings).astype(np.float32)
    row = tuple(RatingBlock.of(*np.divmod(each, items), values, (users, items)) for each in cells)
    shards = [shard_of(rng.normal(size=(rows, rank)).astype(np.float32), np.zeros(rows)) for rows in (users, items)]
    place = f"{tmp_path}/users.npy", write_shard(f"{tmp_path}/users.npy", shards[0])
    tracemalloc.start()
    try:
        measure_row(row, place, (shards[1],) * 2, rank, Scaling(3.0, 1.0), 2 * ratings)
        measured = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    work = Workload(Size(4 * ratings, 2 * users, 2 * items, 0), rank, 2, 1, 1)
    needed = noise_bytes(work) - 2 * items * row_bytes(rank)
    assert measured + 8 * ratings <= needed < 1.4 * (measured + 8 * ratings)
    assert noise_bytes(replace(work, threads=2)) > needed + measured


def test_a_run_that_draws_has_room_for_measuring_its_noise() -> None:
    few_shards = replace(NETFLIX, shards=1, threads=1)
    predicted = predict_bytes(few_shards, 64 * 2**20, 4_000_000, "bayes").scoring_worker_bytes
    assert predicted > noise_bytes(replace(few_shards, rank=64)) > 99_000_000 * 30


def test_means_of_rows_need_three_times_the_rows_and_room_for_their_regression() -> None:
    row_bytes = 4 * 34 * (480_189 + 17_770)
    more = bayes_need(replace(NETFLIX, row_means=True)).worker - bayes_need(NETFLIX).worker
    assert (2 * 6 + 8) * row_bytes < more < (2 * 6 + 20) * row_bytes


@pytest.mark.parametrize("method", ["sgd", "bayes", "members"])
def test_the_model_of_a_mean_is_scored_at_its_own_rank(method: str) -> None:
    found = predict_bytes(NETFLIX, 64 * 2**20, 4_000_000, method).scoring_bytes
    doubled = predict_bytes(replace(NETFLIX, rank=64), 64 * 2**20, 4_000_000, "sgd").scoring_bytes
    assert (found >= doubled) == (method != "sgd")  # and intervals need some on top
