"""The peak memory of each method of training, in one function each.

Covers: the bytes of a method in the client, in the worker with most, and on disk, from the numbers of ratings, users
and items, the rank, the grid and the workers.
Does not cover: the processes themselves, ingest and recommending, refusing a run that cannot fit (budget.py), the table
of methods (pipeline/settings/methods.py).

A row is a user or an item. The number of versions of all rows that live at once follows from the code; copies and spare
memory were measured at 5, 10 and 20 M ratings and ranks 64 and 128.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from funkflow.tasks.grid.layout import are_few_items
from funkflow.tasks.kernels.tiles import TILE_USERS as SOLVED_USERS
from funkflow.tasks.kernels.vector import STATE_WIDTH
from funkflow.tasks.model.canonical import LEAF_ROWS
from funkflow.tasks.model.score_rows import BATCH_PAIRS as SCORED_PAIRS

RATING_BYTES = 3
"""A rating in a block in memory, where there are at most 256 different ones (tasks/grid/block.py)."""
HELD_OUT_BYTES = 12
"""A validation rating: two int32 rows and a float32."""
READING_BYTES = 8
"""Bytes at the peak of reading one block, for each of its ratings: the file and the block."""
SHARD_SETS_ON_DISK = 7
"""Two checkpoints with their current and best shards, the pair being written, and the exported model."""
_POINTS = 7
"""Points and gradients of full-batch descent: the point, the next one, the gradients at both, the last direction, and
the best point; and one for fragmentation."""
_PARTS = 3
"""Of a user shard in the making: a block's part of the gradient, the part before it, and the penalty."""
_ROW_VERSIONS = 4
"""Of rows that are solved: before, after, the best, and those of a checkpoint that is written."""
_SEARCH_ROWS = 12
"""Of items during their steps, in rows of float32: rows, directions in both bases and float64 residuals, before and
after a step; and two for rows that are turned."""
_SOLVED_ROWS = 11
"""Of users that are solved together: rows and directions in both bases, sums in three forms, and float64 residuals."""
_ORDERED_BYTES = 6
"""A rating of users that are solved together, in their order: the item's row and the target."""
_SCORED_BYTES = 30
"""A rating of a block in scoring: its rows and its value, and their temporary arrays."""
_SPARSE_BYTES = 12
"""A rating in a sparse matrix: float64 and int32."""
_PROJECTIONS = 5
"""Versions of the projected matrix alive at once in Dask's graph: products by column of blocks, and QR's pieces."""
_OVERSAMPLES, _LEAST_SAMPLES = 10, 20
_LEAST_BASIS = 20
_OVERWRITTEN_SETS, _VECTOR_SETS = 2.5, 3.6
"""Versions of all singular vectors of the longer side in the client: gathered, joined, and the result of LAPACK, which
overwrites its input or not."""
_MESSAGES, _LARGE_MESSAGE = 150, 1_000_000
"""Messages that the client's connections remember (pipeline/cluster/open.py), with their vectors where they are below a
size."""
_ITEM_VERSIONS, _FILE_VERSIONS = 3, 3
"""Versions in float32 of all items while they are read, by part and then joined, and of a part: its file, its rows."""
_QR_VERSIONS, _LEAF_VERSIONS, _WRITTEN_VERSIONS = 4, 4, 3.5
"""Of a part in its QR, in float32: its file, its rows, those in float64; in float64 of the leaf that is cut from it
(tasks/model/canonical.py); and in float32 of a part of U or V that is written."""
_RANKED_BYTES = 60
"""A rating whose errors are measured at every rank: its rows and value as read and by item part, and their places."""
_PAIR_VERSIONS = 2
"""Rows of a pair that is scored: a batch takes those of both sides."""
_PLACED_BYTES, _MATCHED_BYTES = 80, 48
"""A rating that is placed in a model; an id that is looked up in another table."""
_COUNTED_ROW_BYTES = 64
"""A user or item whose ratings the report puts into bins by their number."""
_RESIDUAL_SETS = 3
"""Versions of the residuals of the current row of blocks, besides those that stay."""


@dataclass(frozen=True)
class Size:
    """What the prediction looks at. `estimated` says that the counts come from a sample of the raw data.

    `rating_bytes` : a rating in memory; `held_out` : ratings that training stops on; `counts` : ratings are counts;
    `timestamps` : they have times.
    """

    ratings: int
    users: int
    items: int
    raw_bytes: int
    estimated: bool = False
    rating_bytes: int = RATING_BYTES
    held_out: int = 0
    counts: bool = False
    timestamps: bool = False

    @property
    def rows(self) -> int:
        return self.users + self.items


@dataclass(frozen=True)
class Workload:
    """The size, rank, grid and workers of a training.

    `streamed` : tasks read the blocks that they need; workers do not hold all. `row_means` : of train.implicit;
    `timed` : there are days, for train.time.
    """

    size: Size
    rank: int
    shards: int
    workers: int
    threads: int
    streamed: bool = False
    row_means: bool = False
    timed: bool = False

    @property
    def part(self) -> float:
        """The part of all rows of blocks that a worker has: whole rows, ceil(P / workers) of P."""
        return self._rows_of_blocks / self.shards

    @property
    def tasks(self) -> int:
        """How many tasks run at once on a worker."""
        return min(self.threads, self._rows_of_blocks)

    @property
    def block_ratings(self) -> float:
        return self.size.ratings / self.shards**2

    @property
    def reading(self) -> float:
        return self.tasks * self.block_ratings * READING_BYTES

    @property
    def data(self) -> float:
        """The blocks of a worker, or those that are being read, and its held-out ratings."""
        blocks = self.reading if self.streamed else self.size.ratings * self.size.rating_bytes * self.part
        return blocks + self.size.held_out * HELD_OUT_BYTES * self.part

    @property
    def _rows_of_blocks(self) -> int:
        return math.ceil(self.shards / self.workers)


@dataclass(frozen=True)
class Need:
    """Bytes at the peak, in the client and in the worker that holds most, and on disk.

    `kept` : the part of the allocator's spare memory (budget.py) that exists at this peak: less than 1 if the peaks of
    client and workers are not at the same time, or all arrays are large.
    """

    worker: float
    client: float
    disk: float
    kept: float = 1.0


def row_bytes(rank: int) -> int:
    """Return the bytes of one user or item in memory: its factors and its state."""
    return 4 * (rank + STATE_WIDTH)


def batch_need(work: Workload) -> Need:
    """All in float64; parts of the items' gradient wait for each other, one for each row of blocks."""
    size, row = work.size, 8 * (work.rank + 1)
    users = size.users * row * (_POINTS * work.part + _PARTS * work.tasks / work.shards)
    items = size.items * row * (_POINTS + work.shards * work.part)
    # Three checkpoints of a point and a direction each; their best points, and the model.
    return Need(work.data + users + items, 0.0, size.rows * (6 * row + 4 * row_bytes(work.rank)))


def als_need(work: Workload) -> Need:
    """Rows in float32; of items during their steps also residuals, directions and parts of sums, half in float64.

    A task has a copy of all items, and the ratings of the users that it solves together in order. In the order of the
    items they stay, beside the blocks, unless they are streamed. Where items are few, one worker gets the parts of all
    rows of blocks.
    """
    size, row = work.size, 4 * (work.rank + 2)
    users = size.users * row * _ROW_VERSIONS * work.part
    parts = 1.0 if are_few_items(size.items, work.rank + 2, work.shards) else work.part
    items = size.items * row * (_ROW_VERSIONS + _SEARCH_ROWS + 2 * work.shards * parts)
    together = min(SOLVED_USERS, size.users / work.shards)
    ordered = _ORDERED_BYTES * size.ratings * together / max(1, size.users)
    solving = work.tasks * (SOLVED_USERS * row * _SOLVED_ROWS + ordered + size.items * row)
    blocks = work.reading * work.shards if work.streamed else 2 * size.ratings * size.rating_bytes * work.part
    held_out = size.held_out * HELD_OUT_BYTES * work.part
    return Need(blocks + held_out + users + items + solving, 0.0, size.rows * row * SHARD_SETS_ON_DISK)


def funk_need(work: Workload) -> Need:
    """Residuals of every rating, and new ones of the current rows of blocks; vectors of one feature are small."""
    size = work.size
    residuals = 4 * size.ratings * (work.part + _RESIDUAL_SETS * work.tasks / work.shards)
    worker = work.data + residuals + 4 * size.held_out * work.part + 40 * size.rows
    return Need(worker, 0.0, size.rows * 3 * row_bytes(work.rank), kept=0.5)


def lanczos_need(work: Workload) -> Need:
    """Lanczos' basis, and its rotation; products with A and A^T in turn."""
    longer, shorter = _sides(work)
    basis = 2 * shorter * _basis_vectors(work) * 8
    return _by_products(work, basis, _OVERWRITTEN_SETS, [8 * longer, 8 * shorter * work.shards])


def arnoldi_need(work: Workload) -> Need:
    """Arnoldi's basis, and the eigenvectors found: real, then complex; products with A^T A."""
    _, shorter = _sides(work)
    basis = shorter * (_basis_vectors(work) * 8 + work.rank * (8 + 16))
    return _by_products(work, basis, _VECTOR_SETS, [8 * shorter * work.shards])


def power_need(work: Workload) -> Need:
    """The vectors found so far, twice while one is added; products with A^T A."""
    _, shorter = _sides(work)
    return _by_products(work, 2 * shorter * work.rank * 8, _VECTOR_SETS, [8 * shorter * work.shards])


def _by_products(work: Workload, basis: float, sets: float, messages: list[int]) -> Need:
    """A basis in the client, then all vectors of the longer side; a worker has made its part of these and scores them.

    basis : bytes of it in the client; sets : versions of those vectors there; messages : bytes of those sent in turn.
    """
    size, column = work.size, 8 * work.rank
    longer, shorter = _sides(work)
    remembered = _MESSAGES * sum(each for each in messages if each < _LARGE_MESSAGE) / len(messages)
    scoring = work.block_ratings * _SCORED_BYTES + (size.users / work.shards + size.items) * row_bytes(work.rank)
    running = work.tasks * (scoring + shorter * column)
    worker = work.data + size.users * column * work.part + running
    return Need(worker, basis + sets * longer * column + remembered, _found_on_disk(work), kept=1 / 3)


def _sides(work: Workload) -> tuple[int, int]:
    """Return the longer and the shorter side of the matrix."""
    return max(work.size.users, work.size.items), min(work.size.users, work.size.items)


def _basis_vectors(work: Workload) -> int:
    """Return the default number of ARPACK's vectors."""
    return max(2 * work.rank + 1, _LEAST_BASIS)


def randomized_need(work: Workload) -> Need:
    """Blocks a second time as sparse matrices, and versions of their projection; the client gathers the vectors."""
    size = work.size
    samples = 8 * max(_LEAST_SAMPLES, work.rank + _OVERSAMPLES)
    sparse = size.ratings * _SPARSE_BYTES * work.part
    projected = _PROJECTIONS * (size.users * work.part + size.items) * samples
    return Need(work.data + sparse + projected, 2 * size.rows * 8 * work.rank, _found_on_disk(work), kept=0.5)


def scoring_need(work: Workload, parts: int) -> Need:
    """Return the need of scoring a saved model part by part: for its spectrum, the report and the gate.

    Every worker has all items once and reads them from their files; every running task one part of the users, from its
    file, and a batch of ratings with both rows of each. For the spectrum no worker has all items, but every running
    task a part of either side. Ratings are placed before that, a part of the dataset in a task; and one task matches
    all ids with those of another model. Every running task reads the numbers of training ratings of all rows, too, and
    the client puts these into bins.

    parts : of the dataset.
    """
    size, rank = work.size, work.rank + 1
    running = min(work.threads, max(work.shards, parts))
    batch = min(SCORED_PAIRS, size.held_out / work.shards / parts) * _PAIR_VERSIONS * 4 * rank
    part = size.users / work.shards * _FILE_VERSIONS * 4 * rank + batch
    placing = size.held_out / parts * _PLACED_BYTES
    matching = size.rows * _MATCHED_BYTES
    worker = max(
        size.items * _ITEM_VERSIONS * 4 * rank + running * (part + 8 * size.users + 24 * size.items),
        min(work.threads, work.shards) * spectrum_task_bytes(work),
        running * placing + matching,
    )
    return Need(worker, size.rows * _COUNTED_ROW_BYTES, 0.0)


def spectrum_task_bytes(work: Workload, vectors: bool = False) -> float:
    """Return the bytes of a task of the canonical form; `vectors` : where U and V are written, too.

    It has the QR of a part of one side, or validation ratings and a part of each side.
    """
    size, row = work.size, 4 * (work.rank + 2)
    part, ratings = max(size.users, size.items) / work.shards, size.held_out / work.shards * _RANKED_BYTES
    versions = _QR_VERSIONS + (_WRITTEN_VERSIONS if vectors else 0.0)
    return row * (versions * part + 2 * _LEAF_VERSIONS * min(part, LEAF_ROWS)) + ratings


def _found_on_disk(work: Workload) -> float:
    """Return the bytes of the shards that a decomposition leaves, and of the model."""
    return work.size.rows * 2 * row_bytes(work.rank)
