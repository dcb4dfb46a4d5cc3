"""Dask's own settings for our kind of load: conf/dask.yaml is the one table.

Covers: reading it, putting a cluster file's settings over it, and the form in which other processes inherit both.
Does not cover: what the settings are for (conf/dask.yaml says), or where clusters come from (open.py, launch.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any

import dask.config

from funkflow.pipeline.settings.overrides import flat

_FILE = "dask.yaml"
_CHOSEN = ("distributed.comm.timeouts.tcp", "distributed.comm.timeouts.connect", "distributed.scheduler.worker-ttl")
"""How soon a loss is noticed: networks differ, so who has set these in Dask's own configuration keeps them."""


def dask_settings(over: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the settings by dotted key, as `dask.config.set` takes them; those in `over`, nested or dotted, win."""
    with resources.as_file(resources.files("funkflow.conf").joinpath(_FILE)) as path:
        (content,) = dask.config.collect_yaml([str(path)])
    defaults = dask.config.merge(*dask.config.defaults)
    kept = {
        key: value
        for key in _CHOSEN
        if (value := dask.config.get(key, None)) != dask.config.get(key, None, config=defaults)
    }
    return dict(flat(content)) | kept | dict(flat(over or {}))


def as_environment(settings: Mapping[str, Any]) -> str:
    """Return the value of DASK_INTERNAL_INHERIT_CONFIG that hands these settings to another process."""
    nested: dict[str, Any] = {}
    with dask.config.set(settings, config=nested):
        serialized: str = dask.config.serialize(nested)
        return serialized
