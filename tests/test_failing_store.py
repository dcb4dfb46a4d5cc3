"""A store that fails now and then: 5 % of its answers are 500 or 503, or break off; the run ends with the same bits.

Covers: a whole run in a bucket and its reconstruction, every kind of request, counted at the server, at every stage.
Does not cover: a store that is away altogether (test_object_store.py).
"""

from __future__ import annotations

import pytest

from chaos.kinds import KINDS, STORE_FAILS
from chaos.room import Room
from chaos.schedule import schedule
from chaos.trial import trial


@pytest.mark.slow
def test_a_run_in_a_store_that_fails_now_and_then(room: Room) -> None:
    done = trial(room, "failing", next(schedule(0, [STORE_FAILS])))
    assert done.complaints == []
    assert {each.stage for each in done.struck} == set(KINDS[STORE_FAILS].stages)
    failed = [note for attempt in done.attempts for note in attempt.of("failed")]
    assert {note["how"][:3] for note in failed} == {"500", "503", "bre"}
    assert {"get", "put"} <= {note["request"] for note in failed}
