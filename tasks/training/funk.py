"""Simon Funk's form of descent on rows of blocks: one feature after another.

Covers: the residuals that finished features leave, passes for the current feature, and its errors on validation
ratings.
Does not cover: the loops over ratings (tasks/kernels/funk.py), features on disk (funk_files.py), the order of blocks
(tasks/grid/visit_order.py), the loop over features (pipeline/training/methods/funk.py).
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
"""Mean of a block: a pass over so many takes 0.4 ms; over fewer, hardly longer than handing the block to a thread."""


@dataclass(frozen=True)
class Remainder(Weighed):
    """The part of one user shard's ratings that biases and finished features leave.

    Attributes
    ----------
    residuals : float32 (ratings of the row of blocks,), scaled; those of item shard b at `starts[b]:starts[b + 1]`.
    scores : float32 (validation ratings,), predictions by biases and finished features, scaled.
    """

    residuals: Vector
    starts: npt.NDArray[np.int64]
    scores: Vector

    def of(self, column: int) -> Vector:
        return self.residuals[self.starts[column] : self.starts[column + 1]]


@dataclass(frozen=True)
class Feature(Weighed):
    """The current feature of a share of user shards, with its item shards; the counterpart of `Descent`.

    `users` : a vector for each user shard of the share; `items` : of the share of item shards that they met, None
    before the first stratum; `squared_errors` : of the current pass, for each user shard, in scaled units.
    """

    users: Vectors
    items: Vectors | None
    squared_errors: tuple[float, ...]

    def of_new_pass(self) -> Feature:
        """Return it with squared errors of 0."""
        return replace(self, squared_errors=(0.0,) * len(self.users))


def first_remainder(
    row: BlockRow, held_out: HeldOut, scaling: Scaling, users: FactorShard, *items: FactorShard
) -> Remainder:
    """Return the part of a row of blocks that the biases, in rating units, leave.

    The function takes one block after another, so that of a streamed row only one is in memory.
    """
    user_biases, item_biases = scaled_biases(users, scaling), [scaled_biases(shard, scaling) for shard in items]
    parts = []
    for column in range(len(row)):
        block = row[column]
        part = np.empty(len(block), np.float32)
        levels = block.scaled_levels(scaling.mean, scaling.deviation)
        biases = (user_biases, item_biases[column])
        start_residuals(block.coding)(*block.places, block.codes, levels, *biases, part)
        parts.append(part)
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum([len(part) for part in parts])])
    scores = np.zeros(len(held_out.ratings), np.float32)
    for column, held in _parts_by_shard(held_out):
        for rows, of_rows in (
            (held_out.user_rows[held], user_biases), (held_out.item_rows[held], item_biases[column])
        ):  # fmt: skip
            known = rows >= 0
            scores[held][known] += of_rows[rows[known]]
    return Remainder(np.concatenate(parts), starts, scores)


def scaled_biases(shard: FactorShard, scaling: Scaling) -> Vector:
    """Return biases in rating units, scaled to unit deviation."""
    return np.ascontiguousarray(shard.biases / np.float32(scaling.deviation))


def first_vector(rated: npt.NDArray[np.bool_]) -> Vector:
    """Return a shard's part of any feature before its first pass: one number, or zero for rows without ratings."""
    return np.where(rated, np.float32(FUNK_INITIAL), np.float32(0.0))


def descend_feature(
    rows: Sequence[Sequence[RatingBlock]],
    residuals: Sequence[Sequence[Vector]],
    passes: Sequence[Sequence[Visit]],
    before: Feature,
    items: Vectors,
    steps: StepSizes,
    threads: int = 1,
) -> Feature:
    """Return the feature after passes over blocks of a share; the inputs do not change.

    Parameters
    ----------
    rows, residuals : of each user shard, its blocks and their residuals, by the item shard's number.
    passes : for each pass its blocks in order, by the numbers of user and item shard within the share.
    before : the last state. Its squared errors add up until `Feature.of_new_pass`.
    threads : for blocks that have no shard in common; the bits are those of one thread.
    """
    users, met = [vector.copy() for vector in before.users], [vector.copy() for vector in items]
    errors = list(before.squared_errors)
    worth_threads = min(threads, len(rows)) > 1 and _mean_ratings(residuals) >= _LEAST_RATINGS_FOR_THREADS
    kernel, sizes = descend_factor(), (np.float32(steps.step), np.float32(steps.l2))

    def visit(place: Visit) -> None:
        a, b = place
        errors[a] += kernel(*rows[a][b].places, residuals[a][b], users[a], met[b], *sizes)

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
    held_out: HeldOut, remainder: Remainder, users: Vector, items: Sequence[Vector], *, scaling: Scaling,
    scale: tuple[float, float],
) -> float:  # fmt: skip
    """Return the sum of squared errors of clipped predictions with the feature added, in rating units.

    Parameters
    ----------
    items : of all item shards, in order.
    """
    total, units = 0.0, (scaling.mean, scaling.deviation, *scale)
    for column, part in _parts_by_shard(held_out):
        if part.stop > part.start:
            vectors = (users, items[column])
            total += squared_errors()(*held_out.of(part), remainder.scores[part], *vectors, *units)
    return total


def score_remainder(held_out: HeldOut, remainder: Remainder, scaling: Scaling, scale: tuple[float, float]) -> float:
    """Return the sum of squared errors of clipped predictions without the current feature, in rating units."""
    predicted = np.clip(scaling.mean + scaling.deviation * remainder.scores.astype(np.float64), *scale)
    return float(np.sum((held_out.ratings.astype(np.float64) - predicted) ** 2))


def without_feature(
    row: BlockRow, before: Remainder, held_out: HeldOut, users: Vector, items: Sequence[Vector]
) -> Remainder:
    """Return the remainder of a user shard once the feature is finished; `items` : of all item shards, in order."""
    after = replace(before, residuals=np.empty_like(before.residuals), scores=before.scores.copy())
    for column in range(len(row)):
        subtract_factor()(*row[column].places, before.of(column), users, items[column], after.of(column))
    for column, part in _parts_by_shard(held_out):
        known = (held_out.user_rows[part] >= 0) & (held_out.item_rows[part] >= 0)
        products = users[held_out.user_rows[part][known]] * items[column][held_out.item_rows[part][known]]
        after.scores[part][known] += products
    return after


def _mean_ratings(residuals: Sequence[Sequence[Vector]]) -> float:
    return float(np.mean([len(of_block) for row in residuals for of_block in row]))


def _parts_by_shard(held_out: HeldOut) -> Iterator[tuple[int, slice]]:
    return ((column, held_out.part(column)) for column in range(len(held_out.starts) - 1))
