"""What Dask raises, in words that have a remedy.

Covers: workers that do not come back, in general and where one had all its memory.
Does not cover: workers killed at a task again and again (test_faults.py), full disks (test_faults.py).
"""

from __future__ import annotations

from typing import Any

import pytest
from distributed.scheduler import NoWorkerError

from funkflow.pipeline.cluster import open
from funkflow.pipeline.cluster.errors import as_readable_errors
from funkflow.pipeline.cluster.open import open_client
from funkflow.pipeline.settings.sections import ClusterSettings
from funkflow.tasks.errors import CannotFit, TryAgainLater


def without_workers() -> None:
    """Ask for a task that no worker will take: who would start one anew is closed, as when it has given up."""
    with as_readable_errors(""), open_client(ClusterSettings(workers=1, threads=1)) as client:
        nannies: Any = client.cluster
        client.sync(nannies.workers[0].close)
        client.submit(int, pure=False).result(timeout=60)


def test_workers_that_do_not_come_back_end_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open, "_NO_WORKERS_TIMEOUT", "1s")
    with pytest.raises(TryAgainLater, match=r"lost all its workers .*; the same command resumes from the last"):
        without_workers()


def test_memory_is_named_where_a_worker_had_all_of_it() -> None:
    short = as_readable_errors("", lambda: ": 1 of 2", lambda: True)
    with pytest.raises(CannotFit, match=r"again and none came back, most likely .*: 1 of 2; lower train.rank"), short:
        raise NoWorkerError("a-task", 1.0)
