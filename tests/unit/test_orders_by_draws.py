"""Items ordered by draws, and draws for somebody new, against numbers worked out one by one.

Covers: tasks/model/draws/orders.py, tasks/model/draws/new_rows.py, tasks/serving/drawn_top.py.
Does not cover: the settings and the files of a run (tests/cluster/test_intervals.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from funkflow.tasks.errors import BadInput
from funkflow.tasks.model.draws.drawn_rows import DrawnRows, DrawnSide, Draws, RowPriors, write_part
from funkflow.tasks.model.draws.new_rows import draw_row
from funkflow.tasks.model.draws.orders import ItemOrder
from funkflow.tasks.serving.drawn_top import top_by_draws
from funkflow.tasks.serving.top_items import RatedItems
from funkflow.tasks.storage import files

DRAWS, RANK, MEAN = 6, 3, 3.5
RNG = np.random.default_rng(3)
USERS, ITEMS = (RNG.normal(size=(count, DRAWS, RANK + 1)).astype(np.float32) for count in (300, 41))
NO_PRIOR = RowPriors(np.zeros((DRAWS, RANK + 1)), np.ones((DRAWS, RANK + 1)))


def side(rows: DrawnRows, url: str) -> DrawnSide:
    """Return rows in a file of two groups."""
    write_part(
        url,
        pa.array(np.arange(len(rows))),
        ({"draws": each} for each in np.array_split(rows, 2)),
        {"draws": DRAWS * (RANK + 1)},
    )
    return DrawnSide([(url, files.size(url))], DRAWS, RANK, NO_PRIOR)


def every_draw() -> Any:
    """Return the prediction of each draw without the mean, float64 (D, users, items)."""
    users, items = USERS.astype(np.float64), ITEMS.astype(np.float64)
    products = np.einsum("udf,idf->dui", users[..., :-1], items[..., :-1])
    return products + users[..., -1].T[:, :, None] + items[..., -1].T[:, None, :]


@pytest.mark.parametrize(
    ("order", "z"),
    [
        (ItemOrder("mean"), 0.0),
        (ItemOrder("lower"), stats.norm.ppf(0.1)),
        (ItemOrder("upper"), stats.norm.ppf(0.9)),
        (ItemOrder("upper", 0.7), stats.norm.ppf(0.7)),
    ],
)
def test_a_quantile_is_the_mean_and_so_many_deviations_over_draws(order: ItemOrder, z: float) -> None:
    drawn = every_draw()
    found = order.scores(USERS, ITEMS, np.zeros(len(USERS), np.intp))
    np.testing.assert_allclose(found, drawn.mean(axis=0) + z * drawn.std(axis=0), atol=1e-4)


def test_by_chance_a_user_gets_the_scores_of_one_draw() -> None:
    order, ids = ItemOrder("thompson", seed=5), pa.array(np.arange(len(USERS)))
    chosen = order.draws_of(ids, DRAWS)
    drawn = every_draw()
    np.testing.assert_allclose(
        order.scores(USERS, ITEMS, chosen), drawn[chosen, np.arange(len(USERS))], atol=1e-4
    )  # fmt: skip


@pytest.mark.parametrize("ids", [pa.array(np.arange(6000) * 7), pa.array([f"user {n}" for n in range(6000)])])
def test_draws_by_chance_are_even_and_depend_on_seed_and_id_alone(ids: pa.Array) -> None:
    chosen = ItemOrder("thompson", seed=1).draws_of(ids, DRAWS)
    np.testing.assert_allclose(np.bincount(chosen, minlength=DRAWS), 1000, atol=150)
    np.testing.assert_array_equal(ItemOrder("thompson", seed=1).draws_of(ids.slice(4000), DRAWS), chosen[4000:])
    other = ItemOrder("thompson", seed=2).draws_of(ids, DRAWS)
    assert (other == chosen).mean() == pytest.approx(1 / DRAWS, abs=0.03)


@pytest.mark.parametrize("count", [7, 300])
@pytest.mark.parametrize("by", ["lower", "thompson"])
def test_lists_are_the_best_of_all_scores_that_were_not_rated(count: int, by: Any, tmp_path: Path) -> None:
    """7 users choose in plain NumPy, 300 by compiled loops in two blocks; items come in two groups."""
    rows, ids = np.arange(count), pa.array(np.arange(count))
    rated = [np.sort(RNG.choice(len(ITEMS), 5, replace=False)).astype(np.int32) for _ in rows]
    ends = 5 * (np.arange(count) + 1)
    draws = Draws(side(USERS, f"{tmp_path}/users"), side(ITEMS, f"{tmp_path}/items"), MEAN, np.ones(DRAWS))
    order = ItemOrder(by)
    top = top_by_draws(draws, order, rows, ids, RatedItems(np.concatenate(rated), ends - 5, ends), 4)
    scores = order.scores(USERS[:count], ITEMS, order.draws_of(ids, DRAWS))
    for user in rows.tolist():
        scores[user, rated[user]] = -np.inf
    best = np.argsort(-scores, axis=1)[:, :4]
    np.testing.assert_array_equal(top.rows, best)
    np.testing.assert_allclose(top.scores, MEAN + np.take_along_axis(scores, best, axis=1), atol=1e-4)


def test_a_quantile_without_an_end_is_refused() -> None:
    with pytest.raises(BadInput, match=r"recommend\.quantile goes with"):
        ItemOrder("thompson", 0.3)


def new_row_draws(ratings: int, repeats: int = 4000) -> tuple[Any, Any, Any]:
    """Return draws of a row from so many ratings given one and the same draw, and its exact mean and covariance."""
    rng = np.random.default_rng(ratings)
    others = np.repeat(rng.normal(size=(ratings, 1, RANK + 1)).astype(np.float32), repeats, axis=1)
    targets, noise = rng.normal(size=ratings), 0.7
    mean, variance = rng.normal(size=RANK + 1), rng.uniform(0.2, 2.0, RANK + 1)
    prior = RowPriors(np.tile(mean, (repeats, 1)), np.tile(variance, (repeats, 1)))
    design = np.column_stack([others[:, 0, :-1].astype(np.float64), np.ones(ratings)])
    covariance = np.linalg.inv(design.T @ design / noise**2 + np.diag(1 / variance))
    wanted = covariance @ (design.T @ (targets - others[:, 0, -1]) / noise**2 + mean / variance)
    return draw_row(others, targets, np.full(repeats, noise), prior, seed=1), wanted, covariance


@pytest.mark.parametrize("ratings", [1, 20])
def test_draws_of_a_new_row_have_the_mean_and_covariance_of_its_posterior(ratings: int) -> None:
    drawn, mean, covariance = new_row_draws(ratings)
    deviations = np.sqrt(np.diag(covariance))
    assert (np.abs(drawn.mean(axis=0) - mean) < 4 * deviations / np.sqrt(len(drawn))).all()
    np.testing.assert_allclose(np.cov(drawn.T) / np.outer(deviations, deviations),
                               covariance / np.outer(deviations, deviations), atol=0.08)  # fmt: skip


def test_a_model_without_biases_gives_a_new_row_none() -> None:
    prior = RowPriors(np.zeros((DRAWS, RANK + 1)), np.tile([1.0, 1.0, 1.0, 0.0], (DRAWS, 1)))
    assert not draw_row(ITEMS[:2], np.ones(2), np.ones(DRAWS), prior, seed=0)[:, -1].any()
