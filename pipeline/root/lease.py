"""The lease of a root in an object store: one run at a time, as such stores have no locks that end with their holder.

Covers: taking the lease (the object `.lock` is written only if there is none), its heartbeat, and taking it over from a
dead holder.
Does not cover: roots on file systems (lock.py).

A holder rewrites its object every `BEAT_SECONDS`. The process number shows whether a holder on this machine is dead; a
holder elsewhere counts as dead if its last beat is old and no other comes for a while. If two processes take over at
once, one succeeds, as S3 replaces only the version that both have read. In a store without such conditions both may
succeed, but not for long: the object names one of them, and the other notices at its next beat.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from funkflow.pipeline.root.holder import RootHolder, describe_holder, is_dead, read_holder, this_process
from funkflow.tasks.errors import FunkflowError, RootIsHeld, TryAgainLater
from funkflow.tasks.redact import masked
from funkflow.tasks.storage import files
from funkflow.tasks.storage.conditional_writes import object_version, put_new, remove_version, replace

BEAT_SECONDS = 10.0
SILENT_SECONDS = 45.0
"""A beat older than that is old, though clocks may differ; the lease is then watched for two beats of our own clock."""

_LOOK_SECONDS = 2.0


@dataclass(frozen=True)
class Held:
    """A root that this process holds. A call raises TryAgainLater once another process holds it.

    `left_by` : the holder before, if it died without releasing the root; else {}.
    """

    refuse_if_lost: Callable[[], None]
    left_by: RootHolder = field(default_factory=RootHolder)

    def __call__(self) -> None:
        self.refuse_if_lost()


@contextmanager
def leased(root: str, within: str, record: str, end: float, waits_for: Callable[[RootHolder], None]) -> Iterator[Held]:
    """Hold the lease on `root`; yield a function that raises TryAgainLater once another process took it over.

    Parameters
    ----------
    within : the folder of the lease under `root`; empty: `root` itself.
    record : the id of the holder's record in the ledger.
    end : the end of the wait for another holder, by time.monotonic(). `waits_for` : gets this holder, repeatedly.

    Raises
    ------
    RootIsHeld
        Another run holds it.
    TryAgainLater
        The store cannot be reached.
    SettingsError
        The store does not allow writing.
    """
    lease = _Lease(root, within, record)
    left_by = lease.take_until(end, waits_for)
    ended = threading.Event()
    beats = threading.Thread(target=lease.beat_until, args=(ended,), name="lease", daemon=True)
    beats.start()
    try:
        yield Held(lease.refuse_if_lost, left_by)
    finally:
        ended.set()
        beats.join()
        with suppress(OSError, FunkflowError):
            lease.give_back()


def is_silent(holder: RootHolder) -> bool:
    """Return whether the last beat of a holder is so old that it counts as dead."""
    return time.time() - float(holder.get("beat", 0.0)) > SILENT_SECONDS + 2 * BEAT_SECONDS


class _IsHeld(Exception):
    """Somebody else holds the root."""

    def __init__(self, holder: RootHolder) -> None:
        super().__init__()
        self.holder = holder


class _Lease:
    def __init__(self, root: str, within: str, record: str) -> None:
        self._root, self._url = masked(root), files.join(files.join(root, within) if within else root, ".lock")
        self._lost = False
        self._token = uuid.uuid4().hex
        self._about: RootHolder = {**this_process(record), "token": self._token}

    def take_until(self, end: float, waits_for: Callable[[RootHolder], None]) -> RootHolder:
        """Take the lease; return the dead holder before, or {}."""
        while True:
            try:
                return self._take()
            except _IsHeld as held:
                left = end - time.monotonic()
                if left <= 0:
                    raise self._held_by(held.holder) from None
                waits_for(held.holder)
                time.sleep(min(left, _LOOK_SECONDS))

    def _take(self) -> RootHolder:
        self._about["since"] = time.time()
        if put_new(self._url, self._content()):
            return {}
        version = object_version(self._url)
        holder = self._holder()
        if self._is_mine(holder):  # the write succeeded, and its answer was lost
            return {}
        if holder and not is_dead(holder):
            self._refuse_unless_silent(holder)
        current = self._holder()
        if current and current["token"] != holder.get("token"):
            raise _IsHeld(current)
        self._about["since"] = time.time()
        if not replace(self._url, self._content(), version) and not self._is_mine(self._holder()):
            raise _IsHeld(self._holder())
        return holder

    def beat_until(self, ended: threading.Event) -> None:
        while not ended.wait(BEAT_SECONDS):
            with suppress(OSError, FunkflowError):  # a store may be out of reach for a while
                version = object_version(self._url)
                if not self._is_mine(self._holder()):
                    self._lost = True
                    return
                if version:
                    replace(self._url, self._content(), version)  # the next beat notices a takeover in between
                else:
                    files.write_bytes(self._url, self._content())

    def refuse_if_lost(self) -> None:
        if self._lost:
            raise TryAgainLater(
                f"{self._root}: another run has taken over this root, as nothing was heard of this one for a while; "
                "wait for it to end"
            )

    def give_back(self) -> None:
        version = object_version(self._url)
        if self._is_mine(self._holder()):
            remove_version(self._url, version)

    def _is_mine(self, holder: RootHolder) -> bool:
        return bool(holder.get("token") == self._token)

    def _refuse_unless_silent(self, holder: RootHolder) -> None:
        if time.time() - holder["beat"] <= SILENT_SECONDS:
            raise _IsHeld(holder)
        time.sleep(2 * BEAT_SECONDS)
        current = self._holder()
        if current and current != holder:
            raise _IsHeld(current)

    def _held_by(self, holder: RootHolder) -> RootIsHeld:
        return RootIsHeld(
            f"{self._root}: another run ({describe_holder(holder) or 'another process'}) is at work under this root; "
            f"wait for it to end, or use another --root (one that died is passed over {SILENT_SECONDS:g} s later)"
        )

    def _holder(self) -> RootHolder:
        holder = read_holder(self._url)
        return holder if {"token", "beat"} <= holder.keys() else {}

    def _content(self) -> bytes:
        return json.dumps({**self._about, "beat": time.time()}).encode()
