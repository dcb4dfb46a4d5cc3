"""The memory and disk that sampling a posterior needs.

Covers: what it needs beyond row solves. Does not cover: these (method_memory.py), the check before a run (budget.py).
"""

from __future__ import annotations

from funkflow.pipeline.planning.method_memory import Need, Workload, als_need
from funkflow.tasks.model.canonical import LEAF_ROWS

WAITING, WAITING_SWEEPS = 6, 3
"""Draws that wait until they are merged into the mean, and those in flight (training/methods/bayes.py): of one chain,
and sweeps of chains that run at once."""
TOGETHER, CHAIN_BYTES = 8, 16_000_000
"""Most chains that run at once, and the bytes of their rows up to which they do (training/sweeps.py)."""
_CHAIN_VERSIONS = 18
"""Of the rows of a chain that is drawn while another one is: before, after and written, and during the items' steps."""
_MEAN_RANKS = 4
"""Of the mean while draws are merged, as a multiple of the rank of a draw (training/methods/bayes.py)."""
_LEAF_VERSIONS = 3
"""Of stacked rows while they are merged, in float64."""
_KEPT_DRAWS = 32
"""Default of train.keep_draws."""


def bayes_need(work: Workload) -> Need:
    """As for als; beside it the draws that wait for a merge, and the compact mean of all draws before and after."""
    size, solves = work.size, als_need(work)
    chain = 4 * (work.rank + 2) * (size.users * work.part + size.items)
    together = min(TOGETHER, max(1, CHAIN_BYTES // (4 * (work.rank + 2) * max(1, size.rows))))
    waiting = chain * max(WAITING, WAITING_SWEEPS * together)
    solving = (min(together, work.threads) - 1) * _CHAIN_VERSIONS * chain
    means = 2 * 4 * _MEAN_RANKS * work.rank * (size.users * work.part + size.items)
    leaf = min(LEAF_ROWS, max(size.users, size.items) / work.shards)
    stacked = work.tasks * 8 * leaf * (_MEAN_RANKS + max(WAITING, together)) * work.rank * _LEAF_VERSIONS
    kept = 4 * (work.rank + 2) * size.rows * (_KEPT_DRAWS + 4) + 4 * 3 * _MEAN_RANKS * work.rank * size.rows
    return Need(solves.worker + waiting + solving + means + stacked, 0.0, solves.disk + kept)
