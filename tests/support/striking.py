"""A kind of fault at the stages that it can strike, and all that was not as it must be.

Covers: what test_faults.py, test_faults_around.py, test_faults_by_silence.py and test_failure_detection.py do alike.
Does not cover: the strikes themselves (chaos/).

`make long` tries every kind at every stage. `make test` tries most of them in training alone, as what a fault does is
the same at every stage, and training is where it may cost most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import pytest
from _pytest.mark import ParameterSet

from chaos.hosts import may_make_hosts
from chaos.kinds import KINDS, STORE_FAILS
from chaos.room import Room
from chaos.schedule import at_every_stage, at_the_middle
from chaos.small_disk import may_mount
from chaos.strikes import Strike
from chaos.trial import Trial, trials

AROUND = ("out of memory", "disk full", STORE_FAILS, "scheduler killed", "only worker killed")
"""What test_faults_around.py tries: about half of the work, so that two processes can share it."""
AWAY = "network away for 8 s"
"""Tried where nothing else runs: on a busy machine packets are sent again later (docs/faults.md)."""
LONG = (
    "all workers but one killed", "disk full", "finished shard damaged", "nanny restarts a worker", "out of memory",
    "scheduler killed", STORE_FAILS, *(name for name, kind in KINDS.items() if kind.waits),
)  # fmt: skip
"""Those of which a shorter test has the heart, or which mostly wait."""
Tried = Callable[[str, bool], Sequence[Trial]]
"""Takes a kind, and whether to strike at every stage."""


def kinds_and_places(kinds: Iterable[str]) -> list[ParameterSet]:
    """Return the parameters of a test of these kinds, each with whether to strike at every stage."""
    return [
        pytest.param(
            kind,
            everywhere,
            id=f"{kind} at every stage" if everywhere else kind,
            marks=[pytest.mark.long] * (kind in LONG or everywhere),
        )
        for kind in kinds
        for everywhere in ((False, True) if len(KINDS[kind].stages) > 1 else (False,))
    ]


def strikes_of(kind: str, everywhere: bool) -> list[list[Strike]]:
    """Return strikes at every stage, or at one: training, unless the kind has another one alone."""
    if everywhere:
        return at_every_stage(kind)
    stages = KINDS[kind].stages
    return [[at_the_middle(kind, "train" if "train" in stages else stages[0])]]


def try_kind(room: Room, kind: str, everywhere: bool) -> Sequence[Trial]:
    """Try it, or skip the test where this machine does not let us."""
    if KINDS[kind].on_small_disk and not may_mount():
        pytest.skip("may not mount a small disk: run as root")
    if KINDS[kind].hosts and not may_make_hosts():
        pytest.skip("may not make network namespaces: run as root, with iproute2 installed")
    return list(trials(room, strikes_of(kind, everywhere)))


def objections(kind: str, everywhere: bool, done: Sequence[Trial]) -> list[str]:
    """Return all complaints, and the strikes if they are not those that were meant."""
    meant = [strike.stage for strikes in strikes_of(kind, everywhere) for strike in strikes]
    stages = [strike.stage for each in done for strike in each.struck]
    wrong = [] if stages == meant else [f"struck {stages}"]
    return [complaint for each in done for complaint in each.complaints] + wrong
