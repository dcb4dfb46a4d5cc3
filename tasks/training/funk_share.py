"""What one task of Funk's form does to its share of the grid, for the feature in hand.

Covers: a feature before its first pass, passes over a share's blocks, scores, and writing a finished feature.
Does not cover: one block (funk.py), files (funk_files.py), or which task needs what of which other task
(pipeline/training/funk_graph.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from funkflow.tasks.grid.block import BlockRow
from funkflow.tasks.grid.scaling import Scaling, StepSizes
from funkflow.tasks.grid.visit_order import items_of
from funkflow.tasks.kernels.threads import map_threads
from funkflow.tasks.training.funk import (
    Feature,
    Standing,
    Vector,
    Vectors,
    descend_feature,
    first_vector,
    score_feature,
    without_feature,
)
from funkflow.tasks.training.funk_files import write_vectors
from funkflow.tasks.training.score import HeldOut
from funkflow.tasks.training.sgd_share import RowsSeen

FeatureItems = Feature | Vectors
Squares = tuple[float, float]
"""Sums of squared errors: those met in training, in scaled units, and those on the stopping ratings, in rating units"""
BlockPlaces = npt.NDArray[np.int64]
"""Blocks in their order, (n, 2). In an array, as Dask looks into every list and tuple that it is given."""


@dataclass(frozen=True)
class SharePasses:
    """The blocks of a share in each of some passes, by their place in the grid.

    `first_row`, `first_column` : of the share's user shards, and of the item shards that they meet.
    `begins` : whether the first pass begins here.
    """

    passes: Sequence[BlockPlaces]
    first_row: int
    first_column: int
    begins: bool


def first_user_vectors(seen: Sequence[RowsSeen]) -> Feature:
    """Return a share of user shards before the first pass of any feature."""
    return Feature(tuple(first_vector(users) for users, _ in seen), None, (0.0,) * len(seen))


def first_item_vectors(seen: Sequence[RowsSeen], mine: slice) -> Vectors:
    """Return a share of item shards before the first pass; an item is seen if any row of blocks has it."""
    return tuple(
        first_vector(np.logical_or.reduce([items[b] for _, items in seen])) for b in range(mine.start, mine.stop)
    )


def descend_feature_share(
    rows: Sequence[BlockRow], standings: Sequence[Standing], visits: SharePasses, before: Feature, items: FeatureItems,
    steps: StepSizes, threads: int,
) -> Feature:  # fmt: skip
    """Take passes over the blocks of a share."""
    met = items_of(items)
    columns = range(visits.first_column, visits.first_column + len(met))
    mine = [row[columns.start : columns.stop] for row in rows]
    residuals = [[standing.of(b) for b in columns] for standing in standings]
    within = [[(a - visits.first_row, b - columns.start) for a, b in places.tolist()] for places in visits.passes]
    return descend_feature(mine, residuals, within, before, met, steps, visits.begins, threads)


def score_feature_share(
    held_out: Sequence[HeldOut], standings: Sequence[Standing], feature: Feature, items: Sequence[FeatureItems],
    scaling: Scaling, scale: tuple[float, float], threads: int,
) -> list[Squares]:  # fmt: skip
    """Score each user shard of a share with the feature in hand against all item shards."""
    vectors = [vector for share in items for vector in items_of(share)]

    def score_shard(held: HeldOut, standing: Standing, users: Vector) -> float:
        return score_feature(held, standing, users, vectors, scaling, scale)

    stopping = map_threads(score_shard, held_out, standings, feature.users, threads=threads)
    return list(zip(feature.squared_errors, stopping, strict=True))


def standing_after(
    row: BlockRow, before: Standing, held_out: HeldOut, users: Vectors, items: Vectors, shard: int
) -> Standing:
    """Return what user shard `shard` is left with, given the finished feature of all shards."""
    return without_feature(row, before, held_out, users[shard], items)


def write_feature_side(url: str, side: str, *shares: FeatureItems) -> str:
    """Write the users or the items of a finished feature, given for all shares; return the file's checksum."""
    vectors = [items_of(share) if side == "items" else share.users for share in shares]  # type: ignore[union-attr]
    return write_vectors(url, tuple(vector for share in vectors for vector in share))
