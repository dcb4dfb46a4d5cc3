"""The best grid for a matrix on a number of workers, or an error if none fits.

Covers: the candidates for grid and shares, and the choice among them.
Does not cover: the time of a candidate (epoch_time.py), printing (pipeline/results/scale_table.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from funkflow.pipeline.planning.budget import USABLE_PART
from funkflow.pipeline.planning.constants import Constants
from funkflow.pipeline.planning.epoch_time import EpochCosts, predict_epoch
from funkflow.pipeline.planning.task_costs import Job
from funkflow.pipeline.progress.words import format_bytes
from funkflow.tasks.errors import CannotFit
from funkflow.tasks.grid.layout import shards_for
from funkflow.tasks.grid.visit_order import prime_factors

ALL_SHARDS_TO, MOST_SHARDS = 256, 4096
"""Candidates are every P up to the first, and up to the second those whose prime factors are 2, 3 and 5."""


@dataclass(frozen=True)
class ScalePlan:
    """`best` : the shortest epoch that fits; `by_rule` : that of the default grid.

    Each has its best number of workers, in its job.
    """

    best: EpochCosts
    by_rule: EpochCosts
    memory_bytes: float
    constants_from: str

    def to_dict(self) -> dict[str, object]:
        return {
            "best": _content_of_costs(self.best),
            "by_rule": {**_content_of_costs(self.by_rule), "fits": self.by_rule.fits(self.memory_bytes)},
            "memory_bytes_per_worker": None if math.isinf(self.memory_bytes) else self.memory_bytes,
            "constants_from": self.constants_from,
        }


def plan_scale(job: Job, constants: Constants, memory_bytes: float, constants_from: str) -> ScalePlan:
    """Return the best of the grids for a job, at most its workers each.

    Parameters
    ----------
    job : with `shards` 0 any grid is looked at, else that one only.
    memory_bytes : of one worker.

    Raises
    ------
    CannotFit
        No grid fits; the message has the least memory that any grid needs.
    """
    matrix = job.matrix
    rule = shards_for(int(matrix.ratings), int(matrix.users), int(matrix.items))
    grids = [job.shards] if job.shards else _grids(int(min(matrix.users, matrix.items)))
    epochs = [predict_epoch(each, constants, memory_bytes) for shards in grids for each in _jobs_on(job, shards)]
    fitting = [epoch for epoch in epochs if epoch.fits(memory_bytes)]
    if not fitting:
        raise _refusal(min(epochs, key=lambda epoch: epoch.worker_bytes), memory_bytes)
    by_rule = [predict_epoch(each, constants, memory_bytes) for each in _jobs_on(job, rule)]
    return ScalePlan(_shortest(fitting), _shortest(by_rule), memory_bytes, constants_from)


def _shortest(epochs: list[EpochCosts]) -> EpochCosts:
    """Return the shortest epoch; of equal ones that with fewer workers, then the smaller grid."""
    return min(epochs, key=lambda epoch: (epoch.seconds, epoch.job.workers, epoch.job.shards))


def _grids(most: int) -> list[int]:
    """Return the candidates for the number of shards."""
    return [
        shards
        for shards in range(1, min(most, MOST_SHARDS) + 1)
        if shards <= ALL_SHARDS_TO or prime_factors(shards)[-1] <= 5
    ]


def _jobs_on(job: Job, shards: int) -> Iterator[Job]:
    """Yield the job on a grid, with each number of workers at which each has one share, and with all of them.

    Each with all threads, and with no more than a share has shards: threads within a block cost more than they gain
    where its tiles are small (task_costs.py).
    """
    counts, product = {1, job.workers}, 1
    for factor in prime_factors(shards):
        product *= factor
        counts.add(product)
    for count in sorted(counts):
        if count <= job.workers:
            each = replace(job, shards=shards, workers=count)
            yield each
            if each.shards_a_share < each.threads_a_task:
                yield replace(each, threads=each.shards_a_share * each.slots)


def _refusal(least: EpochCosts, memory_bytes: float) -> CannotFit:
    job = least.job
    needed = math.ceil(least.worker_bytes / USABLE_PART)
    return CannotFit(
        f"no grid fits workers of {format_bytes(int(memory_bytes))}: the least that any needs is "
        f"{format_bytes(needed)} a worker ({job.shards} x {job.shards} blocks on {job.workers} workers), of which a "
        f"copy of all item shards is {format_bytes(int(job.item_bytes))}; give workers more --memory, use more "
        "--workers, or lower --rank"
    )


def _content_of_costs(epoch: EpochCosts) -> dict[str, object]:
    job = epoch.job
    return {
        "shards": job.shards,
        "workers": job.workers,
        "shares": job.shares,
        "shards_a_share": job.shards_a_share,
        "threads": job.threads,
        "block_ratings": job.block.ratings,
        "epochs_per_task": job.epochs_a_task,
        "tasks_per_epoch": job.tasks_an_epoch,
        "moved_bytes_per_epoch": epoch.moved_bytes,
        "copied_bytes_per_epoch": job.copied_bytes,
        "checkpoint_bytes": job.checkpoint_bytes,
        "worker_memory_bytes": epoch.worker_bytes,
        "blocks": "streamed" if epoch.streamed else "memory",
        "seconds_per_epoch": epoch.seconds,
        "parts_seconds": epoch.parts,
        "binds": epoch.binds,
    }
