"""All that the program imports, imported: what forked.py forks processes from.

Covers: every module of `funkflow.pipeline` and `funkflow.tasks`, Dask's scheduler, worker and dashboard, and the first
use of numba.
Does not cover: forking (forked.py). Nobody imports this module but the process that is forked from.
"""

from __future__ import annotations

import gc
import pkgutil
from importlib import import_module

from numba.core.registry import cpu_target

PACKAGES = ("funkflow.pipeline", "funkflow.tasks")
OTHERS = (
    "chaos.striker", "cryptography.x509", "dask.array", "distributed.cli.dask_scheduler",
    "distributed.cli.dask_worker", "distributed.dashboard.scheduler", "distributed.http.health",
    "distributed.http.prometheus", "distributed.http.proxy", "distributed.http.scheduler.info",
    "distributed.http.scheduler.json", "distributed.http.scheduler.prometheus.core", "distributed.http.statics",
    "distributed.protocol.numpy", "s3fs",
)  # fmt: skip

for name in PACKAGES:
    for module in pkgutil.walk_packages(import_module(name).__path__, f"{name}."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
for name in OTHERS:
    import_module(name)
# What numba does when the first compiled function is asked for, be it compiled or read from its cache.
cpu_target.typing_context.refresh()
cpu_target.target_context.refresh()
# What lives so far lives for ever: unless the collector visits it, its pages stay shared with every fork.
gc.collect()
gc.freeze()
