"""What the shipped Kubernetes preset asks the Dask operator for, as KubeCluster makes it of the preset's arguments.

Covers: `asked_for`, the DaskCluster resource. Does not cover: KubeCluster itself, which needs a Kubernetes cluster.
"""

from __future__ import annotations

import inspect
from typing import Any

from dask_kubernetes.operator import make_cluster_spec

from funkflow.pipeline.settings.cluster_preset import read_preset

PODS = ("scheduler", "worker")


def asked_for() -> dict[str, Any]:
    """Return the DaskCluster resource that a run with `--cluster kubernetes` creates."""
    preset, _ = read_preset("kubernetes")
    taken = inspect.signature(make_cluster_spec).parameters
    spec: dict[str, Any] = make_cluster_spec(**{key: value for key, value in preset.kwargs.items() if key in taken})
    return spec
