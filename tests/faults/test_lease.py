"""Two runs under one root in an object store: the second is told to come back later, and a dead one is passed over.

Covers: pipeline/root/lease.py, against a real S3 API and fsspec's store in memory. Does not cover: roots on file
systems (test_flow.py).
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from chaos.object_store import ObjectStore, Request
from funkflow.pipeline.root import lease
from funkflow.pipeline.root.lease import Held
from funkflow.pipeline.root.lock import hold_root
from funkflow.tasks.errors import RootIsHeld, TryAgainLater
from funkflow.tasks.storage import files


@pytest.fixture(params=["s3", "memory"])
def root(request: pytest.FixtureRequest, object_store: ObjectStore) -> str:
    number = object_store.new_root()
    return number if request.param == "s3" else number.replace("s3://", "memory://")


def leave_lease(root: str, **about: Any) -> None:
    """Leave what another holder's lease looks like."""
    with hold_root(root):
        mine = files.read_json(f"{root}/.lock")
    files.write_json(f"{root}/.lock", {**mine, "token": "another", **about})


def take_over(root: str, still_held: Callable[[], None]) -> None:
    """Put another's lease there until the holder has noticed; a beat that was under way may put its own there again."""
    held = files.read_json(f"{root}/.lock")
    while True:
        files.write_json(f"{root}/.lock", {**held, "token": "another"})
        still_held()


def test_a_second_run_is_told_to_come_back_later(root: str) -> None:
    with hold_root(root):
        with (
            pytest.raises(TryAgainLater, match=r"another run \(process \d+ on .*\) is at work under this root"),
            hold_root(root),
        ):
            pass
        assert files.exists(f"{root}/.lock")
    assert not files.exists(f"{root}/.lock")
    with hold_root(root):
        pass


def test_a_lease_lies_in_the_folder_that_is_named_for_it(root: str) -> None:
    """A reconstruction refuses a folder that holds anything but its scratch."""
    with hold_root(root, "--out", ".funkflow-scratch"):
        assert files.exists(f"{root}/.funkflow-scratch/.lock")
        assert not files.exists(f"{root}/.lock")
        with pytest.raises(TryAgainLater, match="another run"), hold_root(root, "--out", ".funkflow-scratch"):
            pass
    assert not files.exists(f"{root}/.funkflow-scratch/.lock")


def test_a_holder_that_died_on_this_machine_is_passed_over_at_once(root: str) -> None:
    dead_lease(root)
    with hold_root(root):
        assert files.read_json(f"{root}/.lock")["token"] != "another"


def test_a_holder_elsewhere_counts_while_it_is_heard(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_lease(root, machine="elsewhere")
    with pytest.raises(TryAgainLater, match="another run"), hold_root(root):
        pass
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(lease, "SILENT_SECONDS", -1.0)
    with hold_root(root):
        assert files.read_json(f"{root}/.lock")["token"] != "another"


def dead_lease(root: str) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    leave_lease(root, process=gone.pid, started=time.time())


class InBetween:
    """Does something else before the first write to a lease after it was read."""

    def __init__(self, store: ObjectStore, does: Callable[[], object]) -> None:
        self._store, self._does, self._was_read = store, does, False

    def __call__(self, request: Request, *_rest: Any) -> None:
        if not request.key.endswith("/.lock"):
            return
        if self._was_read and request.kind in ("put", "delete", "post"):
            self._store.interfere = None
            self._does()
        self._was_read = self._was_read or request.kind == "get"


def test_of_two_that_take_over_at_the_same_moment_one_succeeds(object_store: ObjectStore) -> None:
    """Both have seen that the holder is dead when the other one takes its place."""
    root = object_store.new_root()
    dead_lease(root)
    with ExitStack() as other:
        held: list[Held] = []
        object_store.interfere = InBetween(object_store, lambda: held.append(other.enter_context(hold_root(root))))
        with pytest.raises(RootIsHeld), hold_root(root):
            pass
        held[0]()
        assert held[0].left_by["token"] == "another"
        assert files.exists(f"{root}/.lock")
    assert not files.exists(f"{root}/.lock")


def test_of_many_that_take_over_at_once_one_succeeds(object_store: ObjectStore) -> None:
    root, others = object_store.new_root(), threading.Barrier(4)
    dead_lease(root)

    def takes() -> bool:
        others.wait(60)
        with ExitStack() as stack:
            with suppress(RootIsHeld):
                stack.enter_context(hold_root(root))
                others.wait(60)
                return True
            others.wait(60)
            return False

    with ThreadPoolExecutor(4) as pool:
        assert sorted(one.result() for one in [pool.submit(takes) for _ in range(4)]) == [False, False, False, True]


def test_a_beat_and_a_farewell_leave_alone_who_has_taken_over(
    object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.0)
    root, ended = object_store.new_root(), threading.Event()
    acts: list[Callable[[lease._Lease], None]] = [lambda mine: mine.beat_until(ended), lambda mine: mine.give_back()]
    for act in acts:
        files.remove_tree(f"{root}/.lock")
        mine = lease._Lease(root, "", "")
        mine.take_until(0.0, lambda _: None)
        taken = {**files.read_json(f"{root}/.lock"), "token": "another"}

        def take_over(taken: dict[str, Any] = taken) -> None:
            files.write_json(f"{root}/.lock", taken)
            ended.set()

        object_store.interfere = InBetween(object_store, take_over)
        act(mine)
        assert files.read_json(f"{root}/.lock")["token"] == "another"


def test_a_store_that_knows_no_conditions_has_a_lease_all_the_same(object_store: ObjectStore) -> None:
    root = object_store.new_root()
    dead_lease(root)

    def refuse(request: Request, environment: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if request.kind not in ("put", "delete") or "HTTP_IF_MATCH" not in environment:
            return None
        body = b"<Error><Code>NotImplemented</Code><Message>no header If-Match</Message></Error>"
        start_response("501 Not Implemented", [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
        return [body]

    with object_store.interfered_with(refuse):
        with hold_root(root) as held:
            held()
            assert files.read_json(f"{root}/.lock")["token"] != "another"
        assert not files.exists(f"{root}/.lock")


def test_a_holder_that_was_passed_over_is_told_so(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.01)
    with hold_root(root) as still_held:
        still_held()
        with pytest.raises(TryAgainLater, match="another run has taken over this root"):
            take_over(root, still_held)
    assert json.loads(files.read_bytes(f"{root}/.lock"))["token"] == "another"
