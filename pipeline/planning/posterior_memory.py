"""The memory and disk that sampling a posterior needs, and the memory that its intervals and their noise need.

Covers: what it needs beyond row solves, the mean of several runs of sgd, and tasks that measure noise and compute
intervals.
Does not cover: row solves (method_memory.py), the check before a run (budget.py).
"""

from __future__ import annotations

from funkflow.pipeline.planning.method_memory import READING_BYTES, Need, Workload, als_need, row_bytes
from funkflow.pipeline.planning.sgd_memory import sgd_need
from funkflow.pipeline.planning.time_memory import days_on_disk, sweep_bytes, time_bytes
from funkflow.tasks.model.canonical import LEAF_ROWS
from funkflow.tasks.model.draws.drawn_rows import GROUP_BYTES, MOST_KEPT
from funkflow.tasks.model.draws.intervals import PAIRS_AT_ONCE
from funkflow.tasks.training.posterior.noise_by_rating import SLICE as RESIDUALS_AT_ONCE

WAITING, WAITING_SWEEPS = 6, 3
"""Draws that wait until they are merged into the mean, and those in flight (training/methods/bayes.py): of one chain,
and sweeps of chains that run at once."""
TOGETHER, CHAIN_BYTES = 8, 16_000_000
"""Most chains that run at once, and the bytes of their rows, all together, up to which they do. A sweep of one small
chain leaves threads idle while it draws priors and items."""
_CHAIN_VERSIONS = 18
"""Of the rows of a chain that is drawn while another one is: before, after and written, and during the items' steps."""
_WITH_MEANS = 3
"""Of the rows of a draw that has their means and second factors, too."""
_REGRESSION_VERSIONS = 16
"""Of the rows of a chain whose second factors are drawn: their search before and after a step, items in float64."""
_MEAN_RANKS = 4
"""Of the mean while draws are merged, as a multiple of the rank of a draw (training/methods/bayes.py)."""
_LEAF_VERSIONS = 3
"""Of stacked rows while they are merged, in float64."""
_PAIR_VERSIONS = 6
"""Of a pair's two rows: in float32, and in float64, which is twice as long."""
_RESIDUAL_BYTES = 30
"""A rating of a block whose residuals are measured: rows and values of the block before, and those in the making."""
_FILE_PIECES = 4_000_000
"""Of a file that is read and checked."""
_KEPT_DRAWS = 32
"""Default of train.keep_draws."""


def bayes_need(work: Workload) -> Need:
    """As for als; beside it the draws that wait for a merge, and the compact mean of all draws before and after."""
    size, solves = work.size, als_need(work)
    together = min(TOGETHER, max(1, CHAIN_BYTES // (4 * (work.rank + 2) * max(1, size.rows))))
    solving = (min(together, work.threads) - 1) * _CHAIN_VERSIONS * _chain_bytes(work)
    if work.row_means:
        solving += min(together, work.threads) * _REGRESSION_VERSIONS * _chain_bytes(work)
    solving += time_bytes(work) + sweep_bytes(work, together)
    kept = days_on_disk(work) + 4 * (work.rank + 2) * size.rows * (2 * _KEPT_DRAWS + 4)
    return Need(solves.worker + solving + _merging(work, together), 0.0, solves.disk + kept + _means_on_disk(work))


def members_need(work: Workload) -> Need:
    """As for sgd; beside it the runs that wait for a merge, and their compact mean before and after."""
    runs = sgd_need(work)
    return Need(runs.worker + _merging(work, 1), 0.0, 2 * runs.disk + _means_on_disk(work))


def _chain_bytes(work: Workload) -> float:
    """Return the bytes of the rows of a draw that a worker has."""
    return 4 * (work.rank + 2) * (work.size.users * work.part + work.size.items)


def _merging(work: Workload, together: int) -> float:
    """Return the bytes of the draws that wait, of the mean before and after, and of stacked rows."""
    size, waits = work.size, max(WAITING, WAITING_SWEEPS * together)
    means = 2 * 4 * _MEAN_RANKS * work.rank * (size.users * work.part + size.items)
    leaf = min(LEAF_ROWS, max(size.users, size.items) / work.shards)
    stacked = work.tasks * 8 * leaf * (_MEAN_RANKS + max(WAITING, together)) * work.rank * _LEAF_VERSIONS
    return _chain_bytes(work) * (_WITH_MEANS if work.row_means else 1) * waits + means + stacked


def _means_on_disk(work: Workload) -> float:
    return 4 * 3 * _MEAN_RANKS * work.rank * work.size.rows


def intervals_bytes(work: Workload) -> float:
    """Return what the tasks of a worker need that compute intervals: groups of drawn rows, and those of some pairs."""
    row = 4 * _KEPT_DRAWS * (work.rank + 1)
    most = MOST_KEPT * GROUP_BYTES
    groups = min(most, work.size.users / work.shards * row) + min(most, work.size.items * row)
    return work.tasks * (groups + _PAIR_VERSIONS * PAIRS_AT_ONCE * row)


def noise_bytes(saved: Workload) -> float:
    """Return what the tasks of a worker need that measure the noise by rating (tasks/training/posterior/).

    All items once; each task a user shard, and then beside it a block and both rows of some ratings. saved : at the
    rank of the model.
    """
    size, row = saved.size, row_bytes(saved.rank)
    items = size.items * row * (1.0 + 1.0 / saved.shards)
    users = size.users / saved.shards * row
    block = saved.block_ratings * (READING_BYTES + _RESIDUAL_BYTES) + 2 * RESIDUALS_AT_ONCE * 4 * saved.rank
    # The file of the shard is gone when a block comes.
    return items + saved.tasks * (users + max(users + _FILE_PIECES, block))
