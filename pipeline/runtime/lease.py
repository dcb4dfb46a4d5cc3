"""One run at a time under a root in an object store: a lease, as such stores have no locks that end with their holder.

Covers: taking it (the object `.lock` is put only if there is none), its heartbeat, and taking over from a dead holder.
Does not cover: roots on file systems (lock.py).

A holder writes its object anew every `BEAT_SECONDS`. One that died on this machine is recognised by its process number,
one that died elsewhere by its silence: its last beat is old, and no other comes while we watch. Two that take over at
the same moment cannot both go on for long: the object names one of them, and the other sees that at its next beat.
"""

from __future__ import annotations

import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psutil

from tasks import files
from tasks.errors import DamagedFile, FunkflowError, TryAgainLater
from tasks.filesystems import filesystem, make_parent, reaching
from tasks.masking import masked

BEAT_SECONDS = 10.0
SILENT_SECONDS = 45.0
"""A beat older than that is old, by clocks that may differ; then it is watched for two beats by our own alone."""


@contextmanager
def leased(root: str) -> Iterator[Callable[[], None]]:
    """Hold the lease on `root`; yield what raises TryAgainLater if somebody else has taken it over.

    Raises
    ------
    TryAgainLater
        Another run holds it, or the store is out of reach.
    SettingsError
        The store refuses to be written.
    """
    lease = _Lease(root)
    lease.take()
    ended = threading.Event()
    beats = threading.Thread(target=lease.beat_until, args=(ended,), name="lease", daemon=True)
    beats.start()
    try:
        yield lease.refuse_if_lost
    finally:
        ended.set()
        beats.join()
        with suppress(OSError, FunkflowError):
            lease.give_back()


class _Lease:
    def __init__(self, root: str) -> None:
        self._root, self._url = masked(root), files.join(root, ".lock")
        self._lost = False
        self._token = uuid.uuid4().hex
        self._about = {
            "token": self._token,
            "host": platform.node(),
            "machine": _machine(),
            "process": os.getpid(),
            "started": _started(os.getpid()),
        }

    def take(self) -> None:
        if self._put_if_there_is_none():
            return
        holder = self._holder()
        if holder and not _is_dead(holder):
            self._refuse_unless_silent(holder)
        current = self._holder()
        if current and current["token"] != holder.get("token"):
            raise self._held_by(current)
        with suppress(FileNotFoundError):
            system, path = filesystem(self._url)
            with reaching(self._url):
                system.rm_file(path)
        if not self._put_if_there_is_none():
            raise self._held_by(self._holder())

    def beat_until(self, ended: threading.Event) -> None:
        while not ended.wait(BEAT_SECONDS):
            with suppress(OSError, FunkflowError):  # a store that is out of reach for a while is no reason to end
                if self._holder().get("token") != self._token:
                    self._lost = True
                    return
                files.write_bytes(self._url, self._content())

    def refuse_if_lost(self) -> None:
        if self._lost:
            raise TryAgainLater(
                f"{self._root}: another run has taken over this root, as nothing was heard of this one for a while; "
                "wait for it to end"
            )

    def give_back(self) -> None:
        if self._holder().get("token") == self._token:
            files.remove_tree(self._url)

    def _put_if_there_is_none(self) -> bool:
        system, path = filesystem(self._url)
        try:
            with reaching(self._url):
                make_parent(system, path)
                system.pipe_file(path, self._content(), mode="create")
        except FileExistsError:
            return False
        return True

    def _refuse_unless_silent(self, holder: dict[str, Any]) -> None:
        if time.time() - holder["beat"] <= SILENT_SECONDS:
            raise self._held_by(holder)
        time.sleep(2 * BEAT_SECONDS)
        current = self._holder()
        if current and current != holder:
            raise self._held_by(current)

    def _held_by(self, holder: dict[str, Any]) -> TryAgainLater:
        who = f"process {holder['process']} on {holder['host']}" if holder else "another process"
        return TryAgainLater(
            f"{self._root}: another run ({who}) is at work under this root; wait for it to end, or use another --root"
            f" (one that died is passed over {SILENT_SECONDS:g} s later)"
        )

    def _holder(self) -> dict[str, Any]:
        """Return what the object says; nothing where it is gone or is not ours to read."""
        try:
            found = files.json_if_there(self._url) or {}
        except DamagedFile:
            return {}
        return found if isinstance(found, dict) and {"token", "beat", "host", "process"} <= found.keys() else {}

    def _content(self) -> bytes:
        return json.dumps({**self._about, "beat": time.time()}).encode()


def _is_dead(holder: dict[str, Any]) -> bool:
    """Say whether the holder was a process of this very machine that is not there any more."""
    here = holder.get("machine") and holder["machine"] == _machine()
    return bool(here and _started(int(holder["process"])) != holder.get("started"))


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
