"""Dask's settings for our load, from conf/dask.yaml.

Covers: reading them, the settings of a cluster file over them, and the form in which other processes inherit both.
Does not cover: the meaning of the settings (conf/dask.yaml), or clusters (open.py, launch.py).
"""

from __future__ import annotations

import functools
from importlib import resources
from typing import Any

import dask.config

from funkflow.pipeline.settings.overrides import flat

DaskSettings = dict[str, Any]
"""Settings of Dask, by nested or dotted key."""
_FILE = "dask.yaml"
_USER_SETTINGS = (
    "distributed.comm.timeouts.tcp",
    "distributed.comm.timeouts.connect",
    "distributed.scheduler.worker-ttl",
)
"""Time until Dask notices a loss. Networks differ, so values in the user's own Dask configuration win."""


def dask_settings(overrides: DaskSettings | None = None) -> dict[str, Any]:
    """Return the settings by dotted key, for `dask.config.set`; those in `overrides`, nested or dotted, win."""
    defaults = dask.config.merge(*dask.config.defaults)
    kept = {
        key: value
        for key in _USER_SETTINGS
        if (value := dask.config.get(key, None)) != dask.config.get(key, None, config=defaults)
    }
    return _of_the_file() | kept | dict(flat(overrides or {}))


@functools.cache
def _of_the_file() -> DaskSettings:
    with resources.as_file(resources.files("funkflow.conf").joinpath(_FILE)) as path:
        (content,) = dask.config.collect_yaml([str(path)])
    return dict(flat(content))


def as_environment(settings: DaskSettings) -> str:
    """Return the value of DASK_INTERNAL_INHERIT_CONFIG that hands these settings to another process."""
    nested: DaskSettings = {}
    with dask.config.set(settings, config=nested):
        serialized: str = dask.config.serialize(nested)
        return serialized
