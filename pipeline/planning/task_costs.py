"""A training run in numbers, and what each of its tasks costs.

Covers: how the grid is cut for so many workers, the seconds and bytes of a descent, of a hand-over of item shards and
of a score, and the memory of a worker.
Does not cover: what tasks wait for (epoch_time.py in closed form, tests/support/epoch_replay.py one by one), or which
grid is best (best_grid.py).

A step of descent takes a fixed time for each rating, and one for each time that a row is brought up to date
(tasks/kernels/sgd.py): alone, for each rating, where a tile or a group of users has fewer ratings than rows, else
for all rows in turn. Ratings are taken to be spread evenly, which is the worst case: where some rows have most of the
ratings, fewer tiles hold any.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from funkflow.pipeline.planning.budget import RATING_BYTES, Size, Workload, predict_bytes, row_bytes
from funkflow.pipeline.planning.constants import Constants
from funkflow.pipeline.settings.sections import IngestSettings
from funkflow.tasks.grid.visit_order import shares_for, tasks_of
from funkflow.tasks.kernels.tiles import GROUP_USERS, TILE_ITEMS, tile_grid
from funkflow.tasks.training.sgd_epochs import epochs_at_once

KEPT_STATES = 3
"""Floats of a row's state that a checkpoint keeps (tasks/grid/factor_shard.py)."""
RUN_BYTES = 20
"""A run in memory: its number, its first user and where it begins (tasks/grid/block.py)."""


@dataclass(frozen=True)
class Matrix:
    """A matrix to factorise. `ratings` : for training; `held_out` : validation ratings, scored after each epoch."""

    ratings: float
    users: float
    items: float
    rank: int
    held_out: float = 0.0


@dataclass(frozen=True)
class Job:
    """A matrix on a grid of `shards` x `shards` blocks and on workers of `threads` threads each.

    `workers_a_machine` : how many of them share a machine's cores and memory.
    """

    matrix: Matrix
    shards: int
    workers: int
    threads: int
    checkpoint_epochs: int = 10
    workers_a_machine: int = 1

    @property
    def shares(self) -> int:
        return shares_for(self.shards, self.workers)

    @property
    def busy_workers(self) -> int:
        """Workers that have a share."""
        return min(self.workers, self.shares)

    @property
    def shares_a_worker(self) -> int:
        return -(-self.shares // self.workers)

    @property
    def shards_a_share(self) -> int:
        return self.shards // self.shares

    @property
    def threads_a_task(self) -> int:
        return max(1, self.threads // self.shares_a_worker)

    @property
    def slots(self) -> int:
        """Tasks that a worker runs at once."""
        return min(self.threads, self.shares_a_worker)

    @property
    def epochs_a_task(self) -> int:
        """Epochs that one task goes through: several, where the ratings are few and all of them one share."""
        return min(epochs_at_once(self.matrix.ratings, self.shares), self.checkpoint_epochs)

    @property
    def tasks_an_epoch(self) -> float:
        """Tasks of an epoch (tasks/grid/visit_order.py); of tasks for several epochs, an epoch's part."""
        return tasks_of(self.shares) / self.epochs_a_task

    def client_seconds(self, constants: Constants) -> float:
        """Return what the client takes to build an epoch's graph."""
        blocks = self.shards**2 * constants.client_seconds_per_block
        return self.tasks_an_epoch * constants.client_seconds_per_task + blocks

    @property
    def user_bytes(self) -> float:
        return self.matrix.users * row_bytes(self.matrix.rank)

    @property
    def item_bytes(self) -> float:
        return self.matrix.items * row_bytes(self.matrix.rank)

    @property
    def item_share_bytes(self) -> float:
        return self.item_bytes / self.shares

    @property
    def copied_bytes(self) -> float:
        """Of an epoch, all workers together: each turn copies every shard."""
        return self.shares * (self.user_bytes + self.item_bytes)

    @property
    def checkpoint_bytes(self) -> float:
        """One set of shards on disk."""
        return (self.matrix.users + self.matrix.items) * 4 * (self.matrix.rank + KEPT_STATES)

    @property
    def block(self) -> Block:
        matrix, shards = self.matrix, self.shards
        return Block.even(matrix.ratings / shards**2, (matrix.users / shards, matrix.items / shards))

    def worker_bytes(self, streamed: bool = False) -> float:
        """Return the predicted peak of one worker in training (budget.py), with the runs of its blocks."""
        matrix, defaults = self.matrix, IngestSettings()
        size = Size(
            int(matrix.ratings), int(matrix.users), int(matrix.items), 0, rating_bytes=RATING_BYTES,
            held_out=int(matrix.held_out),
        )  # fmt: skip
        work = Workload(size, matrix.rank, self.shards, self.busy_workers, self.threads, streamed=streamed)
        predicted = predict_bytes(work, defaults.chunk_bytes, defaults.partition_ratings)
        rows = math.ceil(self.shards / self.busy_workers)
        runs = 0.0 if streamed else self.block.runs * self.shards * rows
        return predicted.training_worker_bytes + RUN_BYTES * runs


@dataclass(frozen=True)
class Block:
    """The numbers of an average block.

    `swept`, `single` : rows brought up to date while it is gone through, with their neighbours or alone.
    """

    ratings: float
    tiles: float
    tile_shape: tuple[int, int]
    runs: float
    swept: float
    single: float

    @classmethod
    def even(cls, ratings: float, shape: tuple[float, float]) -> Block:
        """Return a block over which ratings are spread evenly. `shape` : its users and items."""
        rows, columns = tile_grid((math.ceil(shape[0]), math.ceil(shape[1])))
        tile_items = min(TILE_ITEMS, shape[1])
        groups = math.ceil(shape[0] / GROUP_USERS) * columns
        tiles, a_tile, a_run = rows * columns, ratings / (rows * columns), ratings / groups
        swept = (groups * min(GROUP_USERS, shape[0])) * (a_run >= GROUP_USERS)
        swept += (tiles * tile_items) * (a_tile >= TILE_ITEMS)
        return cls(
            ratings=ratings,
            tiles=tiles * -math.expm1(-a_tile),
            tile_shape=(rows, columns),
            runs=groups * -math.expm1(-a_run),
            swept=swept,
            single=ratings * ((a_run < GROUP_USERS) + (a_tile < TILE_ITEMS)),
        )


@dataclass(frozen=True)
class Costs:
    """Seconds of each task on its worker, and bytes that go between workers.

    `descend` : the kernel alone; `copy` : of the shards that a descent takes, before it begins.
    """

    descend: float
    copy: float
    score: float
    transfer: float

    @classmethod
    def of(cls, job: Job, constants: Constants) -> Costs:
        rates, matrix = constants.at(job.matrix.rank), job.matrix
        threads, size, block = job.threads_a_task, job.shards_a_share, job.block
        busy = job.workers_a_machine * job.slots * threads
        kernel = block.ratings * rates.seconds_per_rating
        kernel += block.swept * rates.seconds_per_swept_row + block.single * rates.seconds_per_single_row
        copying = (job.user_bytes + job.item_bytes) / job.shares / constants.copy_bytes_per_second
        scoring = matrix.held_out / job.shares * rates.seconds_per_scored_rating
        # A copy is one shard's: threads beyond the shards of a task find nothing to do.
        copiers = min(threads, 2 * size)
        scorers = min(threads, size)
        return cls(
            _in_threads(size, threads, block, kernel * constants.slowdown(busy), constants.dispatch_seconds),
            copying / copiers * constants.copy_slowdown(busy // threads * copiers),
            scoring / scorers * constants.slowdown(busy // threads * scorers),
            job.item_share_bytes / constants.bandwidth_bytes_per_second + constants.transfer_seconds,
        )


def _in_threads(size: int, threads: int, block: Block, kernel: float, dispatch: float) -> float:
    """Return the seconds of size x size blocks in so many threads, as tasks/training/sgd.py hands them out.

    Blocks of different rows and columns go side by side; where a row has several threads to itself, so do the tiles of
    a block. Each piece costs `dispatch` to hand to a thread, one piece after another.
    """
    blocks = size**2
    if threads == 1:
        return blocks * kernel
    beside, within = min(threads, size), -(-threads // size)
    pieces: float = blocks
    if within > 1 and block.tiles > 1:
        pieces = blocks * block.tiles
        within = min(within, *block.tile_shape)
    else:
        within = 1
    side_by_side = min(threads, beside * within)
    return max((blocks * kernel + pieces * dispatch) / side_by_side, pieces * dispatch)
