"""`MatrixFactorization`: runs of the pipeline and their models, with the methods of scikit-learn's estimators.

Covers: parameters, fitting, predictions, recommendations and scores. Dask is imported once something is fitted.
Does not cover: the run (fitting.py), what X may be (estimator_input.py), rows of matrices
(tasks/serving/matrix_rows.py).
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funkflow.pipeline.estimator_input import RatingsEstimator, seed_of, value_errors
from funkflow.pipeline.fitting import Fitting
from funkflow.tasks.errors import BadInput
from funkflow.tasks.late import late
from funkflow.tasks.model.model import Model
from funkflow.tasks.parsing.rating_tables import is_table, joined
from funkflow.tasks.serving import matrix_rows
from funkflow.tasks.serving.matrix_rows import in_place

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = late("pandas")


class MatrixFactorization(RatingsEstimator):
    """Low-rank factorisation of a ratings matrix, with scikit-learn's conventions.

    X is one of

    - a table (pandas, polars, Arrow) with a row for each rating: columns user, item and rating, which are found by
      their usual names. Users and items are known by their ids. Each row is a sample.
    - a matrix of users x items, of SciPy or dense. Stored entries are ratings, stored zeros too; in a dense array NaN
      is missing, and all else is a rating. `fit` knows users and items by the numbers of rows and columns. To
      `predict`, `transform` and `score`, each row is a sample: some user's ratings, from which their factors are
      computed, whether `fit` saw that user or not.

    Parameters
    ----------
    rank : int, default=64
        Number of factors.
    goal : {"ratings", "ranking"}, default="ratings"
        Whether to predict ratings or to recommend items. A ranking counts missing cells as 0 with a small weight; its
        predictions are scores, and no ratings.
    l2 : float, default=None
        L2 term per rating, for ratings scaled to unit deviation; None: by the default rule.
    max_iter : int, default=None
        Most epochs. None: up to 100, fewer once the held-out ratings are predicted no better; where nothing is held
        out 15, for a ranking 12, and 3 in `partial_fit`.
    biases : bool, default=True
        Whether users and items have biases, and ratings are centred; a ranking has neither.
    random_state : int, RandomState instance or None, default=None
        Seed of initial factors and of the order of ratings. None is 0: the same seed gives the same bits.
    root : str, default=None
        Folder or URL for all files of a run. None: a temporary folder, removed after `fit`. Workers on other machines
        need one that they see.
    client : distributed.Client, default=None
        Client of a running Dask cluster. None: the current one, if there is any, or else threads of this process.
        Clones share it; a pickle or a copy leaves it out.
    settings : mapping, default=None
        Further settings of a run, by section: ``{"train": {"method": "als"}, "ingest": {"transform": "log1p"}}``. The
        parameters above come first.
    verbose : bool, default=False
        Whether to show the progress.

    Attributes
    ----------
    model_ : funkflow.Model
        The model in memory.
    user_factors_, item_factors_ : ndarray of shape (n_users, rank) and (n_items, rank), float32
        Rows as in `user_ids_` and `item_ids_`.
    user_biases_, item_biases_ : ndarray of shape (n_users,) and (n_items,), float32
        In rating units.
    user_ids_, item_ids_ : ndarray of shape (n_users,) and (n_items,)
        Ids in a table, numbers of rows and columns of a matrix. A row or column without ratings has zeros.
    mean_ : float
        Mean of the training ratings; 0 for a model without centring.
    n_iter_ : int
        Epochs that ran; the best of them is kept.
    n_features_in_ : int
        Columns of X in `fit`; of a table, those that are read.

    Notes
    -----
    A fitted estimator holds the training ratings (8 bytes each): `recommend` leaves them out, and `partial_fit` trains
    on them again. From 1,000 ratings on, `fit` for ratings holds out 5 % of them, by a hash, to decide when to stop,
    unless it gets `validation`.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from funkflow import MatrixFactorization
    >>> rng = np.random.default_rng(0)
    >>> cells = rng.choice(40 * 30, 600, replace=False)
    >>> table = pd.DataFrame({"user": cells // 30, "item": cells % 30, "rating": rng.integers(1, 6, 600)})
    >>> model = MatrixFactorization(rank=4).fit(table)
    >>> model.predict(table).shape
    (600,)
    >>> model.recommend([7], n=2).columns.tolist()
    ['user', 'item', 'score']
    """

    def __init__(
        self, rank: int = 64, *, goal: str = "ratings", l2: float | None = None, max_iter: int | None = None,
        biases: bool = True, random_state: Any = None, root: str | None = None, client: Any = None,
        settings: Mapping[str, Any] | None = None, verbose: bool = False,
    ) -> None:  # fmt: skip
        self.rank = rank
        self.goal = goal
        self.l2 = l2
        self.max_iter = max_iter
        self.biases = biases
        self.random_state = random_state
        self.root = root
        self.client = client
        self.settings = settings
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None, validation: Any = None) -> MatrixFactorization:
        """Train on ratings.

        Parameters
        ----------
        X : table of n ratings, or matrix of shape (n_users, n_items).
        y : array-like of shape (n,), the ratings of a table of pairs; ignored for a matrix.
        validation : table or matrix like X, to stop on and to measure the model on (`model_.about["rmse"]`).

        Returns
        -------
        The estimator. A warning says if the model is no better than mean and biases, or the most rated items, are.

        Raises
        ------
        ValueError
            A parameter or the ratings are wrong, in one line.
        """
        with value_errors():
            return self._fit(self._ratings(X, y, fresh=True), validation, None)

    def partial_fit(self, X: Any, y: Any = None, validation: Any = None) -> MatrixFactorization:
        """Train on the earlier and new ratings, from the model that is there; without one, as `fit` does.

        Parameters
        ----------
        X, y, validation : as in `fit`. A new rating replaces an earlier one of the same user and item, who are known
            by their ids, or by row and column: a matrix may have more rows than before.

        Raises
        ------
        ValueError
            As in `fit`; rank, goal or biases have changed; or `fit` had `validation`, and there is none now.
        """
        if not hasattr(self, "model_"):
            return self.fit(X, y, validation)
        with value_errors():
            if self._is_validated and validation is None:
                raise BadInput("fit had validation ratings, so partial_fit needs some too: give validation")
            earlier = matrix_rows.as_table(self._trained, self.model_)
            return self._fit(joined(earlier, self._ratings(X, y, fresh=False)), validation, self.model_)

    def predict(self, X: Any) -> npt.NDArray[np.float64]:
        """Predict ratings; for a ranking, scores.

        Parameters
        ----------
        X : table of n pairs (user, item), or matrix of shape (n_users, n_items).

        Returns
        -------
        ndarray of shape (n,) for a table; a new id adds neither bias nor factors. Of shape (n_users, n_items) for a
        matrix: all its cells, from the factors that its rows give.
        """
        with self._fitted() as model:
            if is_table(X):
                pairs = self._table(X, are_needed=False)
                return model.predict(pairs["user"].to_numpy(), pairs["item"].to_numpy())
            users = matrix_rows.fold_in_rows(self._rows(X), model)
            return matrix_rows.predictions(users, model, self.n_features_in_)

    def transform(self, X: Any) -> npt.NDArray[np.float32]:
        """Return factors of users from their ratings, the rows of a matrix: the items stay as they are.

        Parameters
        ----------
        X : matrix of shape (n_users, n_items).

        Returns
        -------
        ndarray of shape (n_users, rank), float32
        """
        with self._fitted() as model:
            return matrix_rows.fold_in_rows(self._rows(X), model).factors

    def score(self, X: Any, y: Any = None) -> float:
        """Return -RMSE (goal "ratings") or NDCG@10 (goal "ranking"): more is better.

        Parameters
        ----------
        X : table of ratings that training has not had; or matrix of shape (n_users, n_items), of which each row gives
            four fifths of its ratings and is measured on the others.
        y : as in `fit`.

        Returns
        -------
        With the transform log1p the RMSE is that of log(1 + rating). NDCG is a mean over users with relevant ratings,
        those from three quarters up the scale on; of a table over users in training. NaN: there is nothing to measure.
        """
        with self._fitted() as model:
            if is_table(X):
                return matrix_rows.score_table(self._table(X, y), model, self._trained)
            return matrix_rows.score_rows(self._rows(X), model)

    def recommend(self, users: Any, n: int = 10) -> pd.DataFrame:
        """Return the best items for users, without those that they rated in training.

        Parameters
        ----------
        users : array-like of ids, or of row numbers of the matrix in `fit`; or a matrix of shape (n_users, n_items),
            whose rows are users by their ratings.
        n : items for each user at most.

        Returns
        -------
        pandas.DataFrame
            Columns user, item and score, the best item of each user first. Scores are unclipped predictions.
        """
        with self._fitted() as model:
            if n < 1:
                raise BadInput(f"recommend: n = {n}; ask for at least one")
            if np.ndim(users) == 2 or hasattr(users, "tocsr"):
                rated = self._rows(users)
                ids, rows = np.arange(rated.shape[0]), matrix_rows.fold_in_rows(rated, model)
            else:
                ids = np.atleast_1d(np.asarray(users))
                rated, rows = matrix_rows.rows_of_users(ids, model, self._trained)
            return pd.DataFrame(matrix_rows.recommended(ids, rows, model, rated, n))

    def _fit(self, ratings: pa.Table, validation: Any, start: Model | None) -> MatrixFactorization:
        measured_on = None if validation is None else self._ratings(validation, None, fresh=False)
        train = {
            "rank": self.rank, "goal": self.goal, "seed": seed_of(self.random_state), "l2": self.l2,
            "epochs": self.max_iter, "biases": None if self.biases else False, "center": None if self.biases else False,
        }  # fmt: skip
        given = {name: value for name, value in train.items() if value is not None}
        fitting = Fitting(given, self.settings or {}, self.root, self.client, start, progress=bool(self.verbose))
        found = fitting.run(ratings, measured_on)
        self.model_, self.n_iter_, self._trained = found.model, found.epochs, found.ratings
        self._is_validated, self.mean_ = validation is not None, found.model.mean
        self._set_rows()
        if found.warning:
            warnings.warn(found.warning, UserWarning, stacklevel=3)
        return self

    def _set_rows(self) -> None:
        """Set the rows of the model as attributes: those of a matrix in its order, and none missing."""
        for side, length in zip(("user", "item"), self._shape or (None, None), strict=True):
            ids, biases, factors = (getattr(self.model_, f"{side}_{name}") for name in ("ids", "biases", "factors"))
            if length is not None:
                biases, factors = (in_place(rows, ids, length) for rows in (biases, factors))
                ids = np.arange(length)
            for name, rows in (("ids", ids), ("biases", biases), ("factors", factors)):
                setattr(self, f"{side}_{name}_", rows)

    @property
    def _n_features_out(self) -> int:
        return self.model_.rank

    def __sklearn_clone__(self) -> MatrixFactorization:
        twin: MatrixFactorization = super(MatrixFactorization, copy.copy(self)).__sklearn_clone__()
        twin.client = self.client  # by reference, as it cannot be copied
        return twin

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "client": None}
