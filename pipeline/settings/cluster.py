"""The [cluster] section: where tasks run; and sizes in bytes or as text.

Covers: its settings with their defaults. Does not cover: the files of conf/clusters (cluster_preset.py), or opening a
cluster (pipeline/cluster/open.py).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from funkflow.pipeline.settings.method_settings import Place, Section
from funkflow.tasks.late import late

if TYPE_CHECKING:
    from dask import utils as dask_utils
else:  # for sizes in words alone
    dask_utils = late("dask.utils")

Bytes = Annotated[
    int, BeforeValidator(lambda value: dask_utils.parse_bytes(value) if isinstance(value, str) else value), Field(ge=0)
]
"""A size: a number of bytes, or text such as "64 MiB"."""


class ClusterSettings(Section):
    """The cluster of a run. It does not change the result."""

    scheduler: str = Field("", description="address of a running Dask scheduler; empty: a cluster on this machine")
    scheduler_file: Place = Field("", description="instead: the scheduler's file with its address; a run waits for it")
    preset: Place = Field("", description="instead: a cluster of conf/clusters by name, or the path of a .toml file")
    environment: bool = Field(
        True, description="DASK_SCHEDULER_ADDRESS overrides the three; options of a command set this to false"
    )
    workers: int = Field(1, ge=1, description="worker processes")
    threads: int = Field(0, ge=0, description="threads per worker; 0: the cores of this machine divided by the workers")
    processes: Literal["auto", "one", "several"] = Field(
        "auto",
        description="of a cluster on this machine. one: client, scheduler and the only worker share a process, which "
        "starts faster; several: each worker has its own, and Dask restarts it if it dies; auto: one for one worker "
        "if the plan needs less than 1 GiB",
    )
    blocks: Literal["auto", "memory", "streamed"] = Field(
        "auto",
        description="training keeps all blocks in memory, or reads each when needed; auto: memory if they fit",
    )
    memory: Bytes = Field(
        0, description="memory of all workers together, such as '8 GiB'; 0: the free memory of this machine"
    )
    wait_seconds: float = Field(60.0, gt=0, description="longest wait for workers")
    dashboard: str = Field("127.0.0.1:0", description="address of Dask's dashboard; port 0: any free port")
    tls: Literal["", "temporary", "off"] = Field(
        "",
        description="temporary: TLS in a cluster on this machine, with a certificate that stays in memory; empty: "
        "temporary if other people have accounts on this machine; off: never",
    )
    tls_ca: Place = Field("", description="TLS between all processes: file of the authority's certificate (PEM)")
    tls_cert: Place = Field("", description="file of our certificate (PEM), signed by that authority")
    tls_key: Place = Field("", description="file of our key (PEM)")

    @property
    def threads_per_worker(self) -> int:
        """Threads of each worker of a cluster on this machine."""
        return self.threads or max(1, cores() // self.workers)

    @model_validator(mode="after")
    def _tls_is_whole(self) -> ClusterSettings:
        named = [bool(path) for path in (self.tls_ca, self.tls_cert, self.tls_key)]
        if any(named) and not all(named):
            raise ValueError("tls_ca, tls_cert and tls_key go together: name all three files")
        if self.tls == "off" and any(named):
            raise ValueError('tls = "off" excludes the tls_ files: leave out one or the other')
        if self.tls == "temporary" and (any(named) or self.scheduler or self.scheduler_file or self.preset):
            raise ValueError(
                'tls = "temporary" is for a cluster on this machine: leave out scheduler, scheduler_file, preset '
                "and the tls_ files"
            )
        return self

    @model_validator(mode="after")
    def _one_process(self) -> ClusterSettings:
        if self.processes == "one" and (self.workers > 1 or self.scheduler or self.scheduler_file or self.preset):
            raise ValueError(
                'processes = "one" is for one worker on this machine: set workers = 1 and leave out scheduler, '
                "scheduler_file and preset"
            )
        return self

    @model_validator(mode="after")
    def _one_place(self) -> ClusterSettings:
        named = [name for name in ("scheduler", "scheduler_file", "preset") if getattr(self, name)]
        if len(named) > 1:
            raise ValueError(f"{' and '.join(named)} each choose a cluster: keep one of them")
        return self


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
