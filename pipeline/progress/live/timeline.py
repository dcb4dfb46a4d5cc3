"""The timeline of an attempt for its report: worker, kind, start and stop of its tasks.

Covers: fetching the times from the live plugin, and thinning them.
Does not cover: collecting them (plugin.py), drawing them (report/).
"""

from __future__ import annotations

from typing import Any, TypedDict

from distributed import Client

from funkflow.pipeline.progress.live.plugin import NAME, TaskTime

_MOST_ROWS = 3_000


class Timeline(TypedDict):
    """`rows` : [worker, kind, start, stop] of one in `one_in` tasks: two indices, and seconds since the first start."""

    workers: list[str]
    kinds: list[str]
    rows: list[list[float]]
    one_in: int


def timeline_of(client: Client, attempt: str) -> Timeline | None:
    """Return the timeline of an attempt; None if the scheduler has no plugin, or has lost its data."""
    try:
        times = client.run_on_scheduler(_plugin_times, attempt)
    except Exception:  # a missing picture is no reason to fail
        return None
    if not times:
        return None
    step = -(-len(times) // _MOST_ROWS)
    sample = sorted(times, key=lambda row: (row[2], row[3]))[::step]
    workers, kinds = sorted({row[0] for row in sample}), sorted({row[1] for row in sample})
    began = sample[0][2]
    rows = [
        [workers.index(worker), kinds.index(kind), round(start - began, 4), round(stop - began, 4)]
        for worker, kind, start, stop in sample
    ]
    return {"workers": workers, "kinds": kinds, "rows": rows, "one_in": step}


def _plugin_times(attempt: str, dask_scheduler: Any = None) -> list[TaskTime]:
    plugin = dask_scheduler.plugins.get(NAME)
    return plugin.timeline_of(attempt) if plugin is not None else []
