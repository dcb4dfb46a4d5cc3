"""A kind of fault at every stage that it can strike, and what is there to be said against how the runs took it.

Covers: what test_faults.py, test_faults_around.py, test_faults_by_silence.py and test_failure_detection.py do alike.
Does not cover: the strikes themselves (chaos/).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from chaos.hosts import may_make_hosts
from chaos.kinds import KINDS, STORE_FAILS
from chaos.room import Room
from chaos.schedule import at_every_stage
from chaos.small_disk import may_mount
from chaos.trial import Trial, trials

AROUND = ("out of memory", "disk full", STORE_FAILS, "scheduler killed", "only worker killed")
"""What test_faults_around.py tries: about half of the work, so that two processes can share it."""
AWAY = "network away for 8 s"
"""Tried where nothing else runs: on a busy machine packets are sent again later (docs/faults.md)."""
Tried = Callable[[str], Sequence[Trial]]


def at_every_stage_of(room: Room, kind: str) -> Sequence[Trial]:
    """Try it, or skip the test where this machine does not let us."""
    if KINDS[kind].on_small_disk and not may_mount():
        pytest.skip("may not mount a small disk: run as root")
    if KINDS[kind].hosts and not may_make_hosts():
        pytest.skip("may not make network namespaces: run as root, with iproute2 installed")
    return list(trials(room, at_every_stage(kind)))


def objections(kind: str, done: Sequence[Trial]) -> list[str]:
    """Return all complaints, and the stages that were not struck or were not to be."""
    stages = [strike.stage for each in done for strike in each.struck]
    wrong = [] if stages == list(KINDS[kind].stages) else [f"struck {stages}"]
    return [complaint for each in done for complaint in each.complaints] + wrong
