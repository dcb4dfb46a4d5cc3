"""`MatrixFactorization` by scikit-learn's conventions.

Covers: scikit-learn's own checks, grid search, pipelines, seeds, clones, pickles, clients, files, and what is imported
when.
Does not cover: ratings, predictions and scores (test_estimator_ratings.py), the stages of a run (test_flow.py).
"""

from __future__ import annotations

import doctest
import os
import pickle
import re
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from distributed import Client
from rated_films import TABLE, X
from rated_films import of_matrix as of_matrix
from rated_films import of_table as of_table
from sessions import only_long
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from funkflow import MatrixFactorization, Model
from funkflow.pipeline.estimator_input import seed_of

CHECKOUT = Path(__file__).parents[2]
NO_NUMBER_A_ROW = (
    "predict returns all cells of a matrix, (n_samples, n_features); the check wants a number for each row"
)
DOES_NOT_APPLY = dict.fromkeys(("check_estimator_sparse_array", "check_estimator_sparse_matrix"), NO_NUMBER_A_ROW)
"""The checks of scikit-learn that this estimator does not pass, with the reasons."""


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
        processes=False, n_workers=1, threads_per_worker=1, dashboard_address=":0", set_as_default=False
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
    with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=":0"):
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
        (pd.DataFrame({"a": ["x"], "b": ["y"], "c": [1.0]}), "X:1: no column for the user"),
        (pd.DataFrame({"user": [1, 1], "item": [1, 2], "rating": [1.0, None]}), "^X row 2: the rating is empty"),
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
        "from funkflow import MatrixFactorization\n"
        "try: MatrixFactorization(rank=2)\n"
        "except Exception as error: print(error)"
    )
    assert python(code).endswith("pip install 'funkflow[sklearn]'")


@pytest.mark.long
def test_the_examples_run() -> None:
    """Those of the docstring, and the blocks of the page."""
    tried = doctest.DocTestRunner()
    for test in doctest.DocTestFinder(recurse=False).find(MatrixFactorization, "MatrixFactorization"):
        tried.run(test)
    assert tried.summarize(verbose=False) == (0, 8)
    page = (CHECKOUT / "docs" / "estimator.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(block, names)
    assert names["search"].best_params_["rank"] in (2, 8)
    assert 61 in names["estimator"].user_ids_
    assert names["by_rows"].transform(names["matrix"][50:]).shape == (10, 8)
