"""Faults that only silence tells of: frozen processes, hosts that vanish, networks that are away.

Each test mostly waits until the silence is noticed, so that the runs of its stages go on at the same time, and those
that take minutes beside all others.

Covers: their cells of the table in docs/faults.md.
Does not cover: all other faults (test_faults.py), how soon a host is missed, and that a short absence is none
(test_failure_detection.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from striking import kinds_and_places, objections, try_kind

from chaos.kinds import KINDS
from chaos.room import Room
from chaos.trial import Trial

SILENT = [name for name, kind in KINDS.items() if kind.waits]
LONG = [name for name in SILENT if KINDS[name].takes_minutes]


@pytest.fixture(scope="module")
def long_ones(request: pytest.FixtureRequest, room: Room) -> Iterator[dict[str, Future[Sequence[Trial]]]]:
    """Begun with the first test of this file, as far as this session takes them."""
    here = [item for item in request.session.items if isinstance(item, pytest.Function) and item.path == request.path]
    taken = [item.callspec.params["kind"] for item in here]
    assert room.undisturbed
    with ThreadPoolExecutor(len(LONG)) as threads:
        yield {kind: threads.submit(try_kind, room, kind, False) for kind in LONG if kind in taken}


@pytest.mark.parametrize(("kind", "everywhere"), kinds_and_places(SILENT))
def test_a_fault_leaves_the_same_bits(
    room: Room, long_ones: dict[str, Future[Sequence[Trial]]], kind: str, everywhere: bool
) -> None:
    """Each must have struck, and the run have ended as it must (chaos/trial.py), or gone on, with the same bits."""
    done = long_ones[kind].result() if kind in long_ones else try_kind(room, kind, everywhere)
    assert objections(kind, everywhere, done) == []
