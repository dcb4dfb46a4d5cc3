"""Runs whose surroundings fail end with the bits of a run that was not struck: at each stage that it can happen in.

Covers: stores that fail requests, full disks, want of memory, schedulers and last workers that are killed.
Does not cover: all other faults (test_faults.py), those that only silence tells of (test_faults_by_silence.py).
"""

from __future__ import annotations

import pytest
from striking import AROUND, Tried, kinds_and_places, objections

from chaos.kinds import STORE_FAILS
from chaos.strikes import MOMENTS


@pytest.mark.parametrize(("kind", "everywhere"), kinds_and_places(AROUND))
def test_a_fault_leaves_the_same_bits(tried: Tried, kind: str, everywhere: bool) -> None:
    """Each must have struck, and the run have ended as it must (chaos/trial.py), or gone on, with the same bits."""
    assert objections(kind, everywhere, tried(kind, everywhere)) == []


@pytest.mark.long
def test_workers_that_die_of_want_of_memory_are_not_replaced_for_ever(tried: Tried) -> None:
    """Ended after four workers, with what was predicted, what one had and what it may have."""
    struck = [attempt for attempt in tried("out of memory", True)[0].attempts if attempt.of("struck")]
    assert len(struck) == len(MOMENTS)
    assert min(len(attempt.of("eating")) for attempt in struck) >= 4


@pytest.mark.long
def test_a_store_fails_in_every_way(tried: Tried) -> None:
    failed = [note for attempt in tried(STORE_FAILS, True)[0].attempts for note in attempt.of("failed")]
    assert {note["how"][:3] for note in failed} == {"500", "503", "bre"}
    assert {"get", "put"} <= {note["request"] for note in failed}
