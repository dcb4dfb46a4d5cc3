"""A cluster from a file: conf/clusters/*.toml, or the user's own.

Covers: the keys of such a file, and reading it.
Does not cover: its class, arguments and extras, and starting it (pipeline/cluster/launch.py).
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from funkflow.pipeline.settings.method_settings import Section
from funkflow.pipeline.settings.overrides import validated
from funkflow.pipeline.settings.presets import CLUSTERS, read_settings


class ClusterPreset(Section):
    """A kind of Dask cluster with its arguments, its size and its time limit."""

    cluster_class: str = Field(
        alias="class", pattern=r"^\w+(\.\w+)+$", description="module and name, such as dask_jobqueue.SLURMCluster"
    )
    kwargs: dict[str, Any] = Field({}, description="arguments of the class, by its own documentation")
    scale: dict[str, int | str] = Field({}, description="arguments of its method scale(), such as jobs = 4")
    wait_for_workers: int = Field(1, ge=1, description="least number of workers before work begins")
    wait_timeout_seconds: float = Field(60.0, gt=0, description="longest wait for them")
    dask: dict[str, Any] = Field({}, description="Dask's own settings, which override conf/dask.yaml")


def read_preset(name_or_path: str) -> tuple[ClusterPreset, str]:
    """Return a shipped preset by name, or that of a file by path, and its name in messages.

    Raises
    ------
    SettingsError
        No such file, not TOML, an unknown key (names the nearest valid one) or a bad value.
    """
    content, where = read_settings(name_or_path, CLUSTERS)
    return validated(content, ClusterPreset, where), where
