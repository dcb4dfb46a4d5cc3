"""The peak memory of stochastic descent.

Covers: its bytes in the worker with most and on disk, with and without means by who rated what.
Does not cover: other methods (method_memory.py, posterior_memory.py), the processes themselves (budget.py).
"""

from __future__ import annotations

from funkflow.pipeline.planning.method_memory import HELD_OUT_BYTES, SHARD_SETS_ON_DISK, Need, Workload, row_bytes
from funkflow.pipeline.planning.time_memory import days_on_disk, time_bytes
from funkflow.tasks.grid.factor_shard import RowMeans

_SHARD_VERSIONS = 3.5
"""Versions of the user shards alive at once, in the mean: the best epoch, the one just judged, those in flight."""
_MEANS_VERSIONS, _STEP_PARTS = 2, 4
"""Versions of means of rows alive at once, as they change every fourth epoch; and of all items in a step, in rows of
factors: residuals, their sum, the direction and its parts."""


def sgd_need(work: Workload) -> Need:
    """Some versions of the user shards, one of the item shards for each and each stratum in flight; copies of tasks."""
    size, row = work.size, row_bytes(work.rank)
    users, items = size.users * row * work.part * _SHARD_VERSIONS, size.items * row * (_SHARD_VERSIONS + 1)
    running = work.tasks * size.rows * row / work.shards
    held_out = size.held_out * HELD_OUT_BYTES * work.part
    blocks = 0.0 if work.streamed else size.ratings * size.rating_bytes * work.part
    means = _means_of_sgd(work) if work.row_means else 0.0
    shown = max(users + items + running + means + (work.reading if work.streamed else 0.0), work.reading)
    on_disk = row + (4 * RowMeans.width(work.rank) if work.row_means else 0)
    disk = size.rows * on_disk * SHARD_SETS_ON_DISK + days_on_disk(work)
    return Need(blocks + held_out + shown + time_bytes(work), 0.0, disk)


def _means_of_sgd(work: Workload) -> float:
    """Return the bytes of means and second factors, and of a step: residuals and images, and parts of all items."""
    size, row, wide = work.size, 4 * RowMeans.width(work.rank), 4 * (work.rank + 2)
    users = size.users * work.part * (_MEANS_VERSIONS * row + wide)
    parts = work.shards * work.part + _STEP_PARTS
    return users + size.items * (_MEANS_VERSIONS * row + parts * wide) + work.tasks * size.users / work.shards * wide
