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
from bench.ranking import made, rivals
from bench.ranking.cases import Case, cases_of
from bench.ranking.held_out import HeldOut
from bench.ranking.made import groups, made_sets
from bench.ranking.measures import MULT_VAE, measured
from bench.ranking.sets import RankingSet, read_rows
from bench.sections import ranking

SCORES = np.array([[5, 4, 3, 2, 1], [1, 2, 3, 4, 5], [1, 5, 3, 2, 4]], np.float32)


PACKAGES = {"implicit": "implicit ALS, k = 100", "pyspark": "pyspark ALS, k = 64", "cmfrec": "cmfrec ALS, k = 64"}


def small(negatives: list[list[int]] | None = None) -> HeldOut:
    """Three users and five items; the first user's best item is one of training, the last has nothing relevant."""
    training = np.array([[0, 0], [1, 0], [2, 1]], np.int32).T
    relevant = np.array([[0, 1], [0, 4], [1, 2]] if negatives is None else [[0, 1], [1, 3]], np.int32).T
    ids = np.arange(3), np.arange(5)
    return HeldOut(
        *ids, (training[0], training[1], np.ones(3, np.float32)), (relevant[0], relevant[1]),
        None if negatives is None else np.array(negatives, np.int32),
    )  # fmt: skip


WANTED = [("NDCG", 2), ("recall", 1), (MULT_VAE, 1), ("recall", 2), ("recall", 4), ("NDCG", 4)]


def test_lists_are_judged_without_training_items() -> None:
    reached = measured(small(), lambda users: SCORES[users], WANTED)
    second, third, fourth = 1 / np.log2([3, 4, 5])
    assert (reached["recall@1"], reached["Mult-VAE recall@1"]) == pytest.approx(((1 / 2 + 0) / 2, (1 + 0) / 2))
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
    return context.Bench(form, no_data(form, folder), tuple(PACKAGES), 120, lambda _line: None)


def test_a_tiny_run_has_a_row_for_each_contestant_and_its_own_ranking_is_the_evaluators(tmp_path: Path) -> None:
    found = {row.contestant: row for row in ranking.rows(bench_in(tmp_path))}
    ours, popular = found["ours, k = 8"], found["most rated"]
    assert ours.failed == ""
    assert ours.more["NDCG@10"] > 3 * popular.more["NDCG@10"]
    assert set(ours.more) == {
        "NDCG@10", "recall@20", "Mult-VAE recall@20", "NDCG@100", "variants", "by_seed",
    }  # fmt: skip
    assert set(found["EASE, best of 3"].more["variants"]) == {"L2 200", "L2 500", "L2 1000"}
    for peer, contestant in PACKAGES.items():
        if find_spec(peer) is None:
            assert found[peer].failed.startswith("not installed: ")
        else:
            assert found[contestant].more["NDCG@10"] > popular.more["NDCG@10"]


def test_an_absent_set_is_a_row_that_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    absent: RankingSet = replace(groups(tmp_path), folder=tmp_path / "nowhere")
    monkeypatch.setattr(ranking, "cases_of", lambda _form, _folder: [Case(absent, ())])
    (row,) = ranking.rows(bench_in(tmp_path))
    assert row.failed == "nowhere is absent (data/README.md)"


def test_forms_name_real_sets_and_the_largest_made_ones_beside_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    smaller = {name: replace(shape, users=20, items=50, draws=2.0) for name, shape in made.SHAPES.items()}
    monkeypatch.setattr(made, "SHAPES", smaller)
    names = {form: [case.data.folder.name for case in cases_of(form, tmp_path)] for form in FORMS}
    assert names["tiny"] == ["groups"]
    assert names["small"] == ["ml-100k", "ml-latest-small", "ml-1m"]
    assert names["full"] == [*names["small"], "gowalla", "ml-1m-ncf", "books", "few-items", "likes"]


@pytest.mark.long
def test_made_sets_have_the_shapes_that_real_ones_lack(tmp_path: Path) -> None:
    """Users, items and pairs of each within a tenth; pairs are distinct, and likes have no ratings."""
    expected = {
        "books": (60_000, 165_000, 334_000),
        "few-items": (3_000, 100, 39_000),
        "likes": (6_000, 4_000, 259_000),
    }
    for name, data in made_sets(tmp_path).items():
        users, items, ratings = read_rows(data.folder / data.ratings)
        assert (len(np.unique(users)), len(np.unique(items)), len(users)) == pytest.approx(expected[name], rel=0.1)
        assert len(np.unique(users * 1_000_000 + items)) == len(users)
        assert np.unique(ratings).tolist() == ([1.0] if name == "likes" else [1.0, 2.0, 3.0, 4.0, 5.0])
