"""A saved model that a server maps into memory, and its answers to single requests.

Covers: the best items of some users, of somebody new, and of one item; predictions of pairs.
Does not cover: writing the files (mapped_files.py), requests (pipeline/running/serving/), all users at once
(top_items.py).

Scores are float32 first, for all items, and those of the best few more than are asked for are then computed in float64.
A bound on the error of float32 says whether an item beyond these could be among the best; then, hardly ever, all are
computed in float64. So an answer is the exact one, whoever else was asked about in the same batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from funkflow.tasks.errors import BadInput
from funkflow.tasks.model.about import About, scale_of
from funkflow.tasks.model.best import best_places
from funkflow.tasks.model.fold.fold_in import FoldedRow
from funkflow.tasks.model.items import Recommended, Recommender, Similar
from funkflow.tasks.model.parts import Rows
from funkflow.tasks.model.score_rows import Scorer, score_pairs
from funkflow.tasks.serving.id_rows import IdRows
from funkflow.tasks.serving.mapped_files import RATED
from funkflow.tasks.serving.top_items import RatedItems, best_of_scores
from funkflow.tasks.storage import files
from funkflow.tasks.storage.npy import map_array, map_numbers
from funkflow.tasks.transform import Transform, as_ratings

_MORE = 16
"""Items, beside those that are asked for, that are scored in float64."""
_SCORES_AT_ONCE = 2**22
"""Scores of a batch: 16 MiB."""
_ROWS_AT_ONCE = 2**16
_ROUNDING = 2.0**-24
"""Relative error of a number rounded to float32."""
_FEW = 4
"""Fewer users are multiplied one by one, which takes less time than one product of them all."""


@dataclass(frozen=True)
class MappedModel(Recommender):
    """A saved model by rows. Its arrays are pages of files. One thread at a time may ask it.

    `folder` : of the model; `users`, `items` : raw ids; `columns` : float32 (k + 1, items), factors of items and their
    bias; `lengths` : float64 (items,), of the factors; `rated` : int32, the rows of the items that user j rated, from
    `rated_starts[j]` to `rated_ends[j]`, ascending.
    """

    about: About
    folder: str
    users: IdRows
    items: IdRows
    user_factors: npt.NDArray[np.float32]
    user_biases: npt.NDArray[np.float32]
    columns: npt.NDArray[np.float32]
    lengths: npt.NDArray[np.float64]
    rated: npt.NDArray[np.int32]
    rated_starts: npt.NDArray[np.int64]
    rated_ends: npt.NDArray[np.int64]

    @classmethod
    def open(cls, folder: str, about: About, model_folder: str) -> MappedModel:
        """Map the files that `write_sides` and `write_rated` wrote into `folder`.

        Raises
        ------
        DamagedFile
            A file is missing, or was cut short.
        """
        names = ("user_factors", "user_biases", "item_lengths", "rated_starts", "rated_ends", "items")
        found = {name: map_array(files.join(folder, f"{name}.npy")) for name in names}
        texts = {side: about["id_types"][side] == "string" for side in ("user", "item")}
        return cls(
            about=about, folder=model_folder,
            users=IdRows.mapped(folder, "user", texts["user"]), items=IdRows.mapped(folder, "item", texts["item"]),
            columns=found.pop("items"), lengths=found.pop("item_lengths"),
            rated=map_numbers(files.join(folder, RATED), np.int32), **found,
        )  # fmt: skip

    @property
    def mean(self) -> float:  # type: ignore[override]
        return float(self.about["mean"])

    @property
    def scale(self) -> tuple[float, float] | None:  # type: ignore[override]
        return scale_of(self.about)

    @property
    def transform(self) -> Transform:
        """Transform of the ratings in training."""
        return self.about.get("transform", "none")

    @property
    def item_factors(self) -> npt.NDArray[np.float32]:  # type: ignore[override]
        """Factors of items, float32 (items, k), a view."""
        return self.columns[:-1].T

    @property
    def item_biases(self) -> npt.NDArray[np.float32]:  # type: ignore[override]
        return self.columns[-1, :]

    @cached_property
    def item_ids(self) -> npt.NDArray[Any]:  # type: ignore[override]
        """Raw ids of items, int64 or object (items,)."""
        every = self.items.at(np.arange(self.columns.shape[1]))
        return np.array(every, np.int64 if self.items.ids is not None else object)

    @cached_property
    def _longest(self) -> float:
        """The length of the longest item, with its bias."""
        return float(np.sqrt(np.max(self.lengths**2 + self.item_biases.astype(np.float64) ** 2, initial=0.0)))

    @cached_property
    def _room(self) -> npt.NDArray[np.float32]:
        """Memory for the scores of a batch: that of an array of its own would be zeroed by the system each time."""
        return np.empty(max(_SCORES_AT_ONCE, len(self.lengths)), np.float32)

    def known_rows(self, ids: Any, side: Literal["users", "items"]) -> npt.NDArray[np.intp]:
        """Return the rows of raw ids; raise UnknownId or BadInput for one that the model does not have."""
        rows = self.users if side == "users" else self.items
        plain = ids.tolist() if isinstance(ids, np.ndarray) else ids
        return np.array([rows.row(each) for each in plain], np.intp)

    def batch_users(self) -> int:
        """Return the most users to score at once."""
        return max(1, _SCORES_AT_ONCE // max(1, len(self.lengths)))

    def predict_rows(self, user_rows: Sequence[int], item_rows: Sequence[int]) -> npt.NDArray[np.float64]:
        """Predict the ratings of pairs of rows, clipped to the scale, float64 (n,); row -1 adds nothing."""
        users, items = Rows(self.user_biases, self.user_factors), Rows(self.item_biases, self.item_factors)
        by = Scorer(len(self.columns) - 1, self.mean, self.scale)
        scores = score_pairs(users, items, np.array(user_rows, np.intp), np.array(item_rows, np.intp), by)
        return np.asarray(as_ratings(scores, self.transform), dtype=np.float64)

    def recommend_rows(self, rows: Sequence[int], counts: Sequence[int]) -> list[Recommended]:
        """Return `counts[n]` items that user `rows[n]` did not rate, as rows, with unclipped predictions.

        There are at most `batch_users` of them.
        """
        places = np.array(rows, np.intp)
        vectors = np.ones((len(places), len(self.columns)), np.float32)
        vectors[:, :-1] = self.user_factors[places]
        rated = RatedItems(self.rated, self.rated_starts[places], self.rated_ends[places])
        return self._best(vectors, self.user_biases[places], rated, counts)

    def recommend_folded(self, row: FoldedRow, count: int) -> Recommended:
        """Return items for somebody new, without those that they rated, as `recommend_rows` does."""
        vector = np.append(row.factors, np.float32(1))[np.newaxis]
        own = np.unique(self.known_rows(row.rated, "items")).astype(np.int32)
        rated = RatedItems(own, np.zeros(1, np.int64), np.array([len(own)]))
        return self._best(vector, np.array([row.bias]), rated, [count])[0]

    def similar_rows(self, row: int, count: int) -> Similar:
        """Return the other items with the greatest cosine to an item, as rows; leave out those of length 0.

        Raises
        ------
        BadInput
            The item had no training ratings.
        """
        if self.lengths[row] == 0:
            raise BadInput("similar: this item had no training ratings, so it has no similar items")
        vector = np.ascontiguousarray(self.columns[:-1, row])
        left_out = np.append(np.flatnonzero(self.lengths == 0), row)
        with np.errstate(invalid="ignore", divide="ignore"):
            scores = ((vector @ self.columns[:-1]) / self.lengths).astype(np.float32)
        scores /= np.float32(self.lengths[row])
        scores[left_out] = -np.inf

        def cosines(_users: slice, rows: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
            return np.asarray(self._products(vector[np.newaxis], rows) / (self.lengths[rows] * self.lengths[row]))

        bound = np.array([2 * (len(vector) + 4) * _ROUNDING])
        ((best, found),) = _exact_best(scores[np.newaxis], _NOTHING_RATED, cosines, [left_out], [count], bound)
        return Similar(best, found)

    def _best(
        self, vectors: npt.NDArray[np.float32], biases: npt.NDArray[np.floating], rated: RatedItems,
        counts: Sequence[int],
    ) -> list[Recommended]:  # fmt: skip
        """Return the best items of users with these vectors, float32 (n, k + 1), whose last number is 1."""
        scores = self._room[: len(vectors) * len(self.lengths)].reshape(len(vectors), -1)
        if len(vectors) < _FEW:
            for vector, own in zip(vectors, scores, strict=True):
                np.matmul(vector, self.columns, out=own)
        else:
            np.matmul(vectors, self.columns, out=scores)
        left_out = [rated.items[start:end] for start, end in zip(rated.starts, rated.ends, strict=True)]
        lengths = np.sqrt(np.einsum("nk,nk->n", vectors, vectors))
        bounds = 2 * len(self.columns) * _ROUNDING * self._longest * lengths.astype(np.float64)

        def products(users: slice, rows: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
            return self._products(vectors[users], rows)

        best = _exact_best(scores, rated, products, left_out, counts, bounds)
        shifts = (self.mean + biases.astype(np.float64)).tolist()
        return [
            Recommended(rows, as_ratings(found + shift, self.transform))
            for (rows, found), shift in zip(best, shifts, strict=True)
        ]

    def _products(self, vectors: npt.NDArray[np.float32], rows: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
        """Return the products of each vector with its rows of items, float64 (n, m); the same for any other rows.

        vectors : float32 (n, k) or (n, k + 1). rows : (n, m).
        """
        users, width = vectors.shape
        wide, found = vectors.astype(np.float64), np.empty(rows.shape, np.float64)
        for start in range(0, rows.shape[1], _ROWS_AT_ONCE):
            own = rows[:, start : start + _ROWS_AT_ONCE]
            items = np.ascontiguousarray(self.columns[:width, own.ravel()].T, np.float64)
            np.einsum("nmk,nk->nm", items.reshape(users, -1, width), wide, out=found[:, start : start + own.shape[1]])
        return found

    def _rated_rows(self, _user: Any, row: int) -> npt.NDArray[np.intp]:
        return self.rated[self.rated_starts[row] : self.rated_ends[row]].astype(np.intp)


_NOTHING_RATED = RatedItems(np.empty(0, np.int32), np.zeros(1, np.int64), np.zeros(1, np.int64))

_Exact = Callable[[slice, npt.NDArray[np.integer]], npt.NDArray[np.float64]]
"""Returns the exact scores of some users and rows of items, each (users, m)."""


def _exact_best(
    scores: npt.NDArray[np.float32], rated: RatedItems, exact: _Exact, left_out: Sequence[npt.NDArray[np.integer]],
    counts: Sequence[int], bounds: npt.NDArray[np.float64],
) -> list[tuple[npt.NDArray[np.integer], npt.NDArray[np.float64]]]:  # fmt: skip
    """Return for each user the rows of the items with the highest exact scores, the best first, and these scores.

    Parameters
    ----------
    scores : float32 (users, items), changed; within `bounds`, (users,), of `exact`.
    rated, left_out : items that are no candidates, in two forms.
    """
    items = scores.shape[1]
    kept = min(max(counts) + _MORE, items)
    top = best_of_scores(scores, rated, kept)
    values = exact(slice(None), np.maximum(top.rows, 0))
    values[np.arange(kept) >= top.found[:, np.newaxis]] = -np.inf
    order = np.lexsort((top.rows, -values))
    rows, values = np.take_along_axis(top.rows, order, 1), np.take_along_axis(values, order, 1)
    # The highest exact score of items that are no candidates.
    beyond = np.where((top.found < kept) | (kept == items), -np.inf, top.scores[:, -1] + bounds).tolist()
    best: list[tuple[npt.NDArray[np.integer], npt.NDArray[np.float64]]] = []
    for user, (count, found) in enumerate(zip(counts, top.found.tolist(), strict=True)):
        most = min(count, found)
        if most and values[user, most - 1] <= beyond[user]:
            every = exact(slice(user, user + 1), np.arange(items)[np.newaxis])[0]
            every[left_out[user]] = -np.inf
            places = best_places(every, count)
            best.append((places, every[places]))
        else:
            best.append((rows[user, :most], values[user, :most]))
    return best
