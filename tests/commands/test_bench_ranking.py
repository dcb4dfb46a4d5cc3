"""The benchmark of recommendations at its smallest: its evaluator, its rivals, and the rows of a made set.

Covers: bench/ranking/, bench/sections/ranking.py: measures against sums by hand, EASE against its definition, a whole
tiny run, sets that are absent.
Does not cover: the other sections (test_bench.py), or figures on real sets (docs/ranking.md).
"""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from bench import context
from bench.data import no_data
from bench.forms import FORMS
from bench.ranking import rivals
from bench.ranking.cases import Case, cases_of
from bench.ranking.held_out import HeldOut
from bench.ranking.measures import measured
from bench.ranking.sets import RankingSet, made_set
from bench.sections import ranking

SCORES = np.array([[5, 4, 3, 2, 1], [1, 2, 3, 4, 5], [1, 5, 3, 2, 4]], np.float32)


def small(negatives: list[list[int]] | None = None) -> HeldOut:
    """Three users and five items; the first user's best item is one of training, the last has nothing relevant."""
    training = np.array([[0, 0], [1, 0], [2, 1]], np.int32).T
    relevant = np.array([[0, 1], [0, 4], [1, 2]] if negatives is None else [[0, 1], [1, 3]], np.int32).T
    ids = np.arange(3), np.arange(5)
    return HeldOut(
        *ids, (training[0], training[1], np.ones(3, np.float32)), (relevant[0], relevant[1]),
        None if negatives is None else np.array(negatives, np.int32),
    )  # fmt: skip


def test_lists_are_judged_without_training_items() -> None:
    reached = measured(small(), lambda users: SCORES[users], [("NDCG", 2), ("recall", 2), ("recall", 4), ("NDCG", 4)])
    second, third, fourth = 1 / np.log2([3, 4, 5])
    assert reached["recall@2"] == pytest.approx((1 / 2 + 0) / 2)
    assert reached["recall@4"] == pytest.approx((2 / 2 + 1) / 2)
    assert reached["NDCG@2"] == pytest.approx((1 / (1 + second) + 0) / 2)
    assert reached["NDCG@4"] == pytest.approx(((1 + fourth) / (1 + second) + third) / 2)


def test_one_item_is_judged_among_sampled_negatives_and_ties_count_against_it() -> None:
    tied = SCORES.copy()
    tied[1, 2] = tied[1, 3]
    held_out = small(negatives=[[3, 4], [0, 2], [0, 2]])
    reached = measured(held_out, lambda users: tied[users], [("HR", 1), ("HR", 2), ("NDCG", 2)])
    assert reached == pytest.approx({"HR@1": 1 / 2, "HR@2": 1.0, "NDCG@2": (1 + 1 / np.log2(3)) / 2})


@pytest.mark.parametrize("users", [12, 40])
def test_ease_is_the_least_ridge_error_with_a_diagonal_of_0(users: int) -> None:
    """Each column is a ridge regression of an item on all others, with fewer users than items and with more."""
    rng = np.random.default_rng(3)
    cells = rng.random((users, 20)) < 0.4
    pairs = np.argwhere(cells).astype(np.int32).T
    held_out = HeldOut(np.arange(users), np.arange(20), (pairs[0], pairs[1], np.ones(pairs.shape[1], np.float32)),
                       (pairs[0][:1], pairs[1][:1]))  # fmt: skip
    found = rivals.ease(held_out, 5.0)(np.arange(users, dtype=np.int32))
    x = cells.astype(np.float64)
    for item in range(20):
        others = np.delete(x, item, axis=1)
        weights = np.linalg.solve(others.T @ others + 5.0 * np.eye(19), others.T @ x[:, item])
        np.testing.assert_allclose(found[:, item], others @ weights, atol=1e-4)


def bench_in(folder: Path) -> context.Bench:
    form = FORMS["tiny"]
    return context.Bench(form, no_data(form, folder), ("implicit",), 120, lambda _line: None)


def test_a_tiny_run_has_a_row_for_each_contestant_and_its_own_ranking_is_the_evaluators(tmp_path: Path) -> None:
    found = {row.contestant: row for row in ranking.rows(bench_in(tmp_path))}
    ours, popular = found["ours, k = 8"], found["most rated"]
    assert ours.failed == ""
    assert ours.more["NDCG@10"] > 3 * popular.more["NDCG@10"]
    assert set(ours.more) == {"NDCG@10", "recall@20", "NDCG@100", "variants", "by_seed"}
    assert set(found["EASE, best of 3"].more["variants"]) == {"L2 200", "L2 500", "L2 1000"}
    if find_spec("implicit") is None:
        assert found["implicit"].failed.startswith("not installed: ")
    else:
        assert found["implicit ALS, k = 100"].more["NDCG@10"] > popular.more["NDCG@10"]


def test_an_absent_set_is_a_row_that_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    absent: RankingSet = replace(made_set(tmp_path), folder=tmp_path / "nowhere")
    monkeypatch.setattr(ranking, "cases_of", lambda _form, _folder: [Case(absent, ())])
    (row,) = ranking.rows(bench_in(tmp_path))
    assert row.failed == "nowhere is absent (data/README.md)"


def test_forms_name_real_sets_alone_but_for_the_smallest(tmp_path: Path) -> None:
    names = {form: [case.data.folder.name for case in cases_of(form, tmp_path)] for form in FORMS}
    assert names["tiny"] == ["groups"]
    assert names["small"] == ["ml-100k", "ml-latest-small", "ml-1m"]
    assert names["full"] == [*names["small"], "gowalla", "ml-1m-ncf"]
