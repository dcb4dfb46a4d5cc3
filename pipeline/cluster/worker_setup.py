"""The preload of Dask that every worker process of ours runs at its start.

Covers: leaving Ctrl-C to the client, and pandas to tasks that use it.
Does not cover: workers that somebody else started.
"""

from __future__ import annotations

import signal
from typing import Any

from funkflow.tasks.storage.arrow_arrays import leave_pandas_out


def dask_setup(_worker: Any) -> None:
    """Ignore Ctrl-C, which a terminal sends to the whole process group: the client stops the run and its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    leave_pandas_out()
