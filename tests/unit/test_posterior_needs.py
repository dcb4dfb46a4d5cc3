"""The predicted memory of sampling a posterior, and of the stages after it.

Covers: pipeline/planning/posterior_memory.py, and the rank of the saved model in pipeline/planning/budget.py.
Does not cover: what a run takes (tests/cluster/test_bayes_memory.py).
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from funkflow.pipeline.planning.budget import predict_bytes
from funkflow.pipeline.planning.method_memory import Size, Workload, als_need, sgd_need
from funkflow.pipeline.planning.posterior_memory import bayes_need, members_need

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


@pytest.mark.parametrize("method", ["sgd", "bayes", "members"])
def test_the_model_of_a_mean_is_scored_at_its_own_rank(method: str) -> None:
    found = predict_bytes(NETFLIX, 64 * 2**20, 4_000_000, method).scoring_bytes
    doubled = predict_bytes(replace(NETFLIX, rank=64), 64 * 2**20, 4_000_000, "sgd").scoring_bytes
    assert (found >= doubled) == (method != "sgd")  # and intervals need some on top
