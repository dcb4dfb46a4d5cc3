"""One run at a time under a root in an object store: a lease, as such stores have no locks that end with their holder.

Covers: taking it (the object `.lock` is put only if there is none), its heartbeat, and taking over from a dead holder.
Does not cover: roots on file systems (lock.py).

A holder writes its object anew every `BEAT_SECONDS`. One that died on this machine is recognised by its process number,
one that died elsewhere by its silence: its last beat is old, and no other comes while we watch. Of two that take over
at the same moment one succeeds, as S3 replaces only the version that both have seen. In a store that takes no such
condition both may, but not for long: the object names one of them, and the other sees that at its next beat.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from funkflow.pipeline.root.holder import Holder, is_dead, read_holder, said, this_process
from funkflow.tasks.errors import FunkflowError, RootIsHeld, TryAgainLater
from funkflow.tasks.redact import masked
from funkflow.tasks.storage import files
from funkflow.tasks.storage.conditional_writes import object_version, put_new, remove_version, replace

BEAT_SECONDS = 10.0
SILENT_SECONDS = 45.0
"""A beat older than that is old, by clocks that may differ; then it is watched for two beats by our own alone."""


_LOOK_SECONDS = 2.0


@dataclass(frozen=True)
class Held:
    """A root that is held. Called, it raises TryAgainLater if it is not held any more.

    `left_by` : who held it before and died without giving it back; empty if nobody did.
    """

    refuse_if_lost: Callable[[], None]
    left_by: Holder = field(default_factory=dict)

    def __call__(self) -> None:
        self.refuse_if_lost()


@contextmanager
def leased(root: str, within: str, record: str, end: float, waits_for: Callable[[Holder], None]) -> Iterator[Held]:
    """Hold the lease on `root`; yield what raises TryAgainLater if somebody else has taken it over.

    Parameters
    ----------
    within : folder under `root` that the lease lies in; empty: `root` itself.
    record : what the holder writes about itself in the ledger.
    end : until when, by time.monotonic(), another holder is waited for; `waits_for` is told which, again and again.

    Raises
    ------
    RootIsHeld
        By another run.
    TryAgainLater
        The store is out of reach.
    SettingsError
        The store refuses to be written.
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


def is_silent(holder: Holder) -> bool:
    """Say whether nothing was heard of a holder for so long that it counts as dead."""
    return time.time() - float(holder.get("beat", 0.0)) > SILENT_SECONDS + 2 * BEAT_SECONDS


class _IsHeld(Exception):
    """Somebody else holds the root."""

    def __init__(self, holder: Holder) -> None:
        super().__init__()
        self.holder = holder


class _Lease:
    def __init__(self, root: str, within: str, record: str) -> None:
        self._root, self._url = masked(root), files.join(files.join(root, within) if within else root, ".lock")
        self._lost = False
        self._token = uuid.uuid4().hex
        self._about = {"token": self._token, **this_process(record)}

    def take_until(self, end: float, waits_for: Callable[[Holder], None]) -> Holder:
        """Take the lease, and return who died holding it; empty if nobody did."""
        while True:
            try:
                return self._take()
            except _IsHeld as held:
                left = end - time.monotonic()
                if left <= 0:
                    raise self._held_by(held.holder) from None
                waits_for(held.holder)
                time.sleep(min(left, _LOOK_SECONDS))

    def _take(self) -> Holder:
        if put_new(self._url, self._content(since=time.time())):
            return {}
        version = object_version(self._url)
        holder = self._holder()
        if self._is_mine(holder):  # it was put, and the answer was lost
            return {}
        if holder and not is_dead(holder):
            self._refuse_unless_silent(holder)
        current = self._holder()
        if current and current["token"] != holder.get("token"):
            raise _IsHeld(current)
        if not replace(self._url, self._content(since=time.time()), version) and not self._is_mine(self._holder()):
            raise _IsHeld(self._holder())
        return holder

    def beat_until(self, ended: threading.Event) -> None:
        while not ended.wait(BEAT_SECONDS):
            with suppress(OSError, FunkflowError):  # a store that is out of reach for a while is no reason to end
                version = object_version(self._url)
                if not self._is_mine(self._holder()):
                    self._lost = True
                    return
                if version:
                    replace(self._url, self._content(), version)  # the next beat sees who came in between
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

    def _is_mine(self, holder: Holder) -> bool:
        return bool(holder.get("token") == self._token)

    def _refuse_unless_silent(self, holder: Holder) -> None:
        if time.time() - holder["beat"] <= SILENT_SECONDS:
            raise _IsHeld(holder)
        time.sleep(2 * BEAT_SECONDS)
        current = self._holder()
        if current and current != holder:
            raise _IsHeld(current)

    def _held_by(self, holder: Holder) -> RootIsHeld:
        return RootIsHeld(
            f"{self._root}: another run ({said(holder) or 'another process'}) is at work under this root; wait for it "
            f"to end, or use another --root (one that died is passed over {SILENT_SECONDS:g} s later)"
        )

    def _holder(self) -> Holder:
        holder = read_holder(self._url)
        return holder if {"token", "beat"} <= holder.keys() else {}

    def _content(self, **more: float) -> bytes:
        self._about |= more
        return json.dumps({**self._about, "beat": time.time()}).encode()
