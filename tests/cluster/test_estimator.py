"""`MatrixFactorization`: scikit-learn's conventions, and the pipeline behind them.

Covers: scikit-learn's own checks, tables and matrices, missing and stored zeros, validation, partial_fit, scores,
recommendations, grid search, clones, pickles, clients, and what is imported when.
Does not cover: the stages of a run (test_flow.py), ratings in memory of all kinds (the tests of `run`).
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from distributed import Client
from scipy import sparse
from sessions import only_long
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from funkflow import MatrixFactorization, Model
from funkflow.pipeline.estimator_input import seed_of
from funkflow.pipeline.fitting import FEW_RATINGS, WARM_EPOCHS

CHECKOUT = Path(__file__).parents[2]
NO_NUMBER_A_ROW = (
    "predict returns all cells of a matrix, (n_samples, n_features); the check wants a number for each row"
)
DOES_NOT_APPLY = dict.fromkeys(("check_estimator_sparse_array", "check_estimator_sparse_matrix"), NO_NUMBER_A_ROW)
"""The checks of scikit-learn that this estimator does not pass, with the reasons."""


def planted(users: int = 60, items: int = 30, part: float = 0.4, seed: int = 0) -> npt.NDArray[np.float64]:
    """Return a matrix of rank 2 with little noise on a scale of about 1 to 5, NaN where it is missing."""
    rng = np.random.default_rng(seed)
    whole = 3 + 0.8 * rng.normal(size=(users, 2)) @ rng.normal(size=(2, items)) + 0.1 * rng.normal(size=(users, items))
    return np.where(rng.random(whole.shape) < part, np.clip(whole, 1, 5), np.nan)


X = planted()
ROWS, COLUMNS = np.nonzero(~np.isnan(X))
TABLE = pd.DataFrame({"user": ROWS + 100, "item": [f"film {each}" for each in COLUMNS], "rating": X[ROWS, COLUMNS]})
TEST = TABLE.sample(100, random_state=0)
TRAIN = TABLE.drop(TEST.index)


@pytest.fixture(scope="module")
def of_matrix() -> MatrixFactorization:
    return MatrixFactorization(rank=2).fit(X)


@pytest.fixture(scope="module")
def of_table() -> MatrixFactorization:
    return MatrixFactorization(rank=2).fit(TRAIN)


@pytest.mark.parametrize("legacy", [False, only_long(True)])
def test_the_checks_of_scikit_learn(legacy: bool) -> None:
    """API checks; the long session has all of them."""
    few = MatrixFactorization(rank=2, max_iter=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        found = check_estimator(few, legacy=legacy, expected_failed_checks=DOES_NOT_APPLY, on_skip=None)
    failed = {each["check_name"] for each in found if each["status"] == "xfail"}
    assert failed == (set(DOES_NOT_APPLY) if legacy else set())
    assert sum(each["status"] == "passed" for each in found) >= (42 if legacy else 15)


def test_a_matrix_is_completed_from_its_own_rows(of_matrix: MatrixFactorization) -> None:
    completed = of_matrix.predict(X)
    assert completed.shape == X.shape
    assert np.sqrt(np.nanmean((completed - X) ** 2)) < 0.2
    np.testing.assert_allclose(of_matrix.predict(X[[5, 3]]), completed[[5, 3]], atol=1e-12)
    nothing = np.full((1, X.shape[1]), np.nan)
    by_item = np.clip(of_matrix.mean_ + of_matrix.item_biases_, *of_matrix.model_.scale)
    np.testing.assert_allclose(of_matrix.predict(nothing)[0], by_item, rtol=1e-6)


def test_the_attributes_are_in_the_order_of_the_matrix(of_matrix: MatrixFactorization) -> None:
    model = of_matrix.model_
    assert (of_matrix.user_factors_.shape, of_matrix.item_factors_.shape) == ((60, 2), (30, 2))
    np.testing.assert_array_equal(of_matrix.item_factors_[model.item_ids], model.item_factors)
    by_row = of_matrix.mean_ + of_matrix.user_biases_[7] + of_matrix.item_biases_[9]
    assert by_row + of_matrix.user_factors_[7] @ of_matrix.item_factors_[9] == pytest.approx(
        model.predict([7], [9], clip=False)[0], rel=1e-5
    )
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
def test_sparse_and_dense_give_the_same_bits(of_matrix: MatrixFactorization, form: str) -> None:
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
    changed = clone(of_table).set_params(rank=3)
    changed.__dict__.update({name: value for name, value in vars(of_table).items() if name != "rank"})
    with pytest.raises(ValueError, match=r"train.rank = 3, but .* has 2"):
        changed.partial_fit(later)


def test_a_newer_rating_replaces_an_earlier_one(of_matrix: MatrixFactorization) -> None:
    fitted = pickle.loads(pickle.dumps(of_matrix))
    new = np.full((62, X.shape[1]), np.nan)
    new[ROWS[0], COLUMNS[0]], new[61, 3] = 4.25, 2.0
    fitted.partial_fit(new)
    assert fitted.user_factors_.shape == (62, 2)
    assert fitted._trained.nnz == len(ROWS) + 1
    user, item = (np.flatnonzero(ids == at[0])[0] for ids, at in
                  ((fitted.model_.user_ids, ROWS), (fitted.model_.item_ids, COLUMNS)))  # fmt: skip
    assert fitted._trained[[user], [item]] == 4.25


def test_many_ratings_are_held_out_in_part_and_a_useless_model_is_called_so() -> None:
    more = planted(80, 40)
    assert np.count_nonzero(~np.isnan(more)) > FEW_RATINGS
    with pytest.warns(UserWarning, match="the model is of no use: its RMSE on the validation ratings") as heard:
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
    assert fitted.partial_fit(TRAIN, validation=TEST).model_.about["rmse"] < 0.4


def test_grid_search_takes_tables_and_matrices() -> None:
    folds = KFold(2, shuffle=True, random_state=0)
    both = {
        "theirs": "neg_root_mean_squared_error",
        "ours": lambda fitted, pairs, ratings: fitted.score(pairs, ratings),
    }
    by_pairs = GridSearchCV(MatrixFactorization(max_iter=3), {"rank": [2]}, cv=folds, scoring=both, refit=False)
    found = by_pairs.fit(TABLE[["user", "item"]], TABLE["rating"]).cv_results_
    assert -2 < found["mean_test_ours"][0] == pytest.approx(found["mean_test_theirs"][0])
    of_users = cross_val_score(MatrixFactorization(rank=2), X, cv=folds)
    assert ((of_users > -np.nanstd(X)) & (of_users < 0)).all()


def test_factors_feed_a_pipeline() -> None:
    found = make_pipeline(MatrixFactorization(rank=2, max_iter=2), StandardScaler()).fit_transform(X)
    assert found.shape == (60, 2)


def test_the_seed_decides_the_bits_and_none_is_0(of_matrix: MatrixFactorization) -> None:
    drawn = np.random.RandomState(3).randint(2**31 - 1)
    assert (seed_of(None), seed_of(np.int64(5)), seed_of(np.random.RandomState(3))) == (0, 5, drawn)
    same, other = (clone(of_matrix).set_params(random_state=seed).fit(X) for seed in (0, 1))
    np.testing.assert_array_equal(same.item_factors_, of_matrix.item_factors_)
    assert (other.item_factors_ != of_matrix.item_factors_).any()


def test_a_client_is_used_cloned_by_reference_and_left_out_of_pickles(
    of_matrix: MatrixFactorization, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Client(
        processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None, set_as_default=False
    ) as own:
        monkeypatch.setattr("funkflow.pipeline.cluster.one_process.LocalCluster", None)
        theirs = MatrixFactorization(rank=2, client=own)
        assert clone(theirs).client is own
        fitted = clone(theirs).fit(X)
        assert own.submit(sum, [1, 2]).result() == 3
    np.testing.assert_array_equal(fitted.item_factors_, of_matrix.item_factors_)
    again = pickle.loads(pickle.dumps(fitted))
    assert again.client is None
    assert fitted.client is own
    np.testing.assert_array_equal(again.predict(X), fitted.predict(X))


def test_the_current_client_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None):
        monkeypatch.setattr("funkflow.pipeline.cluster.one_process.LocalCluster", None)
        assert MatrixFactorization(rank=2, max_iter=1).fit(X).n_iter_ == 1


def test_files_are_gone_unless_there_is_a_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    few = MatrixFactorization(rank=2, max_iter=1)
    few.fit(X)
    assert not list((tmp_path / "temporary").glob("funkflow-*"))
    few.set_params(root=str(tmp_path / "root")).fit(X)
    (folder,) = (tmp_path / "root").glob("runs/*/model")
    np.testing.assert_array_equal(Model.load(str(folder)).item_factors, few.model_.item_factors)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.full((3, 2), np.nan), "X has no ratings"),
        (np.array([[1.0, np.inf]]), "infinity"),
        (pd.DataFrame({"a": ["x"], "b": ["y"], "c": [1.0]}), "user"),
    ],
)
def test_bad_ratings_are_refused(given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MatrixFactorization(rank=2).fit(given)


def test_a_matrix_is_no_table(of_matrix: MatrixFactorization, of_table: MatrixFactorization) -> None:
    with pytest.raises(ValueError, match="X is a matrix, and that of fit was a table"):
        of_table.transform(X)
    with pytest.raises(ValueError, match="X is a table, and that of fit was a matrix"):
        of_matrix.partial_fit(TABLE)
    with pytest.raises(NotFittedError):
        MatrixFactorization().recommend([1])
    with pytest.raises(ValueError, match=r"train\.rank = -1"):
        MatrixFactorization(rank=-1).fit(X)


def python(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, timeout=60,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )  # fmt: skip
    return done.stdout.strip()


def test_a_pickled_model_predicts_without_dask(of_matrix: MatrixFactorization, tmp_path: Path) -> None:
    (tmp_path / "fitted.pickle").write_bytes(pickle.dumps(of_matrix))
    code = (
        "import sys, pickle, funkflow; print('sklearn' in sys.modules)\n"
        "model = pickle.load(open(sys.argv[1], 'rb')); model.predict([[3.0] * 30]); model.recommend([1])\n"
        "print('dask' in sys.modules, 'distributed' in sys.modules)"
    )
    assert python(code, str(tmp_path / "fitted.pickle")).split() == ["False"] * 3


def test_without_scikit_learn_one_line_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['sklearn'] = None\n"
        "from funkflow import *\n"
        "try: MatrixFactorization(rank=2)\n"
        "except Exception as error: print(error)"
    )
    assert python(code).endswith("pip install 'funkflow[sklearn]'")
