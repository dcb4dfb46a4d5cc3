"""`MatrixFactorization` on ratings: tables and matrices, and what it makes of them.

Covers: missing and stored zeros, predictions, recommendations, scores, validation, and partial_fit.
Does not cover: scikit-learn's conventions (test_estimator.py), ratings in memory of all kinds.
"""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from rated_films import COLUMNS, ROWS, TABLE, TEST, TRAIN, X, planted
from rated_films import of_matrix as of_matrix
from rated_films import of_table as of_table
from scipy import sparse
from sklearn.base import clone

from funkflow import MatrixFactorization
from funkflow.pipeline.fitting import FEW_RATINGS, WARM_EPOCHS


def test_a_matrix_is_completed_from_its_own_rows(of_matrix: MatrixFactorization) -> None:
    completed = of_matrix.predict(X)
    assert completed.shape == X.shape
    assert np.sqrt(np.nanmean((completed - X) ** 2)) < 0.2
    np.testing.assert_allclose(of_matrix.predict(X[[5, 3]]), completed[[5, 3]], atol=1e-12)
    nothing = np.full((1, X.shape[1]), np.nan)
    by_item = np.clip(of_matrix.mean_ + of_matrix.item_biases_, *(of_matrix.model_.scale or (1.0, 5.0)))
    np.testing.assert_allclose(of_matrix.predict(nothing)[0], by_item, rtol=1e-6)


def test_the_attributes_are_in_the_order_of_the_matrix(of_matrix: MatrixFactorization) -> None:
    model = of_matrix.model_
    assert (of_matrix.user_factors_.shape, of_matrix.item_factors_.shape) == ((60, 2), (30, 2))
    np.testing.assert_array_equal(of_matrix.item_factors_[model.item_ids], model.item_factors)
    by_row = of_matrix.mean_ + of_matrix.user_biases_[7] + of_matrix.item_biases_[9]
    assert by_row + of_matrix.user_factors_[7] @ of_matrix.item_factors_[9] == pytest.approx(
        model.predict([7], [9], clip=False)[0], rel=1e-5
    )
    by_numbers = of_matrix.predict(pd.DataFrame({"user": [7], "item": [9]}))
    np.testing.assert_array_equal(by_numbers, model.predict([7], [9]))
    assert of_matrix.n_iter_ >= 1
    assert list(of_matrix.get_feature_names_out()) == ["matrixfactorization0", "matrixfactorization1"]


def test_rows_and_columns_without_ratings_have_their_place() -> None:
    sparse_one = X.copy()
    sparse_one[3], sparse_one[:, 5] = np.nan, np.nan
    fitted = MatrixFactorization(rank=2, max_iter=2).fit(sparse_one)
    assert (len(fitted.user_ids_), len(fitted.item_ids_)) == X.shape
    assert not fitted.user_factors_[3].any()
    assert not fitted.item_factors_[5].any()
    assert np.isfinite(fitted.predict(sparse_one)).all()


@pytest.mark.parametrize("form", ["coo", "dia"])
def test_sparse_and_dense_give_the_same_bits(of_matrix: MatrixFactorization, form: Any) -> None:
    same = sparse.coo_array((X[ROWS, COLUMNS], (ROWS, COLUMNS)), shape=X.shape).asformat(form)
    fitted = clone(of_matrix).fit(same)
    np.testing.assert_array_equal(fitted.user_factors_, of_matrix.user_factors_)
    np.testing.assert_array_equal(fitted.transform(same), of_matrix.transform(X))


def test_a_stored_zero_is_a_rating_of_0() -> None:
    ones = np.ones((4, 3))
    ones[0, 0] = 0
    stored = sparse.coo_array((ones.ravel(), np.indices(ones.shape).reshape(2, -1)), shape=ones.shape)
    fitted = MatrixFactorization(rank=2, max_iter=1).fit(stored)
    assert fitted.mean_ == pytest.approx(11 / 12)


def test_a_table_predicts_its_pairs(of_table: MatrixFactorization) -> None:
    predicted = of_table.predict(TEST[["user", "item"]])
    assert predicted.shape == (100,)
    assert of_table.score(TEST) == pytest.approx(-np.sqrt(np.mean((predicted - TEST["rating"]) ** 2)))
    assert of_table.score(TEST) > -0.6 * TEST["rating"].std()
    assert of_table.score(TEST[["user", "item"]], TEST["rating"]) == of_table.score(TEST)
    assert of_table.predict(pd.DataFrame({"user": [1], "item": ["none"]}))[0] == pytest.approx(of_table.mean_)


@pytest.mark.parametrize("library", [pl.from_pandas, lambda frame: pa.Table.from_pandas(frame, preserve_index=False)])
def test_tables_of_any_library_give_the_same_bits(of_table: MatrixFactorization, library: Any) -> None:
    fitted = clone(of_table).fit(library(TRAIN))
    np.testing.assert_array_equal(fitted.item_factors_, of_table.item_factors_)
    np.testing.assert_array_equal(fitted.predict(library(TEST)), of_table.predict(TEST))


def test_pairs_with_y_and_other_names_are_the_same_ratings(of_table: MatrixFactorization) -> None:
    named = TRAIN.rename(columns={"user": "who", "item": "what"})[["what", "who"]].assign(
        what=lambda frame: frame["what"].astype("category")
    )
    settings = {"ingest": {"columns": {"user": "who", "item": "what"}}}
    fitted = clone(of_table).set_params(settings=settings).fit(named, TRAIN["rating"])
    np.testing.assert_array_equal(fitted.item_factors_, of_table.item_factors_)


@pytest.mark.parametrize(
    "settings", [{"train": {"method": "lanczos"}}, {"ingest": {"id_type": "string", "transform": "log1p"}}]
)
def test_further_settings_are_those_of_a_run(settings: dict[str, Any]) -> None:
    numbered = TRAIN.assign(item=TRAIN["item"].str[5:].astype(int)), TEST.assign(item=TEST["item"].str[5:].astype(int))
    fitted = MatrixFactorization(rank=2, settings=settings).fit(numbered[0])
    assert -1.5 < fitted.score(numbered[1]) < 0
    assert fitted.model_.transform == settings.get("ingest", {}).get("transform", "none")


def test_recommendations_leave_out_what_training_had(of_table: MatrixFactorization) -> None:
    user = int(TRAIN["user"].iloc[0])
    found = of_table.recommend([user, 150], n=3)
    assert found.columns.tolist() == ["user", "item", "score"]
    assert found["user"].tolist() == [user] * 3 + [150] * 3
    rated = set(TRAIN["item"][TRAIN["user"] == user])
    best = of_table.model_.recommend(user, 3, exclude=sorted(rated))
    assert found["item"][:3].tolist() == best.items.tolist()
    np.testing.assert_allclose(found["score"][:3], best.scores, rtol=1e-5)
    assert len(of_table.recommend(user, n=1000)) == len(of_table.item_ids_) - len(rated)
    with pytest.raises(ValueError, match="user 7: this id is not in the model"):
        of_table.recommend(7)


def test_rows_of_a_matrix_get_recommendations_as_new_users(of_matrix: MatrixFactorization) -> None:
    known, new = of_matrix.recommend([4], n=5), of_matrix.recommend(X[[4]], n=5)
    assert set(new["item"]).isdisjoint(COLUMNS[ROWS == 4])
    assert len(set(new["item"]) & set(known["item"])) >= 4
    assert new["user"].tolist() == [0] * 5


def test_a_ranking_is_scored_by_ndcg() -> None:
    fitted = MatrixFactorization(rank=2, goal="ranking").fit(TRAIN)
    assert not fitted.item_biases_.any()
    liked = TEST[TEST["rating"] >= 4]
    expected = []
    for user, items in liked.groupby("user")["item"]:
        top = fitted.recommend(user)["item"].tolist()
        gains = 1 / np.log2(np.arange(2, 12))
        hits = [each in set(items) for each in top]
        expected.append(gains[: len(top)][hits].sum() / gains[: len(items)].sum())
    assert fitted.score(TEST) == pytest.approx(np.mean(expected))
    assert 0 < MatrixFactorization(rank=2, goal="ranking").fit(X).score(planted(seed=0)) <= 1


def test_partial_fit_goes_on_from_the_model(of_table: MatrixFactorization) -> None:
    fitted = pickle.loads(pickle.dumps(of_table))
    later = pd.concat([TEST, pd.DataFrame({"user": [7, 7], "item": ["film 1", "film 2"], "rating": [5.0, 4.0]})])
    assert fitted.partial_fit(later) is fitted
    assert fitted.n_iter_ == WARM_EPOCHS
    assert fitted.model_.about["start"] is not None
    assert set(fitted.user_ids_) == {*of_table.user_ids_, 7}
    assert fitted._trained.nnz == len(TABLE) + 2
    assert fitted.score(TEST) > of_table.score(TEST)
    with pytest.raises(ValueError, match=r"X has values of other types than fit had, user int64, item .*string"):
        fitted.partial_fit(later.assign(user="somebody"))
    changed = clone(of_table).set_params(rank=3)
    changed.__dict__.update({name: value for name, value in vars(of_table).items() if name != "rank"})
    with pytest.raises(
        ValueError, match=r"^train.rank is 3, but 2 in the start model, the model of fit: set train.rank = 2"
    ):
        changed.partial_fit(later)


def test_a_newer_rating_replaces_an_earlier_one(of_matrix: MatrixFactorization) -> None:
    fitted = pickle.loads(pickle.dumps(of_matrix))
    new = np.vstack([X, np.full((2, X.shape[1]), np.nan)])
    new[ROWS[0], COLUMNS[0]], new[61, 3] = 4.25, 2.0
    assert 2 * len(ROWS) > FEW_RATINGS
    fitted.partial_fit(new)
    assert fitted.n_iter_ == WARM_EPOCHS  # as fit held nothing out, there is nothing that the model has not learnt
    assert fitted.user_factors_.shape == (62, 2)
    assert fitted._trained.nnz == len(ROWS) + 1
    user, item = (np.flatnonzero(ids == at[0])[0] for ids, at in
                  ((fitted.model_.user_ids, ROWS), (fitted.model_.item_ids, COLUMNS)))  # fmt: skip
    assert fitted._trained[[user], [item]] == 4.25


def test_many_ratings_are_held_out_in_part_and_a_useless_model_is_called_so() -> None:
    more = planted(80, 40)
    assert np.count_nonzero(~np.isnan(more)) > FEW_RATINGS
    with pytest.warns(UserWarning, match="the model is not useful: validation RMSE") as heard:
        fitted = MatrixFactorization(rank=2, max_iter=1).fit(more)
    assert heard[0].filename == __file__
    assert fitted.model_.about["split"] == "hash 5 % (seed 0)"
    fitted.set_params(max_iter=None).partial_fit(more[:60])
    assert fitted.model_.about["start"] is not None
    assert fitted.n_iter_ > WARM_EPOCHS


def test_validation_ratings_measure_the_model_and_stop_it() -> None:
    fitted = MatrixFactorization(rank=2).fit(TRAIN, validation=TEST)
    assert fitted.model_.about["rmse"] == pytest.approx(-fitted.score(TEST), rel=1e-4)
    with pytest.raises(ValueError, match="partial_fit needs some too: give validation"):
        fitted.partial_fit(TRAIN)
    assert fitted.partial_fit(TRAIN, validation=TEST).model_.about["rmse"] == pytest.approx(
        -fitted.score(TEST), rel=1e-4
    )
