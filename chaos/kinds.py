"""The kinds of fault, and how a run must end after each: completed in spite of it, or with one line and resumable.

Covers: the table of kinds. Does not cover: what a fault does (deeds.py), or trying it (trial.py).
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field

from chaos.strikes import MOMENTS


@dataclass(frozen=True)
class Kind:
    """How a run ends that was struck.

    `exit_code` : 0 if the attempt itself completes; `says` : what its last line must match, or, if it completes, some
    line; `words`, `environment` : what the command is given besides; `on_small_disk`, `own_scheduler` : what the place
    must have; `hosts` : as many, with a scheduler on the first and a worker on each other; `in_store` : everything lies
    in an object store; `stages` : where it can strike; `throughout` : at all of them, from the first task of each on;
    `removes` : whether the worker that was struck has to leave the scheduler, None: as may be; `once` : in one stage
    only, as what was struck may not come back; `waits` : it is long until the loss is noticed, with nothing to do till
    then, so that runs struck at several stages are tried at the same time; `takes_minutes` : struck only where it is
    asked for by name.
    """

    exit_code: int = 0
    says: str = ""
    words: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    on_small_disk: bool = False
    own_scheduler: bool = False
    hosts: int = 0
    in_store: bool = False
    stages: tuple[str, ...] = tuple(MOMENTS)
    removes: bool | None = None
    throughout: bool = False
    once: bool = False
    waits: bool = False
    takes_minutes: bool = False


STORE_FAILS = "store fails now and then"
_LOST = (
    r"worker t(?:cp|ls)://\S+ on \S+ was lost: \d+ of its tasks and \d+ results that only it held are computed again, "
    "from "
)
_RUN = tuple(stage for stage in MOMENTS if stage != "reconstruct")
_TIMES = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "2s"}
"""Dask waits ten heartbeats, 5 s, at the least; what ships is measured in tests/faults/test_failure_detection.py."""

KINDS: dict[str, Kind] = {
    "worker killed": Kind(says=_LOST),
    # Dask's nanny does not restart a worker that dies the moment it starts, as one may that is struck once more.
    "only worker killed": Kind(
        says=_LOST, words=("--set=cluster.workers=1", "--set=cluster.processes=several"), once=True
    ),
    "all workers but one killed": Kind(says=_LOST, words=("--set=cluster.workers=3",)),
    "nanny restarts a worker": Kind(says=_LOST),
    "worker frozen": Kind(says="stopped answering and was given up", environment=_TIMES, waits=True),
    "worker frozen, settings as shipped": Kind(
        says="stopped answering and was given up", stages=("train",), removes=True, waits=True, takes_minutes=True
    ),
    "long compile": Kind(stages=("train",), removes=False, waits=True, takes_minutes=True),
    "second run on one root": Kind(),
    "client killed": Kind(-signal.SIGKILL),
    "checkpoint damaged": Kind(-signal.SIGKILL, stages=("train",)),
    "finished shard damaged": Kind(-signal.SIGKILL, stages=("evaluate",)),
    "scheduler killed": Kind(75, r"the cluster went away .*; the same command resumes from", own_scheduler=True),
    "host vanishes": Kind(says=_LOST, hosts=3, stages=_RUN, removes=True, once=True, waits=True),
    "all hosts vanish": Kind(
        75,
        r"the cluster went away or lost all its workers .*; the same command resumes from",
        environment={"DASK_DISTRIBUTED__SCHEDULER__NO_WORKERS_TIMEOUT": "5s"},
        hosts=3,
        stages=_RUN,
        removes=True,
        waits=True,
    ),
    "network away for 8 s": Kind(hosts=3, stages=_RUN, removes=False),
    STORE_FAILS: Kind(in_store=True, throughout=True),
    "disk full": Kind(4, "no space is left on the disk; free some and run the same command again", on_small_disk=True),
    "out of memory": Kind(
        4,
        r"workers died again and again (?:at task \S+|and none came back), most likely from lack of memory \(see "
        r"dmesg\): \S+ \S+ were predicted for a worker, one had \S+ \S+ or more, and \S+ \S+ is all that it may have",
        words=("--set=cluster.memory='2 GiB'",),
    ),
}
