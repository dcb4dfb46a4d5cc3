"""Simon Funk's form: its kernels equal their slow, obvious twins, and any cut to shares gives the same bits.

Covers: tasks/kernels/funk.py, tasks/kernels/reference.py, tasks/training/funk.py and tasks/training/funk_files.py.
Does not cover: which feature comes when, stopping, and whole runs (test_train_funk.py).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from descending import STEPS, random_block
from hypothesis import given, settings
from hypothesis import strategies as st
from sessions import examples

from funkflow.tasks.grid.bias_baseline import mean_shard, rows_with_ratings
from funkflow.tasks.grid.factor_shard import read_shard
from funkflow.tasks.grid.scaling import StepSizes
from funkflow.tasks.grid.visit_order import strata_of_shares
from funkflow.tasks.kernels.funk import descend_factor, squared_errors, start_residuals, subtract_factor
from funkflow.tasks.kernels.reference import (
    descend_factor_plainly,
    squared_errors_plainly,
    start_plainly,
    subtract_factor_plainly,
)
from funkflow.tasks.kernels.vector import BIAS
from funkflow.tasks.training.funk import (
    Feature,
    Vectors,
    descend_feature,
    first_remainder,
    first_vector,
    score_feature,
    score_remainder,
    without_feature,
)
from funkflow.tasks.training.funk_files import read_feature, write_feature, write_features_as_shard
from funkflow.tasks.training.score import HeldOut

SHAPE = (40, 1030)


@settings(max_examples=examples(40), deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 300), levels=st.sampled_from([1, 5, 300, 0]))
def test_kernels_equal_their_twins(seed: int, count: int, levels: int) -> None:
    """Two tiles of items: residuals from biases, one pass, and what a feature leaves."""
    rng = np.random.default_rng(seed)
    block = random_block(rng, np.arange(SHAPE[0]), np.arange(1000, SHAPE[1]), count, SHAPE, levels)
    where = (block.tiles, block.run_users, block.run_starts, block.cells)
    places = list(zip(block.user_rows.tolist(), block.item_rows.tolist(), strict=True))
    users, items, user_biases, item_biases = (rng.normal(size=n).astype(np.float32) for n in (*SHAPE, *SHAPE))
    residuals, left = np.empty(len(block), np.float32), np.empty(len(block), np.float32)
    start_residuals(block.coding)(
        *where, block.codes, block.scaled_levels(3.1, 1.3), user_biases, item_biases, residuals
    )
    scaled = (block.ratings.astype(np.float64) - 3.1) / 1.3
    expected = start_plainly(places, scaled, user_biases.astype(np.float64), item_biases.astype(np.float64))
    np.testing.assert_allclose(residuals, expected, rtol=1e-5, atol=1e-5)
    subtract_factor()(*where, residuals, users, items, left)
    exact = (residuals.astype(np.float64), users.astype(np.float64), items.astype(np.float64))
    np.testing.assert_allclose(left, subtract_factor_plainly(places, *exact), rtol=1e-5, atol=1e-5)
    squared = descend_factor()(*where, residuals, users, items, np.float32(0.05), np.float32(0.1))
    assert squared == pytest.approx(descend_factor_plainly(places, *exact, 0.05, 0.1), rel=1e-4)
    np.testing.assert_allclose(users, exact[1], rtol=1e-3, atol=2e-5)
    np.testing.assert_allclose(items, exact[2], rtol=1e-3, atol=2e-5)


@settings(max_examples=examples(30), deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 60))
def test_squared_errors_equal_their_twin(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    rows = [rng.integers(-1, size, count).astype(np.int32) for size in (5, 7)]
    ratings, scores, users, items = (rng.normal(size=n).astype(np.float32) for n in (count, count, 5, 7))
    places = list(zip(rows[0].tolist(), rows[1].tolist(), strict=True))
    found = squared_errors()(*rows, ratings, scores, users, items, 3.5, 1.1, 1.0, 5.0)
    exact = [each.astype(np.float64) for each in (ratings, scores, users, items)]
    slow = squared_errors_plainly(places, exact[0], exact[1], exact[2], exact[3], 3.5, 1.1, 1.0, 5.0)
    assert found == pytest.approx(slow, rel=1e-5)


@pytest.mark.parametrize("shares", [1, 2, 4])
@pytest.mark.parametrize("threads", [1, 2])
def test_shares_and_threads_change_no_bit(shares: int, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two passes stratum by stratum, as several workers take them, against one block after another by hand."""
    monkeypatch.setattr("funkflow.tasks.training.funk._LEAST_RATINGS_FOR_THREADS", 0)
    rng, shards = np.random.default_rng(7), 4
    blocks = [[random_block(rng, np.arange(20), np.arange(15), 120, (20, 15)) for _ in range(4)] for _ in range(4)]
    residuals = [[rng.normal(size=len(block)).astype(np.float32) for block in row] for row in blocks]
    users, items = ([rng.normal(size=size).astype(np.float32) for _ in range(shards)] for size in (20, 15))
    expected = [[vector.copy() for vector in side] for side in (users, items)]
    squared = [0.0] * shards
    for number in (1, 2):
        squared = [0.0] * shards
        for a, b in strata_of_shares(3, number, shards, 1)[0].visits[0]:
            block = blocks[a][b]
            where = (block.tiles, block.run_users, block.run_starts, block.cells, residuals[a][b])
            step, l2 = np.float32(STEPS.step), np.float32(STEPS.l2)
            squared[a] += descend_factor()(*where, expected[0][a], expected[1][b], step, l2)
    size = shards // shares
    of_share = [slice(start, start + size) for start in range(0, shards, size)]
    state = [Feature(tuple(users[mine]), None, (0.0,) * size) for mine in of_share]
    met = [tuple(items[mine]) for mine in of_share]
    for number in (1, 2):
        for place, stratum in enumerate(strata_of_shares(3, number, shards, shares)):
            for share, (partner, visits) in enumerate(zip(stratum.partners, stratum.visits, strict=True)):
                mine, theirs = of_share[share], of_share[partner]
                within = [(a - mine.start, b - theirs.start) for a, b in visits]
                rows, left = [row[theirs] for row in blocks[mine]], [row[theirs] for row in residuals[mine]]
                before = state[share].of_new_pass() if place == 0 else state[share]
                state[share] = descend_feature(rows, left, [within], before, met[partner], STEPS, threads)
                assert before.users[0] is not state[share].users[0]
                met[partner] = state[share].items or ()
    found = [[vector for feature in state for vector in feature.users], [vector for share in met for vector in share]]
    for side, twins in zip(found, expected, strict=True):
        assert [vector.tobytes() for vector in side] == [twin.tobytes() for twin in twins]
    assert [error for feature in state for error in feature.squared_errors] == squared


def test_many_passes_at_once_are_those_one_by_one() -> None:
    """Their squared errors are of the last alone."""
    rng = np.random.default_rng(5)
    block = random_block(rng, np.arange(20), np.arange(15), 120, (20, 15))
    cut = [[block]], [[rng.normal(size=len(block)).astype(np.float32)]]
    start = Feature((np.full(20, 0.1, np.float32),), None, (0.0,))
    items: Vectors = (np.full(15, 0.1, np.float32),)
    once = start
    for _ in range(3):
        once = descend_feature(*cut, [[(0, 0)]], once.of_new_pass(), items, STEPS)
        items = once.items or ()
    together = descend_feature(*cut, [[(0, 0)]] * 3, start, (np.full(15, 0.1, np.float32),), STEPS)
    assert together.users[0].tobytes() == once.users[0].tobytes()
    assert together.squared_errors == once.squared_errors


def test_a_finished_feature_leaves_what_the_model_of_its_files_leaves(tmp_path: Path) -> None:
    """Residuals and held-out scores after a feature against ratings less biases less U V^T of the written shards."""
    rng, steps = np.random.default_rng(3), StepSizes(mean=3.1, deviation=1.3, l2=0.1, step=0.05, bias_step=0.0)
    block = random_block(rng, np.arange(19), np.arange(15), 120, (20, 15))
    biases = [mean_shard(rows) for rows in block.shape]
    for shard in biases:
        shard.states[:, BIAS] = rng.normal(size=len(shard.states))
    held_rows = np.array([0, 5, -1, 7], np.int32), np.array([3, -1, 2, 9], np.int32)
    held = HeldOut(*held_rows, np.full(4, 3.0, np.float32), np.array([0, 4]))
    before = first_remainder((block,), held, steps, *biases)
    seen_users, (seen_items,) = rows_with_ratings((block,))
    start = Feature((first_vector(seen_users),), None, (0.0,))
    assert start.users[0][19] == 0.0, "a row without ratings stays at zero"
    done = descend_feature([[block]], [[before.of(0)]], [[(0, 0)]] * 3, start, (first_vector(seen_items),), steps)
    sizes, where, shards = ([20], [15]), [], []
    for side, vectors in (("users", done.users), ("items", done.items)):
        url = str(tmp_path / f"{side}.npy")
        where.append((url, write_feature(url, vectors or ())))
    read = [read_feature(*place, rows) for place, rows in zip(where, sizes, strict=True)]
    after = without_feature((block,), before, held, read[0][0], read[1])
    for side, own, place, rows in zip(("users", "items"), biases, where, sizes, strict=True):
        url = str(tmp_path / f"{side}-whole.npy")
        shards.append(read_shard(url, write_features_as_shard(url, own, steps, 2, [place], rows, 0), 2))
    users, items = shards
    assert not users.factors[:, 1].any(), "a feature that was not needed is zero"

    def scores(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        known_a, known_b = a >= 0, b >= 0
        products = np.einsum("nk,nk->n", users.factors[a], items.factors[b])
        return np.asarray(users.biases[a] * known_a + items.biases[b] * known_b + products * (known_a & known_b))

    scaled = (block.ratings - 3.1) / 1.3
    np.testing.assert_allclose(after.residuals, scaled - scores(block.user_rows, block.item_rows), atol=1e-5)
    np.testing.assert_allclose(after.scores, scores(*held_rows), atol=1e-5)
    squared = score_feature(held, before, read[0][0], read[1], scaling=steps, scale=(1.0, 5.0))
    assert squared == pytest.approx(score_remainder(held, after, steps, (1.0, 5.0)), rel=1e-5)
