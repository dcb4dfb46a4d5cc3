"""Tasks run elsewhere once their preferred worker is gone.

Covers: a scheduler plugin for the moment without any worker. Does not cover: the preferences
(pipeline/training/methods/sgd_graph.py).

Dask gives a task with `workers=…, allow_other_workers=True` to another worker if the preferred one is gone. But a task
that becomes ready while there is no worker at all waits for that address, which never comes back: a worker that
restarts has another one (distributed 2026.8, `Scheduler.bulk_schedule_unrunnable_after_adding_worker`).
"""

from __future__ import annotations

import sys
from contextlib import suppress

import cloudpickle
from distributed import Client, Scheduler
from distributed.diagnostics.plugin import SchedulerPlugin


class LoosePlacement(SchedulerPlugin):
    """Gives waiting tasks with loose restrictions to the next worker that joins."""

    name = "funkflow-loose-placement"
    idempotent = True

    def add_worker(self, scheduler: Scheduler, worker: str) -> None:  # noqa: ARG002  # the signature is Dask's
        for task in scheduler.unrunnable:
            if task.loose_restrictions:
                task.worker_restrictions = set()


def keep_placement_loose(client: Client) -> None:
    """Install the plugin on the client's scheduler, with or without funkflow there.

    If a scheduler refuses code from clients, the loss of all workers at once ends a run.
    """
    here = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(here)
    try:
        with suppress(ValueError):
            client.register_plugin(LoosePlacement())
    finally:
        cloudpickle.unregister_pickle_by_value(here)
