"""What travels between the tasks of a sweep of Gibbs sampling.

Covers: the model that draws have in common, drawn shards, and problems between the steps of their draws.
Does not cover: the tasks (draws.py, implicit.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from funkflow.tasks.grid.row_basis import RowBasis
from funkflow.tasks.grid.row_objective import Objective
from funkflow.tasks.grid.solved_rows import Matrix, Rows
from funkflow.tasks.kernels.buffers import Weighed
from funkflow.tasks.training import als
from funkflow.tasks.training.posterior.priors import NoiseLevel, RowPrior, RowSums, WeightSums


@dataclass(frozen=True)
class Model:
    """What draws have in common.

    objective : with alpha = 0, so of completion; ratings : number of training ratings; steps : of conjugate gradients
    in each row; implicit : whose second factors make means of rows, "items", "users", "both" or "none"; pair_steps : of
    their regressions.
    """

    objective: Objective
    ratings: int
    steps: int
    implicit: str = "none"
    pair_steps: int = 6

    @property
    def users_have_means(self) -> bool:
        """Whether items have second factors, for the users who rated them."""
        return self.implicit in ("items", "both")

    @property
    def items_have_means(self) -> bool:
        """Whether users have second factors, for the items that they rated."""
        return self.implicit in ("users", "both")


@dataclass(frozen=True)
class Implicit(Weighed):
    """What the pairs say after a sweep; the rows of all items lie in one array.

    factors : Y of the users' rows, (items, w); means : F Y of the items' rows, (items, w); squares : float64 (w,), sums
    of squares of the columns of their Y. Zeros where the model is without.
    """

    factors: Rows
    means: Rows
    squares: Matrix

    @classmethod
    def nothing(cls, shards: Sequence[Rows]) -> Implicit:
        """Return the state before the first sweep; shards : of items."""
        shape = sum(map(len, shards)), shards[0].shape[1]
        number = shards[0].dtype
        return cls(np.zeros(shape, number), np.zeros(shape, number), np.zeros(shape[1]))


@dataclass(frozen=True)
class ItemDraw(Weighed):
    """All item shards at the end of a sweep, sums of them less their means, X^T X, and the noise."""

    shards: tuple[Rows, ...]
    sums: RowSums
    gram: Matrix
    noise: NoiseLevel
    implicit: Implicit | None = None


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

    weights : a_u, float64 (rows,); means : F Y of its rows (implicit.py); factors : its rows of Y of the items' rows;
    the last two None for zeros.
    """

    rows: Rows
    weights: Matrix
    seen: UserSums
    means: Rows | None = None
    factors: Rows | None = None

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
