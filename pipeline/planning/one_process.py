"""Small work in one process: client, scheduler and the only worker together.

Covers: which work is small, and the memory of one process in place of two.
Does not cover: opening that process (pipeline/cluster/open.py), the memory of the work itself (budget.py).

A worker process of its own takes a second to start and 200 MiB; in exchange, Dask restarts it if it dies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from funkflow.pipeline.planning.budget import CLIENT_BYTES, WORKER_BYTES, Allowance, Prediction
from funkflow.pipeline.settings.cluster import ClusterSettings

SMALL_BYTES = 2**30
"""All processes of small work need less than this."""
ONE_PROCESS_BYTES = 365 * 2**20
"""Client, scheduler and worker in one process after some stages, without data, each page counted once: 256 MiB, and up
to 354 MiB where it compiles kernels."""
_MODEL_VERSIONS = 4
_SHARED_BYTES = 32 * 2**20
"""A limit counts libraries whole that other programs share."""
_SAVED_BYTES = CLIENT_BYTES + WORKER_BYTES - ONE_PROCESS_BYTES


def choose_processes(
    allowance: Allowance, cluster: ClusterSettings, needed_bytes: Callable[[Allowance], int]
) -> Allowance:
    """Return the allowance with `one_process` as the settings say, or as the work is small.

    Parameters
    ----------
    needed_bytes : returns the predicted peak of all processes; not called where the settings decide.
    """
    one = cluster.processes == "one" or (
        cluster.processes == "auto" and allowance.workers == 1 and needed_bytes(allowance) < SMALL_BYTES
    )
    return replace(allowance, one_process=one)


def predict_saved_model_bytes(model_bytes: int) -> int:
    """Return about what all processes need that use a saved model: its files, their rows and copies of both."""
    return CLIENT_BYTES + WORKER_BYTES + _MODEL_VERSIONS * model_bytes


def in_one_process(prediction: Prediction) -> Prediction:
    """Return a prediction for two processes as that of one; a worker needs what all of it needs."""
    totals = {
        name: needed and needed - _SAVED_BYTES
        for name in ("ingest", "training", "recommend", "scoring")
        for needed in (getattr(prediction, f"{name}_bytes"),)
    }
    return replace(
        prediction,
        **{f"{name}_bytes": needed for name, needed in totals.items()},
        **{f"{name}_worker_bytes": needed and needed + _SHARED_BYTES for name, needed in totals.items()},
    )
