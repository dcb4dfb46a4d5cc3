"""Who works on which blocks of a run's grid, read from the keys of the tasks that go through blocks.

Covers: the parts of such a key, whatever the method, and the state of a grid as its tasks begin and end.
Does not cover: hearing of tasks (plugin.py), how a grid looks (block_figure.py), or making the keys, which
pipeline/training/sgd_graph.py does for `sgd`, pipeline/training/funk_graph.py for `funk` and
pipeline/training/batch_graph.py for `batch`.

A task takes one worker's share of the user shards through one share of the item shards, so all blocks where these meet
are in work at once. In `batch` each block is a task, so that a share is one shard.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

PREFIXES = ("descend-", "passes-", "slopes-")
_KEY = re.compile(
    r"(?:descend|passes|slopes)-(?P<attempt>[0-9a-f]{8})-(?P<round>\d+(?:\.\d+)?)-\d+"
    r"-(?P<share>\d+)-(?P<partner>\d+)of(?P<shares>\d+)$"
)

Round = tuple[int, ...]
"""Once over all blocks: (epoch,) of `sgd`, (feature, pass) of `funk`, (look at the objective,) of `batch`."""


@dataclass(frozen=True)
class Visit:
    """A task that goes through blocks: `share` of the users meets share `partner` of the items; `shares` of each."""

    attempt: str
    round: Round
    share: int
    partner: int
    shares: int


def visit_of(key: str) -> Visit | None:
    """Return what a task's key says; None if it is not the key of such a task."""
    found = _KEY.match(key)
    if found is None:
        return None
    number = tuple(int(part) for part in found["round"].split("."))
    return Visit(found["attempt"], number, *(int(found[name]) for name in ("share", "partner", "shares")))


@dataclass(frozen=True)
class Meeting:
    """Where a share of users meets a share of items: in which round it was gone through last, on which worker."""

    round: Round = ()
    worker: str = ""
    working: bool = False
    seconds: float = 0.0


@dataclass
class Grid:
    """The meetings of an attempt, by (share of users, share of items), and the newest round that was begun.

    `version` : grows with every change.
    """

    meetings: dict[tuple[int, int], Meeting] = field(default_factory=dict)
    round: Round = ()
    shares: int = 1
    version: int = 0

    def begun(self, visit: Visit, worker: str) -> None:
        """Take in that a task was given to a worker."""
        self.round = max(self.round, visit.round)
        self._set(visit, replace(self._met(visit), worker=worker, working=True))

    def ended(self, visit: Visit, worker: str, seconds: float) -> None:
        """Take in that a task's result is there."""
        newest = max(self._met(visit).round, visit.round)
        self._set(visit, Meeting(newest, worker, working=False, seconds=seconds))

    def given_back(self, visit: Visit) -> None:
        """Take in that nobody works on it any more though it is not done: its worker was lost."""
        if visit.shares == self.shares and (visit.share, visit.partner) in self.meetings:
            self._set(visit, replace(self._met(visit), working=False))

    def copy(self) -> Grid:
        """Return it as it is now."""
        return replace(self, meetings=dict(self.meetings))

    def _met(self, visit: Visit) -> Meeting:
        known = self.meetings if visit.shares == self.shares else {}
        return known.get((visit.share, visit.partner), Meeting())

    def _set(self, visit: Visit, meeting: Meeting) -> None:
        """Note a meeting; those of another cut are forgotten: workers came or went, and the grid was cut anew."""
        if visit.shares != self.shares:
            self.meetings.clear()
            self.shares = visit.shares
        self.version += 1
        self.meetings[visit.share, visit.partner] = meeting
