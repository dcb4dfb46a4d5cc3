"""One feature after another on rows of blocks: what Simon Funk's form needs of one worker.

Covers: residuals and held-out scores as the finished features leave them, passes of steps for the feature in hand, and
its errors on held-out ratings.
Does not cover: the loops over ratings (tasks/kernels/funk.py), features on disk (funk_files.py), the order of blocks
(tasks/grid/visit_order.py), or when a feature or the run is finished (pipeline).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from funkflow.tasks.grid.block import BlockRow, RatingBlock
from funkflow.tasks.grid.default_rule import FUNK_INITIAL
from funkflow.tasks.grid.factor_shard import FactorShard
from funkflow.tasks.grid.scaling import Scaling, StepSizes
from funkflow.tasks.grid.visit_order import Visit
from funkflow.tasks.kernels.buffers import Weighed
from funkflow.tasks.kernels.funk import descend_factor, squared_errors, start_residuals, subtract_factor
from funkflow.tasks.kernels.wavefront import visit_tiles
from funkflow.tasks.training.score import HeldOut

Vector = npt.NDArray[np.float32]
"""float32 (rows,): one number for each row of a shard."""
Vectors = tuple[Vector, ...]

_LEAST_RATINGS_FOR_THREADS = 1 << 18
"""In a block, in the mean: a pass over so many takes 0.4 ms, over fewer not much longer than handing it to a thread."""


@dataclass(frozen=True)
class Standing(Weighed):
    """What the biases and the finished features leave of one user shard's ratings.

    Attributes
    ----------
    residuals : float32 (ratings of the row of blocks,), scaled; those of item shard b at `starts[b]:starts[b + 1]`.
    scores : float32 (held-out ratings,), what biases and finished features say of each, scaled.
    """

    residuals: Vector
    starts: npt.NDArray[np.int64]
    scores: Vector

    def of(self, column: int) -> Vector:
        return self.residuals[self.starts[column] : self.starts[column + 1]]


@dataclass(frozen=True)
class Feature(Weighed):
    """The feature in hand for a share of user shards, with the item shards it met; as `Descent` is for all features.

    `users` : a vector for each user shard of the share; `items` : of the share of item shards that they met, None
    before the first turn; `squared_errors` : of the pass in hand, for each user shard, in scaled units.
    """

    users: Vectors
    items: Vectors | None
    squared_errors: tuple[float, ...]


def first_standing(
    row: BlockRow, held_out: HeldOut, scaling: Scaling, users: FactorShard, *items: FactorShard
) -> Standing:
    """Return what the biases, given in rating units, leave of a row of blocks.

    Read block by block, so that of a row which is not held only one block is in memory.
    """
    own, theirs = scaled_biases(users, scaling), [scaled_biases(shard, scaling) for shard in items]
    parts = []
    for column in range(len(row)):
        block = row[column]
        part = np.empty(len(block), np.float32)
        levels = block.scaled_levels(scaling.mean, scaling.deviation)
        start_residuals(block.coding)(*_places(block), block.codes, levels, own, theirs[column], part)
        parts.append(part)
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum([len(part) for part in parts])])
    scores = np.zeros(len(held_out.ratings), np.float32)
    for column, held in _held_parts(held_out):
        for rows, biases in ((held_out.user_rows[held], own), (held_out.item_rows[held], theirs[column])):
            known = rows >= 0
            scores[held][known] += biases[rows[known]]
    return Standing(np.concatenate(parts), starts, scores)


def scaled_biases(shard: FactorShard, scaling: Scaling) -> Vector:
    """Return biases in rating units as they are in ratings scaled to unit deviation."""
    return np.ascontiguousarray(shard.biases / np.float32(scaling.deviation))


def first_vector(seen: npt.NDArray[np.bool_]) -> Vector:
    """Return a shard's part of any feature before its first pass: one and the same number, zero for rows not seen."""
    return np.where(seen, np.float32(FUNK_INITIAL), np.float32(0.0))


def descend_feature(
    rows: Sequence[Sequence[RatingBlock]],
    standings: Sequence[Sequence[Vector]],
    passes: Sequence[Sequence[Visit]],
    before: Feature,
    items: Vectors,
    steps: StepSizes,
    first: bool,
    threads: int = 1,
) -> Feature:
    """Return the feature after passes over some of the blocks of a share; the inputs are never changed.

    Parameters
    ----------
    rows, standings : of each user shard, its blocks and their residuals, by the item shard's number.
    passes : for each pass its blocks in the order that counts, by the numbers of user and item shard within the share.
        `first` says that the first of them begins here: squared errors count from where a pass begins.
    threads : how many go through blocks that share no shard; the bits are those of one.
    """
    users, met = [vector.copy() for vector in before.users], [vector.copy() for vector in items]
    errors = [0.0] * len(rows) if first else list(before.squared_errors)
    worth_threads = min(threads, len(rows)) > 1 and _mean_ratings(standings) >= _LEAST_RATINGS_FOR_THREADS
    kernel, step, l2 = descend_factor(), np.float32(steps.step), np.float32(steps.l2)

    def visit(place: Visit) -> None:
        a, b = place
        errors[a] += kernel(*_places(rows[a][b]), standings[a][b], users[a], met[b], step, l2)

    for number, visits in enumerate(passes):
        if number:
            errors[:] = [0.0] * len(rows)
        if not worth_threads:
            for place in visits:
                visit(place)
        else:
            visit_tiles(visits, lambda n, visits=visits: visit(visits[n]), min(threads, len(rows)))  # type: ignore[misc]
    return Feature(tuple(users), tuple(met), tuple(errors))


def score_feature(
    held_out: HeldOut, standing: Standing, users: Vector, items: Sequence[Vector], scaling: Scaling,
    scale: tuple[float, float],
) -> float:  # fmt: skip
    """Return the sum of squared errors of clipped predictions with the feature added, in rating units.

    Parameters
    ----------
    items : of all item shards, in order.
    """
    total = 0.0
    for column, part in _held_parts(held_out):
        if part.stop > part.start:
            total += squared_errors()(
                held_out.user_rows[part], held_out.item_rows[part], held_out.ratings[part], standing.scores[part],
                users, items[column], scaling.mean, scaling.deviation, *scale,
            )  # fmt: skip
    return total


def score_standing(held_out: HeldOut, standing: Standing, scaling: Scaling, scale: tuple[float, float]) -> float:
    """Return the sum of squared errors of clipped predictions by what is finished alone, in rating units."""
    predicted = np.clip(scaling.mean + scaling.deviation * standing.scores.astype(np.float64), *scale)
    return float(np.sum((held_out.ratings.astype(np.float64) - predicted) ** 2))


def without_feature(
    row: BlockRow, before: Standing, held_out: HeldOut, users: Vector, items: Sequence[Vector]
) -> Standing:
    """Return what a user shard is left with once the feature is finished; `items` : of all item shards, in order."""
    after = replace(before, residuals=np.empty_like(before.residuals), scores=before.scores.copy())
    for column in range(len(row)):
        subtract_factor()(*_places(row[column]), before.of(column), users, items[column], after.of(column))
    for column, part in _held_parts(held_out):
        known = (held_out.user_rows[part] >= 0) & (held_out.item_rows[part] >= 0)
        products = users[held_out.user_rows[part][known]] * items[column][held_out.item_rows[part][known]]
        after.scores[part][known] += products
    return after


def _mean_ratings(standings: Sequence[Sequence[Vector]]) -> float:
    return float(np.mean([len(residuals) for row in standings for residuals in row]))


def _places(block: RatingBlock) -> tuple[npt.NDArray[np.generic], ...]:
    return block.tiles, block.run_users, block.run_starts, block.cells


def _held_parts(held_out: HeldOut) -> Iterator[tuple[int, slice]]:
    starts = held_out.starts.tolist()
    return ((column, slice(*starts[column : column + 2])) for column in range(len(starts) - 1))
