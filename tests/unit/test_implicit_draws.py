"""Means of rows by who rated what equal those of a twin that solves dense matrices, with the same random numbers.

Covers: tasks/training/posterior/implicit.py, and draws of rows about their means in tasks/training/posterior/draws.py:
blocks, rows without ratings, with and without biases, the first sweep and later ones.
Does not cover: products with pairs and the search (test_known_pairs.py), workers (tests/cluster/test_train_bayes.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from exact_draws import SmallGrid
from hypothesis import given, settings
from hypothesis import strategies as st
from sessions import choices, examples

from funkflow.tasks.noise import Stream
from funkflow.tasks.training import als
from funkflow.tasks.training.implicit.known_pairs import roots
from funkflow.tasks.training.posterior import draws, starts
from funkflow.tasks.training.posterior.implicit import with_item_means, with_user_means
from funkflow.tasks.training.posterior.priors import NoiseLevel, RowPrior, draw_precision
from funkflow.tasks.training.posterior.sweep_parts import Implicit, UserDraw
from funkflow.tasks.training.posterior.whole_sweep import AtOnce, whole_sweep


def normals(stream: Stream, name: str, shape: tuple[int, ...], *place: int) -> Any:
    return stream.generator(name, *place).standard_normal(shape, dtype=np.float32).astype(np.float64)


def precisions(prior: RowPrior, count: int, squares: Any, stream: Stream, side: str) -> Any:
    if stream.sweep == 1:
        return prior.precision
    return draw_precision(count, squares, stream, f"precision of pairs of {side}")


def regression(matrix: Any, target: Any, shifts: Any, pull: Any) -> Any:
    """Return Y of each column f: (M^T M + shift_f) y = M^T t + pull."""
    found = [
        np.linalg.solve(matrix.T @ matrix + shift * np.eye(matrix.shape[1]), matrix.T @ target[:, f] + pull[:, f])
        for f, shift in enumerate(shifts)
    ]
    return np.stack(found, axis=1)


@settings(max_examples=examples(40), deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(2, 20), st.integers(2, 10)),
    count=st.integers(1, 80),
    rank=choices([3], [1]),
    shards=st.integers(1, 2),
    biases=st.booleans(),
    sweep=st.sampled_from([1, 2]),
    further=st.sampled_from([0, 30]),
)
def test_means_and_rows_equal_those_of_dense_solves(
    seed: int, shape: tuple[int, int], count: int, rank: int, shards: int, biases: bool, sweep: int,
    further: int,
) -> None:  # fmt: skip
    rng, stream = np.random.default_rng(seed), Stream(seed, 0, sweep)
    small = SmallGrid.random(
        rng, shape, count, rank, shards=shards, biases=biases, steps=120, implicit="both", further=further
    )
    width, model, (of_users, of_items) = rank + 2 * biases, small.model, small.counts
    n, m = np.concatenate(of_users), np.concatenate(of_items)
    of_user, of_item = small.known.sum(axis=1), small.known.sum(axis=0)
    left, right = roots(of_user)[:, None] * small.known, (small.known * roots(of_item)).T
    free = [model.objective.free(width, side) for side in ("users", "items")]
    before = rng.normal(size=(shape[1], width)) * free[0] * (of_item > 0)[:, None]
    back = rng.normal(size=(shape[0], width)) * free[1] * (of_user > 0)[:, None]
    said = Implicit(before, right @ back, np.sum(back**2, axis=0))
    rows, items = small.rows(rng, "user"), small.rows(rng, "item")
    users = [
        starts.first_users(rows[part], of_users[a], (left @ before)[part], back[part])
        for a, part in enumerate(small.cuts[0])
    ]
    start = starts.first_items(of_items, NoiseLevel(2.0, 8.0), *(items[part] for part in small.cuts[1]), implicit=said)
    tasks = AtOnce(small.blocks, of_users)

    problem = draws.begin_sweep(start, model, stream, *map(draws.sums_of, users))
    problem = with_user_means(tasks, problem, users, of_items, model, stream)
    assert problem.implicit is not None
    prior = problem.prior
    precision = precisions(prior, int(np.count_nonzero(of_item)), np.sum(before**2, axis=0), stream, "users")
    noise = np.concatenate(
        [normals(stream, "pairs of users", rows[part].shape, a) for a, part in enumerate(small.cuts[0])]
    )
    target = (rows - prior.of(n) + noise / np.sqrt(prior.precision)) * free[0]
    pull = normals(stream, "factors of pairs", items.shape) * np.sqrt(precision) / prior.precision
    pull *= free[0] * (of_item > 0)[:, None]
    factors = regression(left, target, np.where(free[0] > 0, precision / prior.precision, 1.0), pull)
    np.testing.assert_allclose(problem.implicit.factors, factors, rtol=1e-6, atol=1e-6)

    drawn: list[UserDraw] = [
        draws.draw_users(small.blocks[a], users[a], problem, of_users[a], model, stream, a) for a in range(shards)
    ]
    found, weights = (np.concatenate([getattr(each, name) for each in drawn]) for name in ("rows", "weights"))
    exact = small.exact_users(rows, weights, problem, stream, left @ problem.implicit.factors)
    np.testing.assert_allclose(found, exact, rtol=1e-6, atol=1e-6)

    begun = draws.begin_items(problem, of_items, model, stream, *map(draws.sums_of, drawn))
    begun, drawn = with_item_means(tasks, begun, drawn, of_items, model, stream)
    prior, implicit = begun.prior, begun.implicit
    assert implicit is not None
    precision = precisions(prior, int(np.count_nonzero(of_user)), said.squares, stream, "items")
    noise = np.concatenate(
        [normals(stream, "factors of users", rows[part].shape, a) for a, part in enumerate(small.cuts[0])]
    )
    target = items - prior.of(m) + normals(stream, "pairs of items", items.shape) / np.sqrt(prior.precision)
    pull = noise * np.sqrt(precision) / prior.precision * free[1] * (of_user > 0)[:, None]
    factors = regression(right, target * free[1], np.where(free[1] > 0, precision / prior.precision, 1.0), pull)
    mine = np.concatenate([np.asarray(each.factors) for each in drawn])
    np.testing.assert_allclose(mine, factors, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(implicit.means, right @ factors, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(implicit.squares, np.sum(factors**2, axis=0), rtol=1e-6, atol=1e-6)

    after = np.concatenate(small.drawn_items(drawn, begun, stream).shards)
    exact = small.exact_items(found, weights, items, begun, stream, implicit.means)
    np.testing.assert_allclose(after, exact, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("implicit", "shape"), [("items", (400, 60)), ("users", (60, 400))])
def test_planted_factors_of_pairs_are_found(implicit: str, shape: tuple[int, int]) -> None:
    """Where rows of the side with 400 depend on who rated what alone, their means explain most of them."""
    rng = np.random.default_rng(4)
    small = SmallGrid.random(rng, shape, 6_000, 1, biases=False, number="f4", steps=6, implicit=implicit)
    pairs = np.zeros(shape)
    pairs[small.u, small.i] = 1.0
    if implicit == "items":
        of_users, of_items = roots(pairs.sum(axis=1)) * (pairs @ rng.normal(size=60)), rng.normal(size=60)
    else:
        of_users, of_items = rng.normal(size=60), roots(pairs.sum(axis=0)) * (pairs.T @ rng.normal(size=60))
    values = of_users[small.u] * of_items[small.i]
    small = small.rated(values / np.std(values) + 0.1 * rng.normal(size=len(values)))
    users = [starts.first_users(small.rows(rng, "user").astype("f4"), small.counts[0][0])]
    items = starts.first_items(small.counts[1], NoiseLevel(1.0, 8.0), small.rows(rng, "item").astype("f4"))
    ordered = [als.order_items(row, 1, "f4") for row in small.blocks]
    for sweep in range(1, 41):
        drawn = whole_sweep(small.blocks, ordered, small.counts, users, items, small.model, Stream(1, 0, sweep))
        users, items = list(drawn.users), drawn.items
    assert items.implicit is not None
    if implicit == "items":
        rows, means = users[0].rows, users[0].means
        assert not np.any(items.implicit.means)
    else:
        rows, means = items.shards[0], items.implicit.means
        assert users[0].means is None
    assert means is not None
    assert np.var(rows - means) < 0.3 * np.var(rows)
