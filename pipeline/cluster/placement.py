"""Preferred workers that are only preferred: tasks go elsewhere once the worker they were meant for is gone.

Covers: a plugin of the scheduler's, for the moment at which no worker is left. Does not cover: who prefers what
(pipeline/training/sgd_graph.py).

Dask gives a task with `workers=…, allow_other_workers=True` to another worker if the preferred one is gone. But a task
that becomes ready while there is no worker at all waits for that very address, which never comes back: a worker that
is started anew has another one (distributed 2026.8, `Scheduler.bulk_schedule_unrunnable_after_adding_worker`).
"""

from __future__ import annotations

import sys
from contextlib import suppress

import cloudpickle
from distributed import Client, Scheduler
from distributed.diagnostics.plugin import SchedulerPlugin


class LoosePlacement(SchedulerPlugin):
    """Lets whatever waits without a worker, and would take any, have the next that joins."""

    name = "funkflow-loose-placement"
    idempotent = True

    def add_worker(self, scheduler: Scheduler, worker: str) -> None:  # noqa: ARG002  # as Dask calls it
        for task in scheduler.unrunnable:
            if task.loose_restrictions:
                task.worker_restrictions = set()


def keep_placement_loose(client: Client) -> None:
    """Have the client's scheduler do so, whether funkflow is installed there or not.

    A scheduler that takes no code from its clients stays as it is: then the loss of all workers at once ends a run.
    """
    here = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(here)
    try:
        with suppress(ValueError):
            client.register_plugin(LoosePlacement())
    finally:
        cloudpickle.unregister_pickle_by_value(here)
