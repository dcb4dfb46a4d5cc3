"""Who holds a root: said to who waits for it, and known to be gone when its process is.

Covers: what a holder says of itself, on any kind of root, and whether it is still there.
Does not cover: the lock and the lease themselves (lock.py, lease.py).
"""

from __future__ import annotations

import os
import platform
import time
from datetime import UTC, datetime
from typing import Any

import psutil

from funkflow.tasks.errors import DamagedFile
from funkflow.tasks.storage import files

Holder = dict[str, Any]
"""host, process, machine and started (which tell a process from all others), since (seconds), record (its id)."""


def this_process(record: str = "") -> Holder:
    """Return what this process says of itself; `record`: what it writes about itself in the ledger."""
    return {
        "host": platform.node(),
        "machine": _machine(),
        "process": os.getpid(),
        "started": _started(os.getpid()),
        "since": time.time(),
        "record": record,
    }


def read_holder(url: str) -> Holder:
    """Return what a holder has written; nothing where it is gone or is not ours to read."""
    try:
        found = files.json_if_there(url) or {}
    except DamagedFile:
        return {}
    return found if isinstance(found, dict) and {"host", "process"} <= found.keys() else {}


def said(holder: Holder) -> str:
    """Return a holder in words, for messages; empty if it is not known."""
    if not holder:
        return ""
    since = datetime.fromtimestamp(holder.get("since", 0.0), UTC).strftime(", since %Y-%m-%d %H:%M:%S UTC")
    return f"process {holder['process']} on {holder['host']}{since}"


def same(one: Holder, other: Holder) -> bool:
    """Say whether two are the same execution."""
    names = ("host", "machine", "process", "started", "record", "since")
    return [one.get(name) for name in names] == [other.get(name) for name in names]


def is_of_this_machine(holder: Holder) -> bool:
    """Say whether the holder is or was a process of this machine, since it was started."""
    return bool(holder.get("machine") and holder["machine"] == _machine())


def is_dead(holder: Holder) -> bool:
    """Say whether the holder was a process of this very machine that is not there any more."""
    return is_of_this_machine(holder) and _started(int(holder["process"])) != holder.get("started")


def _machine() -> str:
    """Return what tells this machine, since it was started, and this space of process numbers from all others."""
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
