"""The prior of new rows, measured on all others, and the row of somebody new given ratings.

Covers: tasks/model/fold/new_row_prior.py, tasks/model/fold/folding.py, tasks/training/new_rows/prior.py.
Does not cover: whole runs (tests/cluster/test_split_users.py), the ridge of a model without the prior
(test_recommender.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exact_draws import SmallGrid
from hypothesis import given, settings
from hypothesis import strategies as st
from sessions import examples

from funkflow import Model
from funkflow.tasks.grid.block import StoredRow, write_block
from funkflow.tasks.grid.factor_shard import shard_of, write_shard
from funkflow.tasks.model.about import write_about
from funkflow.tasks.model.fold.about_new_rows import FILE
from funkflow.tasks.model.fold.new_row_prior import SHARE, NewRowPrior, second_column, write_new_rows
from funkflow.tasks.model.model import write_factor_table
from funkflow.tasks.storage import files
from funkflow.tasks.training.new_rows import prior as new_rows

RANK = 3


def a_prior(rng: np.random.Generator, rank: int = RANK, others: int = 9) -> NewRowPrior:
    spread = rng.normal(size=(rank + 1, 40))
    second = (0.3 * rng.normal(size=(others, rank + 1))).astype(np.float32)
    return NewRowPrior(rng.normal(size=rank + 1), spread @ spread.T / 40, 0.8, second)


@settings(max_examples=examples(40), deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 12), has_bias=st.booleans())
def test_a_new_row_is_the_most_probable_one(seed: int, count: int, has_bias: bool) -> None:
    """The gradient of the negative logarithm of its density is zero there."""
    rng = np.random.default_rng(seed)
    prior, places = a_prior(rng), rng.integers(0, 9, count)
    others, targets = rng.normal(size=(count, RANK)).astype(np.float32), rng.normal(size=count)
    row = prior.row(others, targets, places, has_bias)
    assert prior.second is not None
    mean = prior.mean + prior.second[places].sum(axis=0, dtype=float) / np.sqrt(count)
    design = np.column_stack([others, np.ones(count)])
    size = RANK + has_bias
    precision = (SHARE * np.linalg.inv(prior.covariance))[:size, :size]
    away = targets - design @ np.where(np.arange(RANK + 1) < size, row, mean)
    away += 0.0 if has_bias else mean[-1]
    slope = -design[:, :size].T @ away / prior.noise + precision @ (row - mean)[:size]
    np.testing.assert_allclose(slope, 0.0, atol=1e-4)


def test_nobody_in_particular_has_the_mean_row() -> None:
    prior = a_prior(np.random.default_rng(1))
    np.testing.assert_array_equal(prior.mean_row(np.empty(0, int)), prior.mean)


def test_units_change_nothing_but_the_units() -> None:
    rng, deviation = np.random.default_rng(2), 1.7
    prior, places = a_prior(rng), np.array([1, 4, 7])
    others, targets = rng.normal(size=(3, RANK)).astype(np.float32), rng.normal(size=3)
    units = np.append(np.full(RANK, deviation**0.5), deviation)
    scaled = prior.in_units(deviation).row((others * units[:-1]).astype(np.float32), targets * deviation, places, True)
    np.testing.assert_allclose(scaled, prior.row(others, targets, places, True) * units, rtol=1e-4)


def stored(small: SmallGrid, folder: Path) -> list[StoredRow]:
    """Write the blocks of a small grid, with further pairs."""
    return [
        StoredRow(
            str(folder),
            tuple(write_block(str(folder), block)["checksum"] for block in row),
            tuple(block.shape for block in row),
            tuple(write_block(str(folder), block.further)["checksum"] for block in row if block.further),
        )
        for row in small.blocks
    ]


@pytest.mark.parametrize("further", [0, 40])
def test_second_factors_are_the_ridge_regression_of_all_rows(tmp_path: Path, further: int) -> None:
    rng = np.random.default_rng(3)
    small = SmallGrid.random(rng, (30, 12), 150, RANK, shards=3, further=further)
    rows = rng.normal(size=(30, RANK + 1)).astype(np.float32)
    rows[4] = 0.0  # a user without ratings
    places: list[Any] = []
    for number, part in enumerate(small.cuts[0]):
        url = str(tmp_path / f"user-{number}.npy")
        places.append((url, write_shard(url, shard_of(rows[part, :-1], rows[part, -1]))))
    blocks = stored(small, tmp_path)
    first = new_rows.total(*(new_rows.moments_of(place, RANK) for place in places))
    there = np.any(rows != 0.0, axis=1)
    prior = first.prior(0.5)
    np.testing.assert_allclose(prior.mean, rows[there].mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(prior.covariance, np.cov(rows[there].T, bias=True), atol=1e-6)

    parts = [new_rows.pull_part(place, RANK, row, first) for place, row in zip(places, blocks, strict=True)]
    search = new_rows.begin_search(2.0, *parts)
    for _ in range(40):
        search = new_rows.step(search, *(new_rows.search_part(row, search) for row in blocks))
    second = new_rows.second_of(search)
    n = small.known.sum(axis=1)
    left = small.known / np.sqrt(np.maximum(n, 1.0))[:, None]
    target = np.where(there[:, None], rows - rows[there].mean(axis=0), 0.0)
    exact = np.linalg.solve(left.T @ (n[:, None] * left) + 2.0 * np.eye(12), left.T @ (n[:, None] * target))
    np.testing.assert_allclose(second, exact, atol=1e-4)

    parts_of_rest = [new_rows.moments_of(place, RANK, row, second) for place, row in zip(places, blocks, strict=True)]
    rest = (rows - left @ exact)[there]
    found = new_rows.total(*parts_of_rest).prior(0.5, second)
    np.testing.assert_allclose(found.mean, rest.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(found.covariance, np.cov(rest.T, bias=True), atol=1e-4)


def saved_model(folder: Path, user: NewRowPrior, item: NewRowPrior, rng: np.random.Generator) -> Model:
    """Save a model of two users and nine items in two parts, with the priors of new rows."""
    assert user.second is not None
    parts: dict[str, Any] = {"user": [], "item": []}
    for side, part, ids in (("user", 0, [1, 2]), ("item", 0, [10, 11, 12, 13]), ("item", 1, [14, 15, 16, 17, 18])):
        more = second_column(user.second[np.array(ids) - 10]) if side == "item" else None
        url = str(folder / f"{side}_factors.parquet" / f"part.{part:05d}.parquet")
        rows = rng.normal(size=(len(ids), RANK + 1)).astype(np.float32)
        parts[side].append(write_factor_table(url, np.array(ids), rows[:, -1], rows[:, :-1], more))
    checksum = write_new_rows(str(folder / FILE), user, item)
    about: Any = {
        "new_rows": {"path": FILE, "checksum": checksum, "noise": user.noise, "second_factors": True},
        "l2": 0.1, "deviation": 1.0, "biases": True,
    }  # fmt: skip
    write_about(str(folder), 3.0, (1.0, 5.0), rank=RANK, parts=parts, about=about)
    return Model.load(str(folder))


def test_a_saved_model_folds_in_by_its_prior(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    user, item = a_prior(rng), NewRowPrior(rng.normal(size=RANK + 1), np.eye(RANK + 1), 0.8)
    model = saved_model(tmp_path, user, item, rng)
    folded = model.fold_in({12: 5.0, 17: 2.0})
    places = np.array([2, 7])
    wanted = user.row(model.item_factors[places], np.array([5.0, 2.0]) - 3.0 - model.item_biases[places], places, True)
    np.testing.assert_allclose(np.append(folded.factors, folded.bias), wanted, rtol=1e-5)
    of_item = model.fold_in({2: 4.0}, side="item")
    wanted = item.row(model.user_factors[1:], np.array([1.0]) - model.user_biases[1:], np.array([1]), True)
    np.testing.assert_allclose(np.append(of_item.factors, of_item.bias), wanted, rtol=1e-5)


def test_a_damaged_prior_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    model = saved_model(tmp_path, a_prior(rng), a_prior(rng), rng)
    files.write_bytes(str(tmp_path / FILE), b"no table")
    with pytest.raises(Exception, match=FILE):
        model.fold_in({12: 5.0})


def test_fewer_rows_than_columns_leave_new_rows_at_their_mean_in_all_other_directions() -> None:
    one = np.zeros((RANK + 1, RANK + 1))
    one[0, 0] = 2.0
    prior = NewRowPrior(np.zeros(RANK + 1), one, 1.0)
    row = prior.row(np.ones((5, RANK), np.float32), np.full(5, 3.0), np.arange(5), True)
    assert row[0] > 1.0
    np.testing.assert_allclose(row[1:], 0.0, atol=1e-4)
