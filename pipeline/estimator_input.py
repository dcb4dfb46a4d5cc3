"""What X may be for an estimator: a table of ratings, or a matrix of users x items.

Covers: scikit-learn, an optional extra, and what an estimator has of it: its bases, tags and checks of arrays.
Does not cover: the names of columns (tasks/parsing/rating_tables.py), parameters and methods (estimator.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from numbers import Integral
from typing import Any

import numpy as np
import pyarrow as pa

from funkflow.pipeline.settings.sections import Settings
from funkflow.tasks.errors import BadInput, SettingsError
from funkflow.tasks.model.model import Model
from funkflow.tasks.parsing.rating_tables import canonical_table, is_table, with_text_ids
from funkflow.tasks.parsing.sources.tables import as_arrow
from funkflow.tasks.serving.matrix_rows import Ratings, as_matrix, on_items

try:
    from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as _cause:
    _MISSING = str(_cause)

    class BaseEstimator:  # type: ignore[no-redef]
        """A base that cannot be made: the import of all names succeeds, and the use of this one says what it needs."""

        def __new__(cls, *_given: object, **_named: object) -> Any:
            raise SettingsError(
                f"MatrixFactorization needs scikit-learn 1.6 or later ({_MISSING}): pip install 'funkflow[sklearn]'"
            )

    class TransformerMixin:  # type: ignore[no-redef]
        """A base without methods."""

    class ClassNamePrefixFeaturesOutMixin:  # type: ignore[no-redef]
        """A base without methods."""


_FILLED = ("bsr", "dia")
"""Formats of sparse matrices that store zeros to fill up, which are no ratings."""


def seed_of(random_state: Any) -> int:
    """Return the seed of a random state: a number that a generator draws; 0 for None."""
    if random_state is None or isinstance(random_state, Integral):
        return int(random_state or 0)
    return int(check_random_state(random_state).randint(2**31 - 1))


@contextmanager
def value_errors() -> Iterator[None]:
    """Raise errors of settings and input as ValueError, which scikit-learn's tools expect."""
    try:
        yield
    except (BadInput, SettingsError) as error:
        raise ValueError(error.message) from error


class RatingsEstimator(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """An estimator on ratings. `_shape` : of the matrix in `fit`; None: it was a table."""

    settings: Mapping[str, Any] | None
    model_: Model
    n_features_in_: int
    _shape: tuple[int, int] | None

    def _ratings(self, X: Any, y: Any, fresh: bool) -> pa.Table:
        """Return X as a table of user, item, rating and timestamp; `fresh` : learn its form, else it has to be that.

        Raises
        ------
        BadInput
            There are no ratings, or X is a matrix after a table, or the other way round.
        """
        if fresh:
            self._shape = None
        if is_table(X):
            self._refuse_other_form(table=True, fresh=fresh)
            table = self._table(X, y)
            if fresh:
                self.n_features_in_ = table.num_columns - (y is not None)
        else:
            self._refuse_other_form(table=False, fresh=fresh)
            matrix = self._matrix(X, fresh)
            rows = 0 if fresh or self._shape is None else self._shape[0]
            self._shape = max(rows, matrix.shape[0]), matrix.shape[1]
            table = as_arrow(matrix, "X")
        if not table.num_rows:
            raise BadInput("X has no ratings: all cells are missing")
        return table

    def _table(self, X: Any, y: Any = None, are_needed: bool = True) -> pa.Table:
        ingest = Settings.build({"ingest": (self.settings or {}).get("ingest", {})}).ingest
        chosen = ingest.columns
        rating = chosen.rating if ingest.counts is None else ingest.counts
        table = canonical_table(X, (chosen.user, chosen.item, rating, chosen.timestamp), y, are_needed)
        return with_text_ids(table) if ingest.id_type == "string" else table

    def _matrix(self, X: Any, fresh: bool) -> Ratings:
        """Return X as a matrix whose stored entries are its ratings."""
        if getattr(X, "format", "") in _FILLED:
            X = X.tocsr()
            X.eliminate_zeros()
        X = validate_data(self, X, accept_sparse="csr", dtype=np.float64, ensure_all_finite="allow-nan", reset=fresh)
        if isinstance(X, np.ndarray):
            rows, columns = np.nonzero(~np.isnan(X))
            return as_matrix(rows, columns, X[rows, columns], X.shape)
        if not X.has_canonical_format:
            X = X.copy()
            X.sum_duplicates()
        entries = X.tocoo()
        there = ~np.isnan(entries.data)
        return as_matrix(entries.row[there], entries.col[there], entries.data[there], X.shape)

    def _rows(self, X: Any) -> Ratings:
        """Return a matrix on the scale of training, with the items of the model as columns."""
        self._refuse_other_form(table=False, fresh=False)
        return on_items(self._matrix(X, fresh=False), self.model_)

    def _refuse_other_form(self, table: bool, fresh: bool) -> None:
        if fresh or table == (self._shape is None):
            return
        raise BadInput(
            "X is a table, and that of fit was a matrix, whose users and items have no ids: give a matrix"
            if table
            else "X is a matrix, and that of fit was a table, whose items have ids: give a table"
        )

    @contextmanager
    def _fitted(self) -> Iterator[Model]:
        """Yield the model, if there is one, and raise the errors of its use as `value_errors` does."""
        check_is_fitted(self, "model_")
        with value_errors():
            yield self.model_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = []
        return tags
