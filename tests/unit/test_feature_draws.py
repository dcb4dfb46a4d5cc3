"""Means of rows by their features: effects are draws from their conditional distribution, and rows lie about them.

Covers: tasks/training/posterior/row_features.py, beside second factors and alone, over shards.
Does not cover: reading features (test_row_features.py), workers and checkpoints (tests/cluster/test_train_bayes.py).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from exact_draws import SmallGrid
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sessions import examples

from funkflow.tasks.noise import Stream
from funkflow.tasks.training.implicit.known_pairs import roots
from funkflow.tasks.training.posterior import draws, starts
from funkflow.tasks.training.posterior.implicit import with_item_means, with_user_means
from funkflow.tasks.training.posterior.priors import NoiseLevel, draw_precision
from funkflow.tasks.training.posterior.row_features import basis_of, gram_of_features, nothing_known, with_user_effects
from funkflow.tasks.training.posterior.sweep_parts import Implicit, Model, known_of
from funkflow.tasks.training.posterior.whole_sweep import AtOnce

COLUMNS = 4


def described(small: SmallGrid, rng: np.random.Generator) -> tuple[list[Any], Implicit]:
    """Return features of users and of items, dense (rows, p), and the state with random effects."""
    dense = [rng.normal(size=(count, COLUMNS)) * (rng.random((count, COLUMNS)) < 0.5) for count in small.shape]
    users, items = (
        [sparse.csr_array(side[part]) for part in cuts] for side, cuts in zip(dense, small.cuts, strict=True)
    )
    bases = [
        basis_of(*map(gram_of_features, side, counts))
        for side, counts in zip((users, items), small.counts, strict=True)
    ]
    width = small.rank + 2 * small.biases
    shards = [np.zeros((part.stop - part.start, width)) for part in small.cuts[1]]
    said = nothing_known(shards, items, small.counts[1], *bases)
    assert said.known is not None
    free = [small.model.objective.free(width, side) for side in ("users", "items")]
    effects = [rng.normal(size=(COLUMNS, width)) * each for each in free]
    return dense, replace(said, known=replace(said.known, user_effects=effects[0], item_effects=effects[1]))


def effects_of(
    features: Any, target: Any, before: Any, prior: Any, free: Any, stream: Stream, side: str, basis: Any
) -> Any:
    """Return the draw by dense matrices, with the same normal numbers in the eigenvectors' places.

    Where eigenvalues are equal any basis of their space is right, so the vectors are those of the draw, checked.
    """
    values, vectors = basis.values, basis.vectors
    np.testing.assert_allclose(vectors * values @ vectors.T, features.T @ features, atol=1e-9)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(COLUMNS), atol=1e-9)
    precision = prior.precision
    if stream.sweep > 1:
        precision = draw_precision(len(before), np.sum(before**2, axis=0), stream, f"precision of features of {side}")
    normals = stream.generator(f"effects of features of {side}").standard_normal(before.shape)
    found = []
    for f, (own, shift) in enumerate(zip(prior.precision, precision, strict=True)):
        mean = np.linalg.solve(own * features.T @ features + shift * np.eye(COLUMNS), own * features.T @ target[:, f])
        found.append(mean + vectors @ (normals[:, f] / np.sqrt(own * values + shift)))
    return np.stack(found, axis=1) * free


@settings(max_examples=examples(30), deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(2, 20), st.integers(2, 10)),
    count=st.integers(1, 80),
    shards=st.integers(1, 2),
    biases=st.booleans(),
    sweep=st.sampled_from([1, 2]),
    implicit=st.sampled_from(["none", "both"]),
)
def test_effects_and_rows_equal_those_of_dense_solves(
    seed: int, shape: tuple[int, int], count: int, shards: int, biases: bool, sweep: int, implicit: str
) -> None:
    rng, stream = np.random.default_rng(seed), Stream(seed, 0, sweep)
    small = SmallGrid.random(rng, shape, count, 2, shards=shards, biases=biases, steps=120, implicit=implicit)
    model: Model = replace(small.model, user_features=True)
    (of_users, of_items), width = small.counts, 2 + 2 * biases
    n, m = np.concatenate(of_users), np.concatenate(of_items)
    pairs = np.zeros(shape)
    pairs[small.u, small.i] = 1.0
    left = roots(n)[:, None] * pairs
    (of_user, of_item), said = described(small, rng)
    free = [model.objective.free(width, side) for side in ("users", "items")]
    assert said.known is not None
    before = said.known
    if implicit == "both":
        said = replace(said, factors=rng.normal(size=(shape[1], width)) * free[0] * (m > 0)[:, None])
    rows, items = small.rows(rng, "user"), small.rows(rng, "item")
    means = left @ said.factors + of_user @ before.user_effects
    users = [
        starts.first_users(rows[part], of_users[a], means[part], features=sparse.csr_array(of_user[part]))
        for a, part in enumerate(small.cuts[0])
    ]
    start = starts.first_items(of_items, NoiseLevel(2.0, 8.0), *(items[part] for part in small.cuts[1]), implicit=said)
    tasks = AtOnce(small.blocks, of_users)

    problem = draws.begin_sweep(start, model, stream, *map(draws.sums_of, users))
    rated = (n > 0)[:, None]
    target = (rows - problem.prior.of(n) - left @ said.factors) * rated * free[0]
    wanted = effects_of(
        of_user * rated, target, before.user_effects, problem.prior, free[0], stream, "users", before.user_basis
    )
    problem = with_user_effects(tasks, problem, users, model, stream)
    drawn_effects = known_of(problem.implicit).user_effects
    np.testing.assert_allclose(drawn_effects, wanted, rtol=1e-6, atol=1e-6)

    if implicit == "both":
        problem = with_user_means(tasks, problem, users, of_items, model, stream)
    assert problem.implicit is not None
    drawn = [draws.draw_users(small.blocks[a], users[a], problem, of_users[a], model, stream, a) for a in range(shards)]
    found, weights = (np.concatenate([getattr(each, name) for each in drawn]) for name in ("rows", "weights"))
    lift = np.outer(n == 0, problem.prior.lift * free[0])
    means = left @ problem.implicit.factors + of_user @ drawn_effects + lift
    exact = small.exact_users(rows, weights, problem, stream, means)
    np.testing.assert_allclose(found, exact, rtol=1e-6, atol=1e-6)

    begun = draws.begin_items(problem, of_items, model, stream, *map(draws.sums_of, drawn))
    rated = (m > 0)[:, None]
    target = (items - begun.prior.of(m) - problem.implicit.means) * rated * free[1]
    wanted = effects_of(
        of_item * rated, target, before.item_effects, begun.prior, free[1], stream, "items", before.item_basis
    )
    known = known_of(begun.implicit)
    np.testing.assert_allclose(known.item_effects, wanted, rtol=1e-6, atol=1e-6)
    if implicit == "both":
        begun, drawn = with_item_means(tasks, begun, drawn, of_items, model, stream)
    assert begun.implicit is not None
    after = np.concatenate(small.drawn_items(drawn, begun, stream).shards)
    of_items_now = begun.implicit.means + of_item @ wanted + np.outer(m == 0, begun.prior.lift * free[1])
    exact = small.exact_items(found, weights, items, begun, stream, of_items_now)
    np.testing.assert_allclose(after, exact, rtol=1e-6, atol=1e-6)


def test_second_factors_take_the_rows_less_the_effects_drawn_just_before() -> None:
    """The regression of the users' rows sees X - m - F Y - G Z with the new Z."""
    rng, stream = np.random.default_rng(3), Stream(3, 0, 2)
    small = SmallGrid.random(rng, (30, 8), 90, 2, steps=120, implicit="items")
    model = replace(small.model, user_features=True)
    (of_user, _), said = described(small, rng)
    rows = small.rows(rng, "user")
    known = known_of(said)
    users = [
        starts.first_users(rows, small.counts[0][0], of_user @ known.user_effects, features=sparse.csr_array(of_user))
    ]
    start = starts.first_items(small.counts[1], NoiseLevel(2.0, 8.0), small.rows(rng, "item"), implicit=said)
    tasks = AtOnce(small.blocks, small.counts[0])
    problem = draws.begin_sweep(start, model, stream, users[0].seen)
    problem = with_user_effects(tasks, problem, users, model, stream)
    now = of_user @ known_of(problem.implicit).user_effects
    there = [starts.first_users(rows, small.counts[0][0], now)]
    without = replace(problem, implicit=replace(said, known=None))
    found, wanted = (
        with_user_means(tasks, *each, small.counts[1], model, stream).implicit.factors
        for each in ((problem, users), (without, there))
    )
    assert np.abs(now - of_user @ known.user_effects).max() > 0.1
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("side", ["users", "items"])
def test_a_row_without_ratings_is_drawn_about_what_its_features_say(side: str) -> None:
    rng = np.random.default_rng(6)
    small = SmallGrid.random(rng, (6, 5), 12, 1, biases=False)
    small = replace(small, u=np.minimum(small.u, 4), i=np.minimum(small.i, 3))
    cells = np.unique(small.u * 5 + small.i, return_index=True)[1]
    small = replace(small, u=small.u[cells], i=small.i[cells], targets=small.targets[cells])
    model, drawn = replace(small.model, user_features=True), []
    (of_user, of_item), said = described(small, rng)
    means = of_user[5] if side == "users" else of_item[4]
    known = known_of(said)
    for seed in range(400):
        stream = Stream(seed, 0, 2)
        rows, items = small.rows(rng, "user"), small.rows(rng, "item")
        users = [starts.first_users(rows, small.counts[0][0], features=sparse.csr_array(of_user))]
        start = starts.first_items(small.counts[1], NoiseLevel(2.0, 8.0), items, implicit=said)
        problem = draws.begin_sweep(start, model, stream, users[0].seen)
        mine = draws.draw_users(small.blocks[0], users[0], problem, small.counts[0][0], model, stream, 0)
        if side == "users":
            noise = mine.rows[5] - problem.prior.of(np.zeros(1))[0] - means @ known.user_effects
            drawn.append(noise * np.sqrt(problem.prior.precision))
        else:
            begun = draws.begin_items(problem, small.counts[1], model, stream, mine.seen)
            effects = known_of(begun.implicit).item_effects
            row = small.drawn_items([mine], begun, stream).shards[0][4]
            mean = begun.prior.of(np.zeros(1))[0] + begun.prior.lift + means @ effects
            drawn.append((row - mean) * np.sqrt(begun.prior.precision))
    assert np.mean(drawn) == pytest.approx(0.0, abs=0.15)
    assert np.std(drawn) == pytest.approx(1.0, abs=0.15)
