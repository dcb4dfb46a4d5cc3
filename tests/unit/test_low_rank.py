"""A_ρ and the errors at every rank, against NumPy's best approximation of the whole matrix.

Covers: tasks/model/low_rank.py, tasks/model/errors_by_rank.py, tasks/evaluation/score_ranks.py, `Model.reconstruct`.
Does not cover: writing the whole matrix (test_reconstruct.py), or the same on Dask (test_spectrum.py).
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factorised import dense, model_of, saved_in_parts
from hypothesis import given, settings
from hypothesis import strategies as st
from sessions import examples

from funkflow.tasks.errors import BadInput
from funkflow.tasks.evaluation.score_ranks import CanonicalModel, score_ranks
from funkflow.tasks.model.about import read_about
from funkflow.tasks.model.canonical import Matrix, canonical_items, with_biases
from funkflow.tasks.model.errors_by_rank import SideFactors, errors_by_rank, rotate_items, spectrum_table
from funkflow.tasks.model.model import Model
from funkflow.tasks.model.parts import ModelParts, rows_of_own
from funkflow.tasks.model.score_rows import Scorer
from funkflow.tasks.storage import files
from funkflow.tasks.training.score import held_out_table

MODEL = model_of(np.random.default_rng(2))


def best(model: Model, rank: int) -> Matrix:
    """A_ρ by NumPy's SVD of the product, unclipped."""
    product = model.user_factors.astype(np.float64) @ model.item_factors.astype(np.float64).T
    U, s, Vt = np.linalg.svd(product, full_matrices=False)
    return np.asarray(dense(model) - product + (U[:, :rank] * s[:rank]) @ Vt[:rank])


@pytest.mark.parametrize("rank", [0, 1, 4, 6, None])
def test_it_is_the_best_approximation(rank: int | None) -> None:
    expected = best(MODEL, 6 if rank is None else rank)
    np.testing.assert_allclose(MODEL.reconstruct(rank=rank, clip=False), expected, atol=1e-10)
    np.testing.assert_allclose(MODEL.reconstruct(rank=rank), np.clip(expected, 1, 5), atol=1e-10)


@pytest.mark.parametrize("text_ids", [False, True])
def test_rows_columns_blocks_and_cells_are_parts_of_it(text_ids: bool) -> None:
    model = model_of(np.random.default_rng(5), text_ids=text_ids)
    whole = best(model, 3)
    rows, columns = np.array([39, 0, 7]), np.array([16, 2, 2])
    users, items = model.user_ids[rows], model.item_ids[columns]
    part = partial(model.reconstruct, rank=3, clip=False)
    np.testing.assert_allclose(part(users), whole[rows], atol=1e-10)
    np.testing.assert_allclose(part(items=items), whole[:, columns], atol=1e-10)
    np.testing.assert_allclose(part(users, items), whole[np.ix_(rows, columns)], atol=1e-10)
    np.testing.assert_allclose(part(users, items, cells=True), whole[rows, columns], atol=1e-10)


def test_all_factors_predict_as_the_model_does() -> None:
    users, items = MODEL.user_ids[[3, 3, 9]], MODEL.item_ids[[0, 1, 5]]
    np.testing.assert_allclose(MODEL.reconstruct(users, items, cells=True), MODEL.predict(users, items), atol=1e-6)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"rank": 7}, "rank 7: this model has rank 6; give a whole number from 0 to 6"),
        ({"rank": -1}, "rank -1: this model has rank 6"),
        ({"rank": 2.5}, "rank 2.5: this model has rank 6"),
        ({"users": [5, 6]}, "user 6: this id is not in the model; leave it out"),
        ({"items": [100, 99]}, "item 99: this id is not in the model"),
        ({"items": ["100"]}, "items such as '100' are text, but this model's ids are numbers"),
        ({"users": [5], "items": [100, 102], "cells": True}, "1 users but 2 items; give a pair for each cell"),
    ],
)
def test_bad_requests_are_one_line(asked: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        MODEL.reconstruct(**asked)  # type: ignore[arg-type]
    assert "\n" not in caught.value.message


def test_complex_factors_make_no_model() -> None:
    factors: Any = MODEL.user_factors * 1j
    parts = (MODEL.user_biases, MODEL.item_biases, factors, MODEL.item_factors)
    with pytest.raises(BadInput, match="user_factors: complex values; only real matrices are factorised"):
        Model(3.0, None, MODEL.user_ids, MODEL.item_ids, *parts)


@given(count=st.integers(0, 60), seed=st.integers(0, 1000), clipped=st.booleans())
@settings(max_examples=examples(40), deadline=None)
def test_one_pass_gives_the_errors_of_every_rank(count: int, seed: int, clipped: bool) -> None:
    """Beside A_ρ made anew for each rank; a user or item that training did not know has neither factors nor bias."""
    rng = np.random.default_rng(seed)
    users, items, ratings = rng.integers(-1, 40, count), rng.integers(-1, 17, count), rng.uniform(1, 5, count)
    rotations = canonical_items(MODEL.user_factors, MODEL.item_factors)[0].rotations
    scale = (1.0, 5.0) if clipped else None
    sides = [
        SideFactors(MODEL.user_factors, MODEL.user_biases),
        rotate_items(SideFactors(MODEL.item_factors, MODEL.item_biases), rotations),
    ]
    found = errors_by_rank(users, items, ratings, sides[0], sides[1], rotations, Scorer(MODEL.rank, MODEL.mean, scale))
    user_shift, item_shift = (side.astype(np.float64) for side in (MODEL.user_biases, MODEL.item_biases))
    shift = np.where(users < 0, 0, user_shift[users]) + np.where(items < 0, 0, item_shift[items])
    apart = dense(MODEL) - MODEL.user_factors.astype(float) @ MODEL.item_factors.astype(float).T
    for rank in range(7):
        product = (best(MODEL, rank) - apart)[users, items]
        predicted = MODEL.mean + shift + np.where((users < 0) | (items < 0), 0.0, product)
        errors = (np.clip(predicted, 1, 5) if clipped else predicted) - ratings
        assert found.squared[rank] == pytest.approx(np.sum(errors**2), rel=1e-6, abs=1e-9)
        assert found.absolute[rank] == pytest.approx(np.sum(np.abs(errors)), rel=1e-6, abs=1e-9)
    assert found.ratings == count


def test_more_ratings_than_a_block_holds() -> None:
    rng = np.random.default_rng(0)
    users, items, ratings = rng.integers(0, 40, 20_000), rng.integers(0, 17, 20_000), rng.uniform(1, 5, 20_000)
    rotations = canonical_items(MODEL.user_factors, MODEL.item_factors)[0].rotations
    sides = [
        SideFactors(MODEL.user_factors, MODEL.user_biases),
        rotate_items(SideFactors(MODEL.item_factors, MODEL.item_biases), rotations),
    ]
    by = Scorer(MODEL.rank, MODEL.mean, MODEL.scale)
    parts = [
        errors_by_rank(users[part], items[part], ratings[part], sides[0], sides[1], rotations, by)
        for part in (slice(None), slice(0, 9_000), slice(9_000, None))
    ]
    np.testing.assert_allclose(parts[0].rmse, (parts[1] + parts[2]).rmse, rtol=1e-12)
    expected = np.sqrt(np.mean((MODEL.predict(MODEL.user_ids[users], MODEL.item_ids[items]) - ratings) ** 2))
    assert parts[0].rmse[-1] == pytest.approx(expected, rel=1e-6)


def test_the_table_adds_up() -> None:
    values = np.array([2.0, 1.0, 0.0])
    table = spectrum_table(values, None)
    assert table["rank"].to_pylist() == [1, 2, 3]
    assert table["energy"].to_pylist() == pytest.approx([0.8, 0.2, 0.0])
    assert table["cumulative_energy"].to_pylist() == pytest.approx([0.8, 1.0, 1.0])
    assert table["rmse"].null_count == 3


@pytest.mark.parametrize("fold_biases", [False, True])
def test_item_parts_one_after_another_give_the_errors_of_all_items_at_once(tmp_path: Path, fold_biases: bool) -> None:
    """Unknown users and items are in shard 0; the items of the last shard have no rating."""
    model, rng, shards = saved_in_parts(MODEL, str(tmp_path / "model"), 3), np.random.default_rng(6), 3
    users, items, ratings = rng.integers(-1, 40, 300), rng.integers(-1, 17, 300), rng.uniform(1, 5, 300)
    kept = (items < 0) | (items % shards < 2)
    users, items, values = users[kept], items[kept], ratings[kept].astype(np.float32)
    parts = ModelParts.of(str(tmp_path / "model"), read_about(str(tmp_path / "model")))
    sides = [SideFactors(model.user_factors, model.user_biases), SideFactors(model.item_factors, model.item_biases)]
    if fold_biases:
        wide = [
            with_biases(model.user_factors, model.user_biases, model.mean, "user"),
            with_biases(model.item_factors, model.item_biases, model.mean, "item"),
        ]
        sides = [SideFactors(each, np.zeros(len(each))) for each in wide]
    rotations = canonical_items(sides[0].factors, sides[1].factors)[0].rotations
    user_rows, item_rows = (
        np.where(dense < 0, -1, rows_of_own(np.maximum(dense, 0), counts))
        for dense, counts in ((users, parts.user_counts), (items, parts.item_counts))
    )
    by = Scorer(MODEL.rank, 0.0 if fold_biases else model.mean, model.scale)
    expected = errors_by_rank(user_rows, item_rows, values, sides[0], rotate_items(sides[1], rotations), rotations, by)
    found = []
    for shard in range(shards):
        url = str(tmp_path / f"held-{shard}.parquet")
        place = url, files.write_table(url, held_out_table(users, items, values, shards, shard))
        found.append(score_ranks(CanonicalModel(parts, rotations, fold_biases), shard, place))
    total = sum(found[1:], found[0])
    assert total.ratings == len(values)
    np.testing.assert_allclose(total.rmse, expected.rmse, rtol=1e-12)
    np.testing.assert_allclose(total.mae, expected.mae, rtol=1e-12)
