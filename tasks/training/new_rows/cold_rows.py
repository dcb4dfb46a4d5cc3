"""Rows without ratings, by what their features say of all others.

Covers: the regression of a side's trained rows on their features, its ridge, and shards with the rows that it predicts.
Does not cover: the features (tasks/dataset/feature_rows.py), the graph of these tasks (pipeline/training/new_rows.py),
draws that learn from features (tasks/training/posterior/row_features.py).

Effects Z are the least of

    sum n |p - m - (g - h) Z|^2 + k |Z|^2

over rows p with n ratings and features g, where m and h are the means of both by ratings. A row counts by its ratings:
new ratings will be of such rows, as old ones are, and rows with few ratings are uncertain and close to 0. k is that
with the least generalised cross-validation error (Golub, Heath & Wahba 1979).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from funkflow.tasks.dataset.feature_rows import read_feature_rows
from funkflow.tasks.grid.factor_shard import read_shard, write_shard
from funkflow.tasks.grid.solved_rows import Matrix
from funkflow.tasks.kernels.buffers import Weighed
from funkflow.tasks.kernels.vector import BIAS
from funkflow.tasks.model.about import Place
from funkflow.tasks.training.batch import RowCounts, counts_of_items

_RIDGES = 10.0 ** np.arange(-6.0, 3.01, 0.25)
"""Tried as k, in mean eigenvalues of the sum of n (g - h) (g - h)^T."""


@dataclass(frozen=True)
class FeatureSums(Weighed):
    """Sums over rows with ratings, each times its ratings n: of n, p, g, g g^T, g p^T and |p|^2; and their number."""

    ratings: float
    rows: Matrix
    features: Matrix
    products: Matrix
    crossed: Matrix
    squares: float
    count: int

    def __add__(self, other: FeatureSums) -> FeatureSums:
        return FeatureSums(
            self.ratings + other.ratings, self.rows + other.rows, self.features + other.features,
            self.products + other.products, self.crossed + other.crossed, self.squares + other.squares,
            self.count + other.count,
        )  # fmt: skip


@dataclass(frozen=True)
class FeatureEffects(Weighed):
    """What features say of rows, mean + g Z: `mean` m - h Z, float64 (w,); `effects` Z, float64 (p, w)."""

    mean: Matrix
    effects: Matrix


@dataclass(frozen=True)
class SavedSide:
    """The shards of a side as training left them, of so many, their rank, and the features of its rows."""

    places: tuple[Place, ...]
    rank: int
    features: Place

    def rows(self, shard: int) -> Matrix:
        """Return the rows of a shard, float64 (rows, w), the bias last."""
        found = read_shard(*self.places[shard], self.rank)
        return np.column_stack([found.factors, found.biases]).astype(np.float64)


def user_counts(counted: RowCounts, _shard: int) -> Matrix:
    """Return the ratings of a user shard, float64 (users,), from the counts of its row of blocks."""
    return counted[0]


def item_counts(counted: list[RowCounts], shard: int) -> Matrix:
    """Return the ratings of an item shard, float64 (items,), from the counts of all rows of blocks."""
    return counts_of_items(counted, shard)


def feature_sums(side: SavedSide, counts: Matrix, shard: int) -> FeatureSums:
    """Return the sums of a shard; counts : float64 (rows,), its ratings."""
    rated = counts > 0
    rows, n = side.rows(shard)[rated], counts[rated]
    features = read_feature_rows(side.features, len(side.places), shard)[rated]
    weighed = features.multiply(n[:, None]).tocsr()
    return FeatureSums(
        float(n.sum()), n @ rows, np.asarray(weighed.sum(axis=0)).ravel(),
        np.asarray((weighed.T @ features).todense()), np.asarray(weighed.T @ rows),
        float(np.sum(n * np.einsum("rf,rf->r", rows, rows))), int(rated.sum()),
    )  # fmt: skip


def effects_of(*parts: FeatureSums) -> FeatureEffects:
    """Return what features say; parts : of all shards, in order."""
    total = sum(parts[1:], start=parts[0])
    ratings = max(1.0, total.ratings)
    mean, middle = total.rows / ratings, total.features / ratings
    crossed = total.crossed - np.outer(total.features, mean)
    values, vectors = np.linalg.eigh(total.products - ratings * np.outer(middle, middle))
    values, turned = np.maximum(values, 0.0), vectors.T @ crossed
    there = values > values.max(initial=0.0) * 1e-10
    lengths = np.sum(turned[there] ** 2, axis=1) / values[there]
    spread = total.squares - ratings * float(mean @ mean)
    errors = []
    for ridge in _RIDGES * max(float(values.mean()), np.finfo(float).tiny):
        kept = values[there] / (values[there] + ridge)
        left = spread - float(lengths @ (1.0 - (1.0 - kept) ** 2))
        errors.append((left / max(total.count - float(kept.sum()), 1.0) ** 2, ridge))
    ridge = min(errors)[1]
    effects = vectors @ (turned / (values[:, None] + ridge))
    return FeatureEffects(mean - middle @ effects, effects)


def write_with_cold_rows(url: str, side: SavedSide, counts: Matrix, effects: FeatureEffects, shard: int) -> str:
    """Write a shard whose rows without ratings are those that their features say; return the file's checksum."""
    found, cold = read_shard(*side.places[shard], side.rank).copy(), counts == 0
    features = read_feature_rows(side.features, len(side.places), shard)[cold]
    said = effects.mean + features @ effects.effects
    found.factors[cold] = said[:, :-1]
    found.states[cold, BIAS] = said[:, -1]
    return write_shard(url, found)
