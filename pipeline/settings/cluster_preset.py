"""A cluster as a file describes it: conf/clusters/*.toml, or the user's own.

Covers: what may stand in such a file, and reading it.
Does not cover: the class that it names, its arguments and extras, and starting it (pipeline/cluster/launch.py).
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from funkflow.pipeline.settings.overrides import validated
from funkflow.pipeline.settings.presets import CLUSTERS, read_settings
from funkflow.pipeline.settings.train import Section


class ClusterPreset(Section):
    """A kind of Dask cluster with its arguments, its size and how long it may take to come."""

    cluster_class: str = Field(
        alias="class", pattern=r"^\w+(\.\w+)+$", description="module and name, such as dask_jobqueue.SLURMCluster"
    )
    kwargs: dict[str, Any] = Field({}, description="what the class is called with, as its own documentation says")
    scale: dict[str, int | str] = Field({}, description="what its scale() is called with, such as jobs = 4")
    wait_for_workers: int = Field(1, ge=1, description="workers that must be there before work begins")
    wait_timeout_seconds: float = Field(60.0, gt=0, description="how long to wait for them")
    dask: dict[str, Any] = Field({}, description="Dask's own settings, over those of conf/dask.yaml")


def read_preset(name_or_path: str) -> tuple[ClusterPreset, str]:
    """Return a shipped preset by name, or that of a file by path, and what messages call it.

    Raises
    ------
    SettingsError
        No such file, not TOML, an unknown key (names the nearest valid one) or a bad value.
    """
    content, where = read_settings(name_or_path, CLUSTERS)
    return validated(content, ClusterPreset, where), where
