"""The holder of a root: its process, in words, and whether it still exists.

Covers: the record of a holder, on any kind of root.
Does not cover: the lock and the lease themselves (lock.py, lease.py).
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TypedDict, cast

import psutil

from funkflow.tasks.errors import DamagedFile
from funkflow.tasks.storage import files


class RootHolder(TypedDict, total=False):
    """The process that holds a root; {} if nobody does.

    `machine`, `process`, `started` : identify it; `since` : the time it took the root, in seconds; `record` : the id of
    its record in the ledger. A lease also has a `token` and the time of its last `beat`.
    """

    host: str
    machine: str
    process: int
    started: float | None
    since: float
    record: str
    token: str
    beat: float


def this_process(record: str = "") -> RootHolder:
    """Return this process as a holder; `record` : the id of its record in the ledger."""
    return {
        "host": platform.node(),
        "machine": _machine(),
        "process": os.getpid(),
        "started": _started(os.getpid()),
        "since": time.time(),
        "record": record,
    }


def read_holder(url: str) -> RootHolder:
    """Return the holder in a file; {} if the file is gone, damaged or of another kind."""
    try:
        found = files.json_if_there(url) or {}
    except DamagedFile:
        return {}
    is_holder = isinstance(found, dict) and {"host", "process"} <= found.keys()
    return cast(RootHolder, found) if is_holder else {}


def describe_holder(holder: RootHolder) -> str:
    """Describe a holder for messages; "" if it is unknown."""
    if not holder:
        return ""
    since = datetime.fromtimestamp(holder.get("since", 0.0), UTC).strftime(", since %Y-%m-%d %H:%M:%S UTC")
    return f"process {holder['process']} on {holder['host']}{since}"


def is_same_holder(first: RootHolder, second: RootHolder) -> bool:
    """Return whether two holders are the same execution."""
    one: Mapping[str, object] = first
    other: Mapping[str, object] = second
    names = ("host", "machine", "process", "started", "record", "since")
    return [one.get(name) for name in names] == [other.get(name) for name in names]


def is_of_this_machine(holder: RootHolder) -> bool:
    """Return whether the holder is or was a process of this machine since its start."""
    return bool(holder.get("machine") and holder["machine"] == _machine())


def is_dead(holder: RootHolder) -> bool:
    """Return whether the holder was a process of this machine that has ended."""
    return is_of_this_machine(holder) and _started(int(holder["process"])) != holder.get("started")


def _machine() -> str:
    """Return an id of this machine since its start, and of its namespace of process numbers."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as boot:
            return f"{boot.read().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _started(process: int) -> float | None:
    try:
        return psutil.Process(process).create_time()
    except psutil.Error:
        return None
