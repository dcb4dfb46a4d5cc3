"""The tasks of Funk's form: each works on one share of the grid, for the current feature.

Covers: a feature before its first pass, passes over a share's blocks, scores, and writing a finished feature.
Does not cover: one block (funk.py), files (funk_files.py), the graph of tasks
(pipeline/training/methods/funk_graph.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from funkflow.tasks.grid.bias_baseline import RatedRows
from funkflow.tasks.grid.block import BlockRow
from funkflow.tasks.grid.scaling import Scaling, StepSizes
from funkflow.tasks.grid.visit_order import items_of
from funkflow.tasks.kernels.threads import map_threads
from funkflow.tasks.training.funk import (
    Feature,
    Remainder,
    Vector,
    Vectors,
    descend_feature,
    first_vector,
    score_feature,
    without_feature,
)
from funkflow.tasks.training.funk_files import write_feature
from funkflow.tasks.training.score import HeldOut

FeatureItems = Feature | Vectors
Squares = tuple[float, float]
"""Sums of squared errors: in training, in scaled units, and on the validation ratings, in rating units."""
BlockVisits = npt.NDArray[np.int64]
"""Blocks in their order, (n, 2). An array, as Dask looks into every list and tuple of a task's arguments."""


@dataclass(frozen=True)
class SharePasses:
    """The blocks of a share in each pass, by their place in the grid.

    `first_row`, `first_column` : of the share's user shards, and of the item shards that they meet.
    `begins` : whether the first pass begins with these blocks.
    """

    passes: Sequence[BlockVisits]
    first_row: int
    first_column: int
    begins: bool


def first_user_vectors(rated: Sequence[RatedRows]) -> Feature:
    """Return a share of user shards before the first pass of any feature."""
    return Feature(tuple(first_vector(users) for users, _ in rated), None, (0.0,) * len(rated))


def first_item_vectors(rated: Sequence[RatedRows], mine: slice) -> Vectors:
    """Return a share of item shards before the first pass of any feature."""
    return tuple(
        first_vector(np.logical_or.reduce([items[b] for _, items in rated])) for b in range(mine.start, mine.stop)
    )


def descend_feature_share(
    rows: Sequence[BlockRow], remainders: Sequence[Remainder], visits: SharePasses, before: Feature,
    items: FeatureItems, steps: StepSizes, threads: int,
) -> Feature:  # fmt: skip
    """Make passes over the blocks of a share."""
    met = items_of(items)
    columns = range(visits.first_column, visits.first_column + len(met))
    mine = [row[columns.start : columns.stop] for row in rows]
    residuals = [[remainder.of(b) for b in columns] for remainder in remainders]
    within = [[(a - visits.first_row, b - columns.start) for a, b in places.tolist()] for places in visits.passes]
    first = before.of_new_pass() if visits.begins else before
    return descend_feature(mine, residuals, within, first, met, steps=steps, threads=threads)


def score_feature_share(
    held_out: Sequence[HeldOut], remainders: Sequence[Remainder], feature: Feature, items: Sequence[FeatureItems],
    scaling: Scaling, scale: tuple[float, float], threads: int,
) -> list[Squares]:  # fmt: skip
    """Score each user shard of a share with the current feature against all item shards."""
    vectors = [vector for share in items for vector in items_of(share)]

    def score_shard(held: HeldOut, remainder: Remainder, users: Vector) -> float:
        return score_feature(held, remainder, users, vectors, scaling=scaling, scale=scale)

    stopping = map_threads(score_shard, held_out, remainders, feature.users, threads=threads)
    return list(zip(feature.squared_errors, stopping, strict=True))


def remainder_after(
    row: BlockRow, before: Remainder, held_out: HeldOut, users: Vectors, items: Vectors, shard: int
) -> Remainder:
    """Return the remainder of user shard `shard`, given the finished feature of all shards."""
    return without_feature(row, before, held_out, users[shard], items)


def write_feature_side(url: str, side: str, *shares: FeatureItems) -> str:
    """Write the "users" or "items" of a finished feature, from all shares; return the file's checksum."""
    vectors = [items_of(share) if side == "items" else share.users for share in shares]  # type: ignore[union-attr]
    return write_feature(url, tuple(vector for share in vectors for vector in share))
