"""Prior means of rows by their features, drawn with a sweep.

Covers: the effect of each feature on each column of the rows, its precision, and the order of their tasks.
Does not cover: the features (tasks/dataset/feature_rows.py), means by who rated what (implicit.py).

The rows X of a side have the prior N(m + F Y + G Z, 1 / L), column by column: G has the features of the rows, sparse,
and Z their effects, N(0, 1 / l). Given X a column of Z has the precision L G^T G + l. The eigenvectors of G^T G, over
rows with ratings, make it diagonal for all columns and sweeps, so that its draws are exact (for features in general:
Simm et al. 2017). A row without ratings has the mean that its features give it. As its number of ratings it counts that
of the rows which ratings usually are of, since what nobody could rate yet need not be what nobody wants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from funkflow.tasks.grid.block import BlockRow
from funkflow.tasks.grid.solved_rows import Matrix, Rows
from funkflow.tasks.noise import Stream
from funkflow.tasks.training.posterior.implicit import Tasks
from funkflow.tasks.training.posterior.priors import RowPrior, draw_precision
from funkflow.tasks.training.posterior.sweep_parts import (
    FeatureBasis,
    Implicit,
    Known,
    Model,
    UserDraw,
    UserProblem,
    known_of,
)


def gram_of_features(features: Any, counts: Matrix) -> Matrix:
    """Return a shard's part of G^T G, over its rows with ratings, float64 (p, p)."""
    rated = features[counts > 0]
    return np.asarray((rated.T @ rated).todense())


def basis_of(*grams: Matrix) -> FeatureBasis:
    """Return the eigenvectors of the sum of all parts."""
    values, vectors = np.linalg.eigh(np.sum(grams, axis=0))
    return FeatureBasis(np.maximum(values, 0.0), vectors)


def nothing_known(
    shards: Sequence[Rows], features: Sequence[Any], counts: Sequence[Matrix], users: FeatureBasis | None,
    items: FeatureBasis | None,
) -> Implicit:  # fmt: skip
    """Return the state before the first sweep: effects of 0.

    Parameters
    ----------
    shards : rows of all items; features : of these, by shard, () where there are none; counts : ratings of these.
    """
    width = shards[0].shape[1]
    of_users, of_items = (np.zeros((0 if basis is None else len(basis.values), width)) for basis in (users, items))
    known = Known(
        items=tuple(features), user_basis=users, item_basis=items, user_effects=of_users, item_effects=of_items,
        user_change=np.zeros_like(of_users), user_lift=np.zeros(width), item_lift=np.zeros(width),
        unrated_items=np.concatenate(counts) == 0,
    )  # fmt: skip
    return replace(Implicit.nothing(shards), known=known)


def with_user_effects(tasks: Tasks, problem: Any, users: Sequence[Any], model: Model, stream: Stream) -> Any:
    """Return the problem of the users with new effects of their features."""
    parts = tasks.by_row("features-of-users", user_part, [users], problem)
    return tasks.one("effects-of-users", draw_user_effects, problem, model, stream, *parts)


def user_part(_blocks: BlockRow, counts: Matrix, _shard: int, users: UserDraw, problem: UserProblem) -> Matrix:
    """Return a user shard's part of G^T (X - m - F Y), float64 (p, w)."""
    known = known_of(problem.implicit)
    away = users.away + users.features @ known.user_effects - problem.prior.of(counts)
    return np.asarray(users.features[counts > 0].T @ away[counts > 0])


def draw_user_effects(problem: UserProblem, model: Model, stream: Stream, *parts: Matrix) -> UserProblem:
    """Return the problem of the users with drawn effects."""
    known = known_of(problem.implicit)
    free = model.objective.free(known.user_effects.shape[1], "users")
    crossed = np.sum(parts, axis=0) * free
    drawn = _draw(known.user_basis, crossed, known.user_effects, problem.prior, stream, "users") * free
    said = replace(
        known, user_effects=drawn, user_change=drawn - known.user_effects, user_lift=problem.prior.lift * free
    )
    assert problem.implicit is not None
    return replace(problem, implicit=replace(problem.implicit, known=said))


def with_item_effects(
    implicit: Implicit | None, shards: Sequence[Rows], counts: Sequence[Matrix], prior: RowPrior, model: Model,
    stream: Stream,
) -> Implicit | None:  # fmt: skip
    """Return what decides the means of the items with new effects of their features, if they have any."""
    if implicit is None or implicit.known is None or implicit.known.item_basis is None:
        return implicit
    known, rated = implicit.known, np.concatenate(counts)
    away = np.concatenate(shards).astype(np.float64) - prior.of(rated) - implicit.means
    away *= (rated > 0)[:, None]
    free = model.objective.free(away.shape[1], "items")
    crossed = known.sums_of_items(away) * free
    drawn = _draw(known.item_basis, crossed, known.item_effects, prior, stream, "items") * free
    return replace(implicit, known=replace(known, item_effects=drawn, item_lift=prior.lift * free))


def _draw(
    basis: FeatureBasis | None, crossed: Matrix, before: Matrix, prior: RowPrior, stream: Stream, side: str
) -> Matrix:
    """Draw effects, float64 (p, w); crossed : G^T of what the rows are without them; before : the last effects."""
    assert basis is not None
    precision = prior.precision
    if stream.sweep > 1:  # drawn from zeros, it would keep effects near 0 for long
        precision = draw_precision(len(before), np.sum(before**2, axis=0), stream, f"precision of features of {side}")
    each = basis.values[:, None] * prior.precision + precision
    normals = stream.generator(f"effects of features of {side}").standard_normal(before.shape)
    return np.asarray(basis.vectors @ (basis.vectors.T @ crossed * prior.precision / each + normals / np.sqrt(each)))
