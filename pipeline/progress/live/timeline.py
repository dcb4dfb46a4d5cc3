"""Which task ran where and from when to when: a sketch of an attempt for its report.

Covers: asking the scheduler for what the live plugin noted, and thinning it.
Does not cover: noting it (plugin.py), drawing it (report/).
"""

from __future__ import annotations

from typing import Any

from distributed import Client

from funkflow.pipeline.progress.live.plugin import NAME

_MOST_ROWS = 3_000


def timeline_of(client: Client, attempt: str) -> dict[str, Any] | None:
    """Return {"workers", "kinds", "rows"}: [worker, kind, start, stop] of each task, in seconds since the first began.

    None where the scheduler does not tell: it has no plugin, or lost what it knew.
    """
    try:
        noted = client.run_on_scheduler(_noted, attempt)
    except Exception:  # a picture less is no reason to fail
        return None
    if not noted:
        return None
    step = -(-len(noted) // _MOST_ROWS)
    kept = sorted(noted, key=lambda row: (row[2], row[3]))[::step]
    workers, kinds = sorted({row[0] for row in kept}), sorted({row[1] for row in kept})
    began = kept[0][2]
    rows = [
        [workers.index(worker), kinds.index(kind), round(start - began, 4), round(stop - began, 4)]
        for worker, kind, start, stop in kept
    ]
    return {"workers": workers, "kinds": kinds, "rows": rows, "one_in": step}


def _noted(attempt: str, dask_scheduler: Any = None) -> list[tuple[str, str, float, float]]:
    plugin = dask_scheduler.plugins.get(NAME)
    return plugin.timeline_of(attempt) if plugin is not None else []
