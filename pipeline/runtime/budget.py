"""Predict a run's memory and disk before it starts, and refuse one that cannot fit.

Covers: plain arithmetic from the number of ratings, users and items, the rank, the grid and the workers.
Does not cover: measuring what a run really took (monitor.py), or opening the cluster (cluster.py).
"""

from __future__ import annotations

import math
import os
import shutil
from dataclasses import dataclass

import psutil
from dask.utils import format_bytes

from tasks.errors import CannotFit
from tasks.kernels import STATE_WIDTH

CLIENT_BYTES = 230 * 2**20
"""Client and scheduler in one process after some stages, without data (proportional set size, Linux, Python 3.11)."""
WORKER_BYTES = 210 * 2**20
"""A worker process after some stages, without data; measured with CLIENT_BYTES as 440 MiB together."""
RATING_BYTES = 12
"""A rating in a block in memory: two int32 rows and a float32."""
SHARD_VERSIONS = 4
"""Versions of the shards alive at once: the best epoch, the one just judged, and two in flight."""
PARSE_FACTOR = 7
"""Bytes at the peak of parsing for each byte of raw text: the text, its columns, and their copies in partition
order."""
PARTITION_ROW_BYTES = 95
"""Bytes at the peak of settling one partition, for each of its ratings."""
DISK_RATING_BYTES = 24
"""Disk for each rating, at most: the dataset, the blocks, and scratch while one of them is made."""


@dataclass(frozen=True)
class Size:
    """What the prediction looks at. `estimated` says that the counts come from a sample of the raw data."""

    ratings: int
    users: int
    items: int
    raw_bytes: int
    estimated: bool = False


@dataclass(frozen=True)
class Prediction:
    """Bytes at the peak. `worker_bytes`: the greater of a worker's need in ingest and in training."""

    ingest_bytes: int
    training_bytes: int
    worker_bytes: int
    disk_bytes: int

    @property
    def total_bytes(self) -> int:
        return max(self.ingest_bytes, self.training_bytes)


def predict_bytes(
    size: Size, rank: int, shards: int, workers: int, threads: int, chunk_bytes: int, partition_ratings: int
) -> Prediction:
    """Return the predicted peaks for `workers` processes of `threads` threads each.

    Training holds every block once, `SHARD_VERSIONS` versions of the user shards, one of the item shards for each
    version and stratum in flight, and for each running task its scaled ratings. A worker holds whole rows of blocks:
    ceil(P / workers).
    """
    rows_held = math.ceil(shards / workers) / shards
    row_bytes = 4 * (rank + STATE_WIDTH)
    block_ratings = size.ratings / shards**2
    tasks = min(threads, math.ceil(shards / workers))
    held = size.ratings * RATING_BYTES * rows_held
    users = size.users * row_bytes * rows_held * SHARD_VERSIONS
    items = size.items * row_bytes * (SHARD_VERSIONS + 1)
    running = tasks * (block_ratings * 4 + (size.users + size.items) * row_bytes / shards)
    loading = threads * size.ratings / shards**2 * 2 * RATING_BYTES
    training_worker = WORKER_BYTES + held + max(users + items + running, loading)
    chunk = min(chunk_bytes, max(1, size.raw_bytes))
    partition = min(size.ratings, partition_ratings)
    ids = (size.users + size.items) * 64
    ingest_worker = (
        WORKER_BYTES + ids + threads * max(chunk * PARSE_FACTOR, partition * PARTITION_ROW_BYTES, block_ratings * 48)
    )
    disk = size.ratings * DISK_RATING_BYTES + (size.users + size.items) * (row_bytes * 3 + 16)
    return Prediction(
        ingest_bytes=int(CLIENT_BYTES + ids + workers * ingest_worker),
        training_bytes=int(CLIENT_BYTES + workers * training_worker),
        worker_bytes=int(max(training_worker, ingest_worker)),
        disk_bytes=int(disk),
    )


def available_memory_bytes() -> int:
    """Return what this machine can give now: what the system calls available, within the control group's limit."""
    available = int(psutil.virtual_memory().available)
    try:
        with (
            open("/sys/fs/cgroup/memory.max", encoding="ascii") as limit,
            open("/sys/fs/cgroup/memory.current", encoding="ascii") as used,
        ):
            text = limit.read().strip()
            if text != "max":
                available = min(available, int(text) - int(used.read()))
    except (OSError, ValueError):
        pass
    return available


def available_disk_bytes(root: str) -> int | None:
    """Return the free bytes of the disk under a local root; None for a store that has no such figure."""
    if "://" in root:
        return None
    folder = os.path.abspath(root)
    while not os.path.exists(folder):
        folder = os.path.dirname(folder)
    return shutil.disk_usage(folder).free


def refuse_what_cannot_fit(prediction: Prediction, memory_bytes: int, root: str) -> None:
    """Raise CannotFit, with both numbers, if memory or disk is too small for the prediction."""
    if prediction.total_bytes > memory_bytes:
        raise CannotFit(
            f"this run needs about {format_bytes(prediction.total_bytes)} of memory "
            f"(ingest {format_bytes(prediction.ingest_bytes)}, training {format_bytes(prediction.training_bytes)}) "
            f"and has {format_bytes(memory_bytes)}; "
            "lower train.rank or ingest.chunk_bytes, use fewer cluster.threads, or give it more with cluster.memory"
        )
    disk = available_disk_bytes(root)
    if disk is not None and prediction.disk_bytes > disk:
        raise CannotFit(
            f"{root}: this run needs about {format_bytes(prediction.disk_bytes)} of disk "
            f"and {format_bytes(disk)} are free; free some, or set root to another place"
        )
