"""Recommendations, similar items, and rows for users and items that joined after training.

Covers: `Model.recommend`, `Model.similar`, `Model.fold_in`, `Model.fold_in_draws`, by raw ids.
Does not cover: all users at once (tasks/serving/top_items.py), the solution of a fold-in (tasks/model/fold/), rated
items (rated.py), orders by draws (draws/orders.py), the files of a model (model.py).
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funkflow.tasks.errors import BadInput, SettingsError
from funkflow.tasks.model.about import SIDES, About, SideName
from funkflow.tasks.model.best import best_places
from funkflow.tasks.model.draws.drawn_rows import WithDraws
from funkflow.tasks.model.draws.new_rows import DrawnRow, draw_row
from funkflow.tasks.model.draws.orders import By, ItemOrder
from funkflow.tasks.model.fold.fold_in import AllRows, FoldedRow, Penalty, check_ratings
from funkflow.tasks.model.fold.folding import Folding, new_row_prior_of
from funkflow.tasks.model.neighbours import Factors, similar_rows, strongest_factors
from funkflow.tasks.model.parts import dense_of_row, rows_of_own
from funkflow.tasks.model.rated import TrainedOn
from funkflow.tasks.transform import COUNTS, Transform, as_ratings


class Recommended(NamedTuple):
    """Items for a user, the best first: raw ids (n,), and unclipped predictions, float64 (n,)."""

    items: npt.NDArray[Any]
    scores: npt.NDArray[np.float64]


class Similar(NamedTuple):
    """Items similar to one, the nearest first: raw ids (n,), and the cosines of their factors, float64 (n,)."""

    items: npt.NDArray[Any]
    cosines: npt.NDArray[np.float64]


class Recommender(WithDraws, ABC):
    """The methods of `Model` that recommend; `Model` describes the attributes."""

    mean: float
    scale: tuple[float, float] | None
    item_ids: npt.NDArray[Any]
    user_biases: npt.NDArray[np.float32]
    item_biases: npt.NDArray[np.float32]
    user_factors: npt.NDArray[np.float32]
    item_factors: npt.NDArray[np.float32]
    about: About

    @property
    @abstractmethod
    def transform(self) -> Transform:
        """Transform of the ratings in training."""

    @abstractmethod
    def known_rows(self, ids: Any, side: Literal["users", "items"]) -> npt.NDArray[np.intp] | slice:
        """Return the rows of raw ids; the model must have all of them."""

    def recommend(
        self, user: Any, n: int = 10, exclude: Any = None, by: By = "mean", quantile: float | None = None, seed: int = 0
    ) -> Recommended:
        """Return the items with the highest predicted ratings, and these predictions.

        Parameters
        ----------
        user : a raw id, or a row that `fold_in` or `fold_in_draws` returned.
        n : number of items at most.
        exclude : array-like (m,) of raw ids of items to leave out; () for none. None: the items that the user rated, in
            training or validation, or that the fold-in got. If the trained-on ratings are not beside the model
            (ROOT/runs/RUN/model), nothing is left out, and a warning says so.
        by : "mean" : the prediction; "lower" or "upper" : a quantile of it over the draws of train.method = "bayes";
            "thompson" : its value in the draw that the seed and the raw id choose.
        quantile : of "lower" and "upper"; None: 0.1 and 0.9.
        seed : of "thompson".

        Returns
        -------
        (items, scores) : raw ids (n,), the best first, ties in model order; what orders them, unclipped, float64 (n,).

        Raises
        ------
        BadInput
            `n` is less than 1, an id is unknown, or the order needs draws that the model does not have.

        Examples
        --------
        >>> model = Model.load("data/runs/e422cd92dfed4b38/model")  # doctest: +SKIP
        >>> model.recommend(7, n=3).items  # doctest: +SKIP
        array([882, 189, 1044])
        """
        count, order = _check_count("recommend", n), ItemOrder(by, quantile, seed)
        if isinstance(user, FoldedRow | DrawnRow):
            left_out = self._rows_of(user.rated if exclude is None else exclude)
        else:
            row = self._row("users", user)
            left_out = self._rated_rows(user, row) if exclude is None else self._rows_of(exclude)
        if order.needs_draws or isinstance(user, DrawnRow):
            scores = self._drawn_scores(user, order)
        else:
            row_of = user if isinstance(user, FoldedRow) else FoldedRow(self.user_factors[row], self.user_biases[row])
            products = self.item_factors @ row_of.factors.astype(np.float64)
            scores = np.asarray(self.mean + row_of.bias + self.item_biases + products, dtype=np.float64)
        scores[left_out] = -np.inf
        places = best_places(scores, count)
        return Recommended(self.item_ids[places], as_ratings(scores[places], self.transform))

    def similar(self, item: Any, n: int = 10) -> Similar:
        """Return the items with the greatest cosine of factors to one: raw ids and cosines (n,).

        Parameters
        ----------
        item : a raw id.
        n : number of items at most.

        Raises
        ------
        BadInput
            `n` is less than 1, the item is unknown, or it had no training ratings.
        """
        places, cosines = similar_rows(self.item_factors, self._row("items", item), _check_count("similar", n))
        return Similar(self.item_ids[places], cosines)

    def fold_in(self, ratings: Mapping[Any, float], side: SideName = "user") -> FoldedRow:
        """Return factors and bias of a new user, or of a new item.

        They are the most probable ones given the ratings and the rows of all others, with the model fixed. Those of a
        ranking minimise its objective, which counts what has no rating as 0, with its weight: the first fold-in sums
        over all items, or users, once. A model without the prior of new rows pulls to 0 by its L2 term.

        Parameters
        ----------
        ratings : {item: rating} of a user, or {user: rating} of an item, by raw ids.
        side : whether "user" or "item" is new.

        Raises
        ------
        BadInput
            There is no rating, one is not a number on the scale, an id is unknown, or `model.json` lacks the L2 term
            or the weight of missing cells.
        """
        return self.fold_in_all([ratings], side)[0]

    def fold_in_all(self, rows: Iterable[Mapping[Any, float]], side: SideName = "user") -> list[FoldedRow]:
        """Return the result of `fold_in` for each of several new rows.

        Parameters
        ----------
        rows : the ratings of each.
        side : as for `fold_in`.
        """
        if side not in ("user", "item"):
            raise BadInput(f'fold_in: side is "user" or "item", not {side!r}')
        penalty, folded = Penalty.of(self.about), []
        rows_of = (self.item_factors, self.item_biases) if side == "user" else (self.user_factors, self.user_biases)
        prior = new_row_prior_of(self.folder, self.about, side)
        all_others = (self._all_items if side == "user" else self._all_users) if penalty.alpha else None
        if side == "item":
            penalty = replace(penalty, common=())
        fold = Folding(*rows_of, self.mean, penalty, prior, all_others)
        for each in rows:
            ids = list(each)
            scale = COUNTS if penalty.counts else self.scale
            ratings = check_ratings(list(each.values()), ids, scale, self.transform)
            row = fold.row(np.asarray(self.known_rows(ids, "items" if side == "user" else "users")), ratings)
            folded.append(replace(row, rated=tuple(ids) if side == "user" else ()))
        return folded

    def fold_in_draws(self, ratings: Mapping[Any, float], side: SideName = "user", seed: int = 0) -> DrawnRow:
        """Return draws of the row of a new user, or of a new item: one for each draw that the model keeps.

        Each is exact given the draw of the other side, with the rows of its own side as its prior, so that few ratings
        leave the draws far apart. `intervals` and `recommend` take the row in place of a user.

        Parameters
        ----------
        ratings, side : as for `fold_in`.
        seed : of the random numbers; the same one gives the same bits.

        Raises
        ------
        BadInput
            The model has no draws, or as for `fold_in`.
        """
        if side not in ("user", "item"):
            raise BadInput(f'fold_in_draws: side is "user" or "item", not {side!r}')
        draws, ids = self.draws_for("fold_in_draws"), list(ratings)
        checked = check_ratings(list(ratings.values()), ids, self.scale, self.transform)
        own, others = (draws.users, draws.items) if side == "user" else (draws.items, draws.users)
        places = np.asarray(self.known_rows(ids, "items" if side == "user" else "users"))
        drawn = draw_row(others.take(places), checked - draws.mean, draws.noise, own.priors, seed)
        return DrawnRow(drawn.astype(np.float32), tuple(ids) if side == "user" else ())

    def factors(self) -> Factors:
        """Return the factors of U V^T in the order of its singular values: strengths, and a loading for each item."""
        return strongest_factors(self.user_factors, self.item_factors)

    @cached_property
    def _all_items(self) -> AllRows:
        return AllRows.of(self.item_factors)

    @cached_property
    def _all_users(self) -> AllRows:
        return AllRows.of(self.user_factors)

    def _drawn_scores(self, user: Any, order: ItemOrder) -> npt.NDArray[np.float64]:
        """Return the score of each item for a user by the model's draws, in the order of its rows."""
        draws = self.draws_for(f"recommend.by = {order.by}")
        if isinstance(user, FoldedRow):
            raise BadInput(f"recommend.by = {order.by}: this row has no draws; give the one of fold_in_draws")
        if isinstance(user, DrawnRow):
            rows, chosen = user.draws[None], np.array([order.seed % draws.users.draws])
        else:
            rows = draws.users.take(np.array([self._row("users", user)]))
            chosen = order.draws_of(pa.array([user]), draws.users.draws)
        scores = [order.scores(rows, items, chosen)[0] for items in draws.items.in_groups()]
        return draws.mean + np.concatenate(scores).astype(np.float64)

    def _rows_of(self, items: Any) -> npt.NDArray[np.intp]:
        ids = list(items)
        rows = self.known_rows(ids, "items") if ids else np.empty(0, np.intp)
        assert not isinstance(rows, slice)
        return rows

    def _rated_rows(self, user: Any, row: int) -> npt.NDArray[np.intp]:
        """Return the rows of the items that a user rated; none, with a warning, if the ratings are missing."""
        try:
            trained_on = TrainedOn.of(self.folder) if self.folder else None
        except (BadInput, SettingsError):
            trained_on = None
        if trained_on is None:
            what = f"recommend keeps the items that user {user} rated: the trained-on ratings are not beside this model"
            warnings.warn(f"{what}; pass exclude, () for nothing", stacklevel=3)
            return np.empty(0, np.intp)
        users, items = ([int(part["rows"]) for part in self.about["parts"][side]] for side in SIDES)
        return rows_of_own(trained_on.rated_by(user, dense_of_row(row, users)), items)

    def _row(self, side: Literal["users", "items"], raw_id: Any) -> int:
        rows = self.known_rows([raw_id], side)
        assert not isinstance(rows, slice)
        return int(rows[0])


def _check_count(method: str, n: int) -> int:
    if n < 1:
        raise BadInput(f"{method}: n = {n}; ask for at least one")
    return n
