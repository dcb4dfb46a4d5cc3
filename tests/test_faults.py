"""Runs that are struck end with the bits of a run that was not: each kind of fault, at the stages that it can strike.

Covers: workers killed, restarted, frozen or out of memory, client and scheduler killed, disk full, checkpoints damaged,
a second run; what is said of each, that nothing that counts is half-written, and how much is done again.
Does not cover: hosts and networks (test_failure_detection.py), the random schedule in full (`make chaos`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import pytest

from chaos.kinds import KINDS
from chaos.ratings import CHECKPOINT_EPOCHS, EPOCHS
from chaos.room import Room
from chaos.schedule import MIDDLE, at_the_middle, schedule
from chaos.small_disk import may_mount
from chaos.strikes import Strike
from chaos.trial import Trial, trial


def tried(room: Room, kind: str, stages: Sequence[str] = tuple(MIDDLE), **moment: object) -> Trial:
    """Strike at the middle of each stage; all must have struck, and ended as they must."""
    strikes = [at_the_middle(kind, stage, **moment) for stage in stages]
    done = trial(room, kind.replace(" ", "-"), strikes)
    assert done.complaints == []
    assert done.missed == []
    return done


def test_killed_workers_at_every_stage(room: Room) -> None:
    run = tried(room, "worker killed").attempts[0]
    again = [key for key in _twice(run.of("ran")) if re.match("descend|items", key)]
    assert {int(key.split("-")[2]) for key in again} <= {5, 6}  # two epochs are in flight; the checkpoint is of epoch 4
    assert "are made again, from the checkpoint of epoch 4" in run.said


def test_the_only_worker_killed(room: Room) -> None:
    """Its tasks preferred it by address, and for a while there is no worker at all (runtime/placement.py)."""
    tried(room, "only worker killed", ["train"])


def test_client_killed_at_every_stage_and_resumed(room: Room) -> None:
    tried(room, "client killed")
    (metrics,) = (room.folder / "client-killed" / "root" / "runs").glob("*/metrics.jsonl")
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    epochs = [line["epoch"] for line in lines if line["event"] == "EpochFinished"]
    assert set(epochs) == set(range(1, EPOCHS + 1))
    assert 0 <= len(epochs) - len(set(epochs)) <= CHECKPOINT_EPOCHS
    assert json.loads((metrics.parent / "record.json").read_text())["attempt"] == 3


@pytest.mark.parametrize("damage", [18, 20], ids=["flip", "manifest"])
def test_damaged_checkpoints(room: Room, damage: int) -> None:
    """`number` says how, too; a torn shard is in `make chaos`."""
    tried(room, "checkpoint damaged", ["train"], pattern="descend-", number=damage)


def test_second_run_on_one_root(room: Room) -> None:
    tried(room, "second run on one root", ["ingest", "train", "reconstruct"])


def test_out_of_memory(room: Room) -> None:
    """Ended after four workers, with what was predicted, what one had and what it may have."""
    attempt = tried(room, "out of memory", ["train"]).attempts[0]
    assert len(attempt.of("eating")) >= 4


def test_disk_full(room: Room) -> None:
    if not may_mount():
        pytest.skip("may not mount a small disk: run as root")
    tried(room, "disk full", ["ingest", "grid", "train"])


def test_frozen_worker(room: Room) -> None:
    tried(room, "worker frozen", ["train"])


def test_scheduler_killed(room: Room) -> None:
    tried(room, "scheduler killed", ["train"])


@pytest.mark.slow
def test_restarted_and_all_but_one_killed(room: Room) -> None:
    tried(room, "nanny restarts a worker", ["ingest", "grid", "train", "evaluate"])
    tried(room, "all workers but one killed", ["train"])


def test_schedule_is_the_same_for_a_seed_and_strikes_every_kind() -> None:
    first, again, other = (schedule(seed, list(KINDS)) for seed in (3, 3, 4))
    drawn = [next(first) for _ in KINDS]
    assert drawn == [next(again) for _ in KINDS]
    assert drawn != [next(other) for _ in KINDS]
    assert {strikes[0].kind for strikes in drawn} == set(KINDS)


def test_a_difference_is_complained_of(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison itself: against bits that no run makes."""
    monkeypatch.setitem(room.__dict__, "undisturbed", {**room.undisturbed, "rmse": "0"})
    done = trial(room, "none", [Strike("worker killed", "train", "no-such-task-")])
    assert done.struck == []
    assert done.complaints == ["rmse differs from the undisturbed run's"]


def _twice(notes: list[dict[str, object]]) -> list[str]:
    keys = [str(note["key"]) for note in notes]
    return [key for key in set(keys) if keys.count(key) > 1]
