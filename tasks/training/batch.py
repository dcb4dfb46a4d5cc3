"""The tasks of full-batch gradient descent on one block or one shard, in float64.

Covers: rows of factors with their biases, a block's part of the gradient, the sum of parts with the penalty, the step.
Does not cover: the loop over ratings (tasks/kernels/gradient.py), the objective in plain NumPy (objective.py), the step
rule (gradient_descent.py), the graph of tasks (pipeline/training/methods/batch_graph.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from funkflow.tasks.errors import DamagedFile
from funkflow.tasks.grid.bias_baseline import block_sums
from funkflow.tasks.grid.block import BlockRow, RatingBlock
from funkflow.tasks.grid.factor_shard import (
    FactorShard,
    ShardStart,
    initial_shard,
    refuse_other_shards,
    shard_of,
    write_shard,
)
from funkflow.tasks.grid.scaling import Scaling
from funkflow.tasks.kernels.buffers import Weighed
from funkflow.tasks.kernels.gradient import sum_slopes
from funkflow.tasks.storage import npy
from funkflow.tasks.training.score import Errors, HeldOut, score

Rows = npt.NDArray[np.float64]
"""A shard, float64 (rows, k + 1): factors, and the bias at the end. Gradients and directions have the same form."""
Counts = npt.NDArray[np.float64]
"""Number of ratings of each row, float64 (rows,)."""
RowCounts = tuple[Counts, tuple[Counts, ...]]
"""Counts of the users of a row of blocks, and of the items of each block."""


@dataclass(frozen=True)
class Part(Weighed):
    """The gradient of the squared error of blocks of one user shard, taken in order.

    `users` : sum over all blocks so far; `items` : of the last block alone; `squared_error` : sum over all blocks so
    far, in scaled units.
    """

    users: Rows
    items: Rows
    squared_error: float


def block_part(block: RatingBlock, users: Rows, items: Rows, scaling: Scaling, before: Part | None) -> Part:
    """Return the part of the gradient of one more block: -2 e v_c for each user, -2 e u_r for each item.

    Parameters
    ----------
    before : the part of the earlier blocks of the same user shard; it does not change.

    Raises
    ------
    ShardMismatch
        The block was cut for shards of other sizes.
    """
    refuse_other_shards(block.shape, len(users), len(items))
    user_slopes = np.zeros_like(users) if before is None else before.users.copy()
    item_slopes = np.zeros_like(items)
    coded, slopes = (block.codes, _levels(block, scaling)), (user_slopes, item_slopes)
    squared = sum_slopes(block.coding)(*block.places, *coded, users, items, *slopes)
    return Part(user_slopes, item_slopes, squared + (0.0 if before is None else before.squared_error))


def _levels(block: RatingBlock, scaling: Scaling) -> npt.NDArray[np.float64]:
    """Return the block's scaled levels as `RatingBlock.scaled_levels` does, in float64."""
    mean, deviation = scaling.mean, scaling.deviation
    if block.coding == "f4":
        return np.array([mean, 1.0 / deviation])
    return (block.levels.astype(np.float64) - mean) / deviation


def total(*parts: Rows) -> Rows:
    """Return the sum, taken in the order given."""
    summed = parts[0].copy()
    for part in parts[1:]:
        summed += part
    return summed


def with_penalty(rows: Rows, counts: Counts, l2: float, biases: bool, *parts: Rows) -> Rows:
    """Return the whole gradient of a shard: the sum of its parts, and 2 l2 times each row for each of its ratings.

    biases : False: the gradient of the biases is 0, so they stay 0.
    """
    slopes = total(*parts)
    slopes += (2.0 * l2) * counts[:, None] * rows
    if not biases:
        slopes[:, -1] = 0.0
    return slopes


def penalty(rows: Rows, counts: Counts) -> float:
    """Return the sum of |row|^2 times its number of ratings."""
    return float(np.sum(counts * np.sum(rows**2, axis=1)))


def moved(rows: Rows, by: float, along: Rows) -> Rows:
    """Return rows + by * along."""
    return np.asarray(rows + by * along)


def inner_products(*rows: Rows) -> list[float]:
    """Return the inner products of the first and second shard, the third and fourth, and so on.

    The sum is NumPy's, as the bits of BLAS can depend on its number of threads.
    """
    return [float(np.sum(left * right)) for left, right in zip(rows[::2], rows[1::2], strict=True)]


def count_ratings(row: BlockRow) -> RowCounts:
    """Return the number of ratings of each user of a row of blocks, and for each block those of its items."""
    sums = [block_sums(block, 0.0, np.zeros(block.shape[1])) for block in row]
    return np.sum([counts for (_, counts), _ in sums], axis=0), tuple(counts for _, (_, counts) in sums)


def start_rows(counts: Counts, start: ShardStart, side: str, shard: int) -> Rows:
    """Return the initial factors of stochastic descent, with biases of 0."""
    factors = initial_shard(counts > 0, start, side, shard).factors
    return np.concatenate([factors.astype(np.float64), np.zeros((len(factors), 1))], axis=1)


def as_shard(rows: Rows) -> FactorShard:
    """Return the rows as a factor shard in float32, for scoring and export."""
    return shard_of(rows[:, :-1], rows[:, -1])


def write_rows(url: str, *parts: Rows) -> str:
    """Write several shards of one shape as one array file; return its checksum."""
    return npy.write_array(url, np.stack(parts))


def read_rows(url: str, expected_checksum: str, number: int) -> Rows:
    """Read one of the shards that `write_rows` wrote, bit for bit.

    Raises
    ------
    DamagedFile
        Missing, not matching its checksum, or of another form.
    """
    array = npy.read_array(url, expected_checksum)
    if array.ndim != 3 or number >= len(array) or array.dtype != np.float64:
        raise DamagedFile(
            f"{url}: {array.dtype} {array.shape} holds no rows number {number}; delete the run's folder and run again"
        )
    rows: Rows = array[number]
    return rows


def slopes_in_row(row: BlockRow, column: int, users: Rows, items: Rows, scaling: Scaling, before: Part | None) -> Part:
    """Return the gradient's part of one block of a row, added to that of the blocks before it."""
    return block_part(row[column], users, items, scaling, before)


def items_of_part(part: Part) -> Rows:
    """Return the items' part alone, so that it can travel without the users'."""
    return part.items


def error_of_part(part: Part) -> float:
    """Return the sum of squared errors alone."""
    return part.squared_error


def user_gradient(part: Part, rows: Rows, counts: Counts, l2: float, biases: bool) -> Rows:
    """Return a user shard's gradient from the part of the last block of its row."""
    return with_penalty(rows, counts, l2, biases, part.users)


def counts_of_users(counted: RowCounts) -> Counts:
    """Return the counts of a row of blocks' users."""
    return counted[0]


def counts_of_items(counted: list[RowCounts], shard: int) -> Counts:
    """Return the counts of an item shard over all rows of blocks."""
    return total(*(items[shard] for _, items in counted))


def load_rows(_near: Counts, url: str, checksum: str, number: int) -> Rows:
    """Read a shard of a checkpoint, on the worker that holds the first argument."""
    return read_rows(url, checksum, number)


def score_rows(held_out: HeldOut, scaling: Scaling, scale: tuple[float, float], *rows: Rows) -> Errors:
    """Return one user shard's errors on its validation ratings; `rows` : its own, then of all item shards."""
    users, *items = (as_shard(each) for each in rows)
    return score(held_out, users, items, scaling, scale)


def write_as_shard(url: str, rows: Rows) -> str:
    """Write rows as a factor shard; return its checksum."""
    return write_shard(url, as_shard(rows))
