"""Who works on which blocks of a run's grid, read from the keys of the tasks of an epoch.

Covers: the parts of such a key, and the state of a grid as its tasks begin and end.
Does not cover: hearing of tasks (plugin.py), their keys' making (runtime/strata.py), how a grid looks (page.py).

A task takes one worker's share of the user shards through one share of the item shards, so all blocks where these meet
are in work at once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

PREFIX = "descend-"
_KEY = re.compile(
    r"descend-(?P<attempt>[0-9a-f]{8})-(?P<epoch>\d+)-(?P<turn>\d+)-(?P<share>\d+)-(?P<partner>\d+)of(?P<shares>\d+)$"
)


@dataclass(frozen=True)
class Visit:
    """A task of an epoch: `share` of the users meets share `partner` of the items in turn `turn`; `shares` of each."""

    attempt: str
    epoch: int
    turn: int
    share: int
    partner: int
    shares: int


def visit_of(key: str) -> Visit | None:
    """Return what a task's key says; None if it is not the key of such a task."""
    found = _KEY.match(key)
    if found is None:
        return None
    return Visit(found["attempt"], *(int(found[name]) for name in ("epoch", "turn", "share", "partner", "shares")))


@dataclass
class Meeting:
    """Where a share of users meets a share of items: in which epoch it was gone through last, on which worker."""

    epoch: int = 0
    worker: str = ""
    working: bool = False
    seconds: float = 0.0


@dataclass
class Grid:
    """The meetings of an attempt, by (share of users, share of items), and the newest turn that was begun.

    `version` : grows with every change.
    """

    meetings: dict[tuple[int, int], Meeting] = field(default_factory=dict)
    epoch: int = 0
    turn: int = 0
    shares: int = 1
    version: int = 0

    def begun(self, visit: Visit, worker: str) -> None:
        """Take in that a task was given to a worker."""
        self._cut(visit)
        self.version += 1
        self.epoch, self.turn = max((self.epoch, self.turn), (visit.epoch, visit.turn))
        meeting = self.meetings.setdefault((visit.share, visit.partner), Meeting())
        meeting.worker, meeting.working = worker, True

    def ended(self, visit: Visit, worker: str, seconds: float) -> None:
        """Take in that a task's result is there."""
        self._cut(visit)
        self.version += 1
        meeting = self.meetings.setdefault((visit.share, visit.partner), Meeting())
        meeting.epoch = max(meeting.epoch, visit.epoch)
        meeting.worker, meeting.working, meeting.seconds = worker, False, seconds

    def given_back(self, visit: Visit) -> None:
        """Take in that nobody works on it any more though it is not done: its worker was lost."""
        meeting = self.meetings.get((visit.share, visit.partner))
        if meeting is not None:
            self.version += 1
            meeting.working = False

    def _cut(self, visit: Visit) -> None:
        """Forget the meetings of another cut: workers came or went, and the grid was handed out anew."""
        if visit.shares != self.shares:
            self.meetings.clear()
            self.shares = visit.shares
