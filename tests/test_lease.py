"""Two runs under one root in an object store: the second is told to come back later, and a dead one is passed over.

Covers: runtime/lease.py, against a real S3 API and fsspec's store in memory. Does not cover: roots on file systems
(test_flow.py).
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from chaos.object_store import ObjectStore
from pipeline.runtime import lease
from pipeline.runtime.lock import hold_root
from tasks import files
from tasks.errors import TryAgainLater


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
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    leave_lease(root, process=gone.pid, started=time.time())
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


def test_a_holder_that_was_passed_over_is_told_so(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.01)
    with hold_root(root) as still_held:
        still_held()
        with pytest.raises(TryAgainLater, match="another run has taken over this root"):
            take_over(root, still_held)
    assert json.loads(files.read_bytes(f"{root}/.lock"))["token"] == "another"
