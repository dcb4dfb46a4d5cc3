"""Waiting for a root that is held: for whom is said, it is taken when it is given back, and after the time comes 75.

Covers: pipeline/root/lock.py and pipeline/root/lease.py with a time to wait, on a disk and in an object store.
Does not cover: taking over from a dead holder (test_lease.py, test_ledger.py).
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from chaos.object_store import ObjectStore
from funkflow.pipeline.root.lock import Waiting, hold_root, holder_of
from funkflow.pipeline.settings.request import Request
from funkflow.tasks.errors import SettingsError, TryAgainLater


@pytest.fixture(params=["disk", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "disk":
        return str(tmp_path / "root")
    store: ObjectStore = request.getfixturevalue("object_store")
    return store.new_root()


def test_who_waits_is_told_for_whom_and_goes_on_when_the_root_is_free(root: str) -> None:
    told: list[str] = []
    waits = threading.Event()

    def notify(words: str) -> None:
        told.append(words)
        waits.set()

    took = []

    def wait_for_it() -> None:
        with hold_root(root, waiting=Waiting(60.0, notify, "the second")):
            took.append(holder_of(root)["record"])

    second = threading.Thread(target=wait_for_it)
    with hold_root(root, waiting=Waiting(record="the first")):
        second.start()
        assert waits.wait(30)
        assert holder_of(root)["record"] == "the first"
    second.join(30)
    assert took == ["the second"]
    assert holder_of(root) == {}
    (said,) = told
    assert said.startswith(f"this root is held by process {os.getpid()} on {os.uname().nodename}, since 2")
    assert "waiting for it to end" in said


def test_who_has_waited_long_enough_leaves_with_75(root: str) -> None:
    with (
        hold_root(root),
        pytest.raises(
            TryAgainLater, match=rf"another run \(process {os.getpid()} on .*, since .* UTC\) is at work"
        ) as e,
        hold_root(root, waiting=Waiting(0.6)),
    ):
        pass
    assert e.value.exit_code == 75


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_a_time_to_wait_is_checked(seconds: float) -> None:
    with pytest.raises(SettingsError, match="--wait"):
        Request.checked(wait_seconds=seconds)
