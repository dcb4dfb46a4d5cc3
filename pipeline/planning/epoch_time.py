"""The time of an epoch, in closed form, and its longest part.

Covers: the parts of an epoch's time, and whether a worker has the memory.
Does not cover: the costs of single tasks (task_costs.py), the replay task by task that tests compare with
(tests/support/epoch_replay.py).

A share's epoch has S strata of copying, descending, two hops through the scheduler and, in all strata but one, a
transfer of item shards; then a score, for which every worker fetches all item shards. Meanwhile the scheduler and the
client handle all tasks of all shares. Shares drift apart, so that each of these three hides behind the longest, though
not wholly: replayed epochs take the cube root of the sum of their cubes. Of 1,800 random jobs with one share a worker
half lay within 2 % of the replay, and all between 0.85 and 1.35 times it; with several shares a worker, up to 1.5
times, as the formula has only the busiest worker.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from funkflow.pipeline.planning.budget import USABLE_PART
from funkflow.pipeline.planning.constants import Constants
from funkflow.pipeline.planning.task_costs import Costs, Job

_DRIFT = 3


@dataclass(frozen=True)
class EpochCosts:
    """One epoch of a job: seconds of its parts, which add up to the whole, and bytes.

    `kernel`, `copies`, `items` (item shards between workers), `scoring`; `scheduler`, `client` : hops from task to
    task, and what the parts before do not hide; `checkpoint` : writing and reading one, spread over its epochs.
    `moved_bytes` : between workers, all together; `worker_bytes` : predicted peak of one worker.
    """

    job: Job
    parts: dict[str, float]
    moved_bytes: float
    worker_bytes: float
    streamed: bool

    @property
    def seconds(self) -> float:
        return sum(self.parts.values())

    @property
    def binds(self) -> str:
        """The part that takes longest."""
        return max(self.parts, key=lambda name: self.parts[name])

    def fits(self, memory_bytes: float) -> bool:
        """Say whether a worker with so much memory can train this."""
        return self.worker_bytes <= memory_bytes * USABLE_PART


def predict_epoch(job: Job, constants: Constants, memory_bytes: float = math.inf) -> EpochCosts:
    """Return an epoch's parts; blocks are held in memory where that fits a worker's `memory_bytes`, else streamed.

    Reading streamed blocks is not in the time.
    """
    costs = Costs.of(job, constants)
    parts = _of_a_share(job, costs, constants)
    own = sum(parts.values())
    scheduler = job.tasks_an_epoch * constants.scheduler_seconds_per_task
    client = job.client_seconds(constants)
    more = (own**_DRIFT + scheduler**_DRIFT + client**_DRIFT) ** (1 / _DRIFT) - own
    more = max(0.0, more)  # which it is, but for rounding
    weight = scheduler**_DRIFT + client**_DRIFT
    parts["scheduler"] += more * scheduler**_DRIFT / weight if weight else 0.0
    parts["client"] = more * client**_DRIFT / weight if weight else 0.0
    store = job.checkpoint_bytes / constants.store_write_bytes_per_second
    store += job.checkpoint_bytes / constants.store_read_bytes_per_second
    parts["checkpoint"] = store / job.checkpoint_epochs
    held = job.worker_bytes()
    streamed = held > memory_bytes * USABLE_PART
    return EpochCosts(job, parts, moved_bytes(job), job.worker_bytes(streamed=True) if streamed else held, streamed)


def moved_bytes(job: Job) -> float:
    """Return the bytes of item shards that go between workers in an epoch.

    Each turn but one hands every item shard on, to another worker unless both shares are one worker's; for the score,
    every worker fetches the item shards that it has not, and has those of the next epoch's first turn then.
    """
    shares, workers = job.shares, job.busy_workers
    if shares == 1:
        return 0.0
    of_scores = (workers - 1) * shares if job.matrix.held_out else 0
    return (_handing_turns(job) * shares * _crossing(job) + of_scores) * job.item_share_bytes


def _handing_turns(job: Job) -> float:
    """Return in how many turns item shards are handed on: the first may meet what the last one met, by chance."""
    return job.shares - 1 + (0.0 if job.matrix.held_out else 1 - 1 / job.shares)


def _crossing(job: Job) -> float:
    """Return which part of the pairs of two different shares lie on different workers."""
    shares, workers = job.shares, job.workers
    on = [len(range(worker, shares, workers)) for worker in range(min(workers, shares))]
    return 1 - sum(count * (count - 1) for count in on) / (shares * (shares - 1))


def _of_a_share(job: Job, costs: Costs, constants: Constants) -> dict[str, float]:
    """Return the parts of the busiest worker's way through an epoch.

    With more shares than slots, q to a slot, a transfer hides behind the work of other shares, but for one share's.
    """
    shares, q = job.shares, job.shares_a_worker / job.slots
    several = shares > 1
    work = q * (costs.copy + costs.descend)
    transfer = job.shares_a_worker * costs.transfer * _crossing(job) * _handing_turns(job) / shares if several else 0.0
    work, transfer = (work, transfer / q) if work > transfer else (work / q, transfer)
    fetched = (shares - job.shares_a_worker) * costs.transfer if several and job.matrix.held_out else 0.0
    hops = (2 if several else 1 / job.epochs_a_task) * (constants.hop_seconds + constants.scheduler_seconds_per_task)
    kernel = costs.descend / (costs.copy + costs.descend)
    return {
        "kernel": shares * work * kernel,
        "copies": shares * work * (1 - kernel),
        "items": shares * transfer + fetched,
        "scoring": q * costs.score,
        "scheduler": shares * hops,
    }
