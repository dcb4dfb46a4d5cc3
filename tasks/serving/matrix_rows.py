"""Users as rows of a sparse matrix of ratings: their factors, their best items, and how well both fit further ratings.

Covers: a fold-in of every row, rows divided in given and hidden ratings, lists of unrated items, RMSE and NDCG.
Does not cover: the solution of one row (tasks/model/fold/), the choice of items (top_items.py), matrices made of tables
or arrays (pipeline/estimator_input.py).

The columns of all matrices here are the rows of the model's items. A stored zero is a rating of 0. Linear algebra has
one thread: products of a row or a tile are too small for more, whose waiting takes ten times the processor time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy import sparse
from threadpoolctl import threadpool_limits

from funkflow.tasks.mix import mix
from funkflow.tasks.model.about import SIDES, read_about
from funkflow.tasks.model.fold.fold_in import AllRows, Penalty
from funkflow.tasks.model.fold.folding import Folding, new_row_prior_of
from funkflow.tasks.model.model import Model
from funkflow.tasks.model.parts import Rows, rows_of_own
from funkflow.tasks.model.rated import TrainedOn
from funkflow.tasks.model.score_rows import Scorer, score_pairs
from funkflow.tasks.parsing.rating_tables import ratings_of
from funkflow.tasks.serving.rank_part import least_relevant
from funkflow.tasks.serving.ranking_measures import sum_rankings
from funkflow.tasks.serving.top_items import RatedItems, TopItems, top_items
from funkflow.tasks.storage import files
from funkflow.tasks.storage.arrow_arrays import numbers_of
from funkflow.tasks.transform import as_ratings, transformed

Ratings = Any
"""A `scipy.sparse.csr_array` (users, items of the model), with sorted columns."""
_PLACES = 10
HIDDEN_PART = 5
"""One in so many ratings of a row is hidden, and at least one."""


def fold_in_rows(ratings: Ratings, model: Model) -> Rows:
    """Return factors and bias of every row from its ratings, with the model fixed.

    ratings : on the scale of training. A row without ratings is the user of whom nothing is known: the mean of all
    rows, or bias 0, and factors 0 or those that users have in common.
    """
    penalty, count = Penalty.of(model.about), ratings.shape[0]
    prior = new_row_prior_of(model.folder, model.about, "user")
    items = AllRows.of(model.item_factors) if penalty.alpha else None
    fold = Folding(model.item_factors, model.item_biases, model.mean, penalty, prior, items)
    nobody = fold.of_nobody
    users = Rows(np.full(count, nobody.bias, np.float32), np.tile(nobody.factors, (count, 1)))
    values = ratings.data.astype(np.float64)
    with threadpool_limits(1):
        for user in np.flatnonzero(np.diff(ratings.indptr)):
            own = slice(ratings.indptr[user], ratings.indptr[user + 1])
            row = fold.row(ratings.indices[own], values[own])
            users.factors[user], users.biases[user] = row.factors, row.bias
    return users


def divide(ratings: Ratings) -> tuple[Ratings, Ratings]:
    """Return the ratings of each row in two matrices, those given and the hidden ones, by a hash of row and item."""
    rows, lengths = _rows_of(ratings), np.diff(ratings.indptr)
    order = np.lexsort((mix(ratings.indices.astype(np.uint64) ^ mix(rows.astype(np.uint64))), rows))
    is_hidden = np.zeros(len(rows), bool)
    is_hidden[order] = np.arange(len(rows)) - ratings.indptr[rows] < -(-lengths // HIDDEN_PART)[rows]
    return _part(ratings, ~is_hidden), _part(ratings, is_hidden)


def best_items(users: Rows, model: Model, rated: Ratings, count: int) -> TopItems:
    """Return the `count` best items of each user that they did not rate, by unclipped scores on the scale of training.

    rated : (users, items), the items to leave out.
    """
    items = np.concatenate([model.item_factors, model.item_biases[:, None]], axis=1)
    ends = rated.indptr.astype(np.int64)
    left_out = RatedItems(rated.indices.astype(np.int32), ends[:-1], ends[1:])
    with threadpool_limits(1):
        top = top_items(users.factors, [items], left_out, min(count, len(items)))
    np.add(top.scores, (users.biases + np.float32(model.mean))[:, None], out=top.scores)
    return top


def ndcg(users: Rows, model: Model, rated: Ratings, relevant: Ratings, count: int) -> float:
    """Return the mean NDCG at `count` over the users who have a relevant item; nan if there is none.

    rated : as for `best_items`. relevant : (users, items), an entry for each relevant item.
    """
    measured = np.flatnonzero(np.diff(relevant.indptr))
    if not len(measured):
        return float("nan")
    wanted = relevant[measured]
    keys = np.repeat(np.arange(len(measured)), np.diff(wanted.indptr)) * len(model.item_ids) + wanted.indices
    top = best_items(users.take(measured), model, rated[measured], count)
    (ranking,) = sum_rankings(top.rows, keys.astype(np.int64), np.zeros(len(model.item_ids)), [count])
    return ranking.means(len(model.item_ids))["ndcg"]


def predictions(users: Rows, model: Model, columns: int) -> npt.NDArray[np.float64]:
    """Return predictions for all items, whose ids number the columns, float64 (users, columns), in rating units.

    A column whose item the model does not have gets what the user alone tells.
    """
    products = users.factors.astype(np.float64) @ model.item_factors.T.astype(np.float64)
    alone = model.mean + users.biases.astype(np.float64)
    scores = np.repeat(alone[:, None], columns, axis=1)
    scores[:, model.item_ids] += model.item_biases + products
    if model.scale is not None:
        np.clip(scores, *model.scale, out=scores)
    return np.asarray(as_ratings(scores, model.transform))


def score_rows(ratings: Ratings, model: Model) -> float:
    """Return -RMSE or NDCG of the hidden ratings of each row, from those that are given."""
    given, hidden = divide(ratings)
    users = fold_in_rows(given, model)
    if model.about.get("goal", "ratings") == "ranking":
        return ndcg(users, model, given, _relevant(hidden, model), _PLACES)
    items, by = Rows(model.item_biases, model.item_factors), Scorer(model.rank, model.mean, model.scale)
    return _negative_rmse(hidden.data, score_pairs(users, items, _rows_of(hidden), hidden.indices, by))


def score_table(table: pa.Table, model: Model, trained: Ratings) -> float:
    """Return -RMSE or NDCG of the ratings of a table; `trained` : ratings in training, by rows of the model."""
    users, items = table["user"].to_numpy(), table["item"].to_numpy()
    ratings = np.asarray(transformed(ratings_of(table), model.transform))
    if model.about.get("goal", "ratings") == "ratings":
        return _negative_rmse(ratings, model.score(users, items))
    known = model.knows(users, items)
    rows, places = _numbers(model.known_rows(users[known], "users")), _numbers(model.known_rows(items[known], "items"))
    relevant = _relevant(as_matrix(rows, places, ratings[known], trained.shape), model)
    return ndcg(Rows(model.user_biases, model.user_factors), model, trained, relevant, _PLACES)


def recommended(ids: npt.NDArray[Any], users: Rows, model: Model, rated: Ratings, count: int) -> dict[str, Any]:
    """Return columns user, item and score: the best items of each user first, in rating units."""
    top = best_items(users, model, rated, count)
    there = np.arange(top.rows.shape[1]) < top.found[:, None]
    scores = as_ratings(top.scores[there].astype(np.float64), model.transform)
    return {"user": np.repeat(ids, top.found), "item": model.item_ids[top.rows[there]], "score": scores}


def rows_of_users(ids: npt.NDArray[Any], model: Model, trained: Ratings) -> tuple[Ratings, Rows]:
    """Return the training ratings and the rows of users by their ids; raise BadInput if one is not in the model."""
    rows = model.known_rows(ids, "users")
    return trained[rows], Rows(model.user_biases[rows], model.user_factors[rows])


def as_table(trained: Ratings, model: Model) -> pa.Table:
    """Return ratings by rows of the model as a table of raw ids."""
    users, items = model.user_ids[_rows_of(trained)], model.item_ids[trained.indices]
    return pa.table({"user": users, "item": items, "rating": trained.data})


def trained_ratings(model_folder: str) -> Ratings:
    """Return the ratings of the dataset of a model in the folder of its run, in rating units, by rows of the model."""
    trained_on, about = TrainedOn.of(model_folder), read_about(model_folder)
    counts = [[int(part["rows"]) for part in about["parts"][side]] for side in SIDES]
    columns: list[list[npt.NDArray[Any]]] = [[], [], []]
    for number in range(len(trained_on.dataset["parts"])):
        (url, checksum), _ = trained_on.stored(number)
        table = files.read_table(url, ["user", "item", "rating"], expected_checksum=checksum)
        for own, name in zip(columns, table.column_names, strict=True):
            own.append(numbers_of(table[name]))
    users, items, ratings = (np.concatenate(own) for own in columns)
    rows, places = rows_of_own(users, counts[0]), rows_of_own(items, counts[1])
    shape = sum(counts[0]), sum(counts[1])
    return as_matrix(rows, places, as_ratings(ratings, about.get("transform", "none")), shape)


def on_items(ratings: Ratings, model: Model) -> Ratings:
    """Return ratings on the scale of training; their columns, item ids by number, become rows of the model's items.

    Items that the model does not have are left out.
    """
    columns = np.full(ratings.shape[1], -1)
    columns[model.item_ids] = np.arange(len(model.item_ids))
    places = columns[ratings.indices]
    known, values = places >= 0, transformed(ratings.data, model.transform)
    return as_matrix(_rows_of(ratings)[known], places[known], values[known], (ratings.shape[0], len(model.item_ids)))


def in_place(rows: npt.NDArray[Any], ids: npt.NDArray[np.integer], length: int) -> npt.NDArray[Any]:
    """Return rows by their numbers, `ids`, (length, ...); zeros where there is none."""
    placed = np.zeros((length, *rows.shape[1:]), rows.dtype)
    placed[ids] = rows
    return placed


def as_matrix(
    rows: npt.NDArray[np.integer], columns: npt.NDArray[np.integer], values: npt.NDArray[Any], shape: tuple[int, int]
) -> Ratings:
    """Return entries (n,) as a matrix with sorted columns; of several in one place the last stays."""
    order = np.lexsort((columns, rows))
    rows, columns, values = rows[order], columns[order], values[order]
    is_last = np.ones(len(rows), bool)
    is_last[:-1] = (rows[1:] != rows[:-1]) | (columns[1:] != columns[:-1])
    starts = np.cumsum([0, *np.bincount(rows[is_last], minlength=shape[0])])
    index = np.int32 if len(rows) < 2**31 else np.int64
    return sparse.csr_array((values[is_last], columns[is_last].astype(index), starts.astype(index)), shape=shape)


def _rows_of(ratings: Ratings) -> npt.NDArray[np.intp]:
    """Return the row of every entry, int (n,)."""
    return np.repeat(np.arange(ratings.shape[0]), np.diff(ratings.indptr))


def _numbers(rows: npt.NDArray[np.intp] | slice) -> npt.NDArray[np.intp]:
    assert not isinstance(rows, slice)  # as ids were given
    return rows


def _part(ratings: Ratings, chosen: npt.NDArray[np.bool_]) -> Ratings:
    return as_matrix(_rows_of(ratings)[chosen], ratings.indices[chosen], ratings.data[chosen], ratings.shape)


def _relevant(ratings: Ratings, model: Model) -> Ratings:
    """Return the relevant ones of ratings on the scale of training."""
    scale = model.scale or (ratings.data.min(initial=0.0), ratings.data.max(initial=0.0))
    least = least_relevant(scale, model.about.get("counts", False), None, model.transform)
    return _part(ratings, ratings.data >= least)


def _negative_rmse(ratings: npt.NDArray[np.float64], predicted: npt.NDArray[np.float64]) -> float:
    return -float(np.sqrt(np.mean((ratings - predicted) ** 2))) if len(ratings) else float("nan")
