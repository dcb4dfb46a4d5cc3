"""What travels between the tasks of a sweep of Gibbs sampling.

Covers: the model that draws have in common, drawn shards, and problems between the steps of their draws.
Does not cover: the tasks (draws.py, implicit.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from funkflow.tasks.grid.row_basis import RowBasis
from funkflow.tasks.grid.row_objective import Objective
from funkflow.tasks.grid.solved_rows import Matrix, Rows
from funkflow.tasks.kernels.buffers import Weighed
from funkflow.tasks.training import als
from funkflow.tasks.training.posterior.priors import NoiseLevel, RowPrior, RowSums, WeightSums
from funkflow.tasks.training.times.effects import ItemTimes, UserTimes
from funkflow.tasks.training.times.row_days import NO_TIMES, Calendar


@dataclass(frozen=True)
class Model:
    """What draws have in common.

    objective : with alpha = 0, so of completion; ratings : number of training ratings; steps : of conjugate gradients
    in each row; implicit : whose second factors make means of rows, "items", "users", "both" or "none"; pair_steps : of
    their regressions; user_features : whether users have features (row_features.py).
    """

    objective: Objective
    ratings: int
    steps: int
    implicit: str = "none"
    pair_steps: int = 6
    user_features: bool = False
    calendar: Calendar = NO_TIMES
    further: bool = False

    @property
    def users_have_means(self) -> bool:
        """Whether items have second factors, for the users who rated them."""
        return self.implicit in ("items", "both")

    @property
    def items_have_means(self) -> bool:
        """Whether users have second factors, for the items that they rated."""
        return self.implicit in ("users", "both")


@dataclass(frozen=True)
class FeatureBasis(Weighed):
    """Eigenvalues, float64 (p,), and eigenvectors, (p, p), of G^T G of a side's features."""

    values: Matrix
    vectors: Matrix


@dataclass(frozen=True)
class Known(Weighed):
    """What features say of rows (row_features.py).

    items : features of all items by shard, CSR (rows, p), () for none; user_basis, item_basis : None for none;
    user_effects, item_effects : Z, float64 (p, w); user_change : of the users' Z by its last draw;
    user_lift, item_lift : float64 (w,), added to rows without ratings (`RowPrior.lift`); unrated_items : of all items,
    bool (items,).
    """

    items: tuple[Any, ...]
    user_basis: FeatureBasis | None
    item_basis: FeatureBasis | None
    user_effects: Matrix
    item_effects: Matrix
    user_lift: Matrix
    item_lift: Matrix
    unrated_items: Matrix
    user_change: Matrix

    def of_items(self) -> Matrix:
        """Return G Z of all items, with the lift of those without ratings, (items, w)."""
        said = np.concatenate([each @ self.item_effects for each in self.items])
        return np.asarray(said + np.outer(self.unrated_items, self.item_lift))

    def of_users(self, features: Any, counts: Matrix) -> Matrix:
        """Return the same of a user shard, (users, w)."""
        return np.asarray(features @ self.user_effects + np.outer(counts == 0, self.user_lift))

    def sums_of_items(self, rows: Matrix) -> Matrix:
        """Return G^T times the rows of all items, (p, w)."""
        ends = np.cumsum([each.shape[0] for each in self.items])
        parts = np.split(rows, ends[:-1].tolist())
        return np.asarray(np.sum([each.T @ part for each, part in zip(self.items, parts, strict=True)], axis=0))


@dataclass(frozen=True)
class Implicit(Weighed):
    """What decides the means of rows after a sweep; the rows of all items lie in one array.

    factors : Y of the users' rows, (items, w); means : F Y of the items' rows, (items, w); squares : float64 (w,), sums
    of squares of the columns of their Y. Zeros where the model is without. known : what features say, if there are any.
    """

    factors: Rows
    means: Rows
    squares: Matrix
    known: Known | None = None

    def of_items(self) -> Matrix:
        """Return the means of all items beside that of their number of ratings, F Y + G Z, (items, w)."""
        return self.means if self.known is None or not self.known.items else self.means + self.known.of_items()

    @classmethod
    def nothing(cls, shards: Sequence[Rows]) -> Implicit:
        """Return the state before the first sweep; shards : of items."""
        shape = sum(map(len, shards)), shards[0].shape[1]
        number = shards[0].dtype
        return cls(np.zeros(shape, number), np.zeros(shape, number), np.zeros(shape[1]))


def known_of(implicit: Implicit | None) -> Known:
    """Return what features say, where there are any."""
    assert implicit is not None
    assert implicit.known is not None
    return implicit.known


@dataclass(frozen=True)
class ItemDraw(Weighed):
    """All item shards at the end of a sweep, sums of them less their means, X^T X, the noise, and effects of time."""

    shards: tuple[Rows, ...]
    sums: RowSums
    gram: Matrix
    noise: NoiseLevel
    implicit: Implicit | None = None
    times: ItemTimes | None = None


@dataclass(frozen=True)
class UserProblem(Weighed):
    """What draws of user shards need beside their ratings."""

    items: tuple[Rows, ...]
    prior: RowPrior
    basis: RowBasis
    noise: NoiseLevel
    rated_users: int = 0
    implicit: Implicit | None = None


@dataclass(frozen=True)
class UserSums(Weighed):
    """What the rest of a sweep needs of a user shard.

    sums : of its rows less their means; gram : X^T X of its rows times the roots of their weights; weights : sums of
    these; squared_errors, weighed_errors : of its predictions, and each times the user's weight.
    """

    sums: RowSums
    gram: Matrix
    weights: WeightSums
    squared_errors: float
    weighed_errors: float


@dataclass(frozen=True)
class UserDraw(Weighed):
    """A drawn user shard.

    weights : a_u, float64 (rows,); means : F Y + G Z of its rows (implicit.py, row_features.py); factors : its rows of
    Y of the items' rows; the last two None for zeros; features : G of its rows, None for none; times : effects of
    time, None for none.
    """

    rows: Rows
    weights: Matrix
    seen: UserSums
    means: Rows | None = None
    factors: Rows | None = None
    features: Any = None
    times: UserTimes | None = None

    @property
    def away(self) -> Matrix:
        """The rows less their means, float64."""
        rows = self.rows.astype(np.float64)
        return rows if self.means is None else rows - self.means


@dataclass(frozen=True)
class ItemProblem(Weighed):
    """All item shards before the first pass of their draw.

    squared_errors : of the drawn users with the old items; noise_variance : mean of 1 / (tau a_u) over all ratings.
    """

    shards: tuple[Rows, ...]
    prior: RowPrior
    basis: RowBasis
    noise: NoiseLevel
    squared_errors: float
    noise_variance: float
    rated_users: int = 0
    implicit: Implicit | None = None


class Met(NamedTuple):
    """What the client wants to know of a sweep.

    squared_errors : of the drawn users with the items before, in units of training; noise_variance : mean of 1 / (tau
    a_u) over all ratings; squares : of `Implicit`, () without.
    """

    squared_errors: float
    noise: NoiseLevel
    noise_variance: float
    squares: tuple[float, ...] = ()


@dataclass(frozen=True)
class AllItemSearches(Weighed):
    """All item shards between the steps of their draw."""

    shards: tuple[als.ItemSearch, ...]
    noise: NoiseLevel
    implicit: Implicit | None = None
