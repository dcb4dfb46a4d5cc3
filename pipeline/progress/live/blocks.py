"""The workers at the blocks of a run's grid, from the keys of the tasks that visit blocks.

Covers: the parts of such a key, for each method, and the state of a grid as its tasks begin and end.
Does not cover: noticing tasks (plugin.py), the figure (block_figure.py), making the keys
(pipeline/training/methods/sgd_graph.py, pipeline/training/methods/funk_graph.py,
pipeline/training/methods/batch_graph.py).

A task visits the blocks of one share of the user shards and one share of the item shards, so all these blocks are in
work at once. In `batch` each block is a task, so that a share is one shard.
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
"""One visit of all blocks: (epoch,) of `sgd`, (factor, pass) of `funk`, (evaluation of the objective,) of `batch`."""


@dataclass(frozen=True)
class Visit:
    """A task that visits the blocks of user share `share` and item share `partner`, of `shares` each."""

    attempt: str
    round: Round
    share: int
    partner: int
    shares: int


def visit_of(key: str) -> Visit | None:
    """Return the visit of a task's key; None if the task does not visit blocks."""
    found = _KEY.match(key)
    if found is None:
        return None
    number = tuple(int(part) for part in found["round"].split("."))
    return Visit(found["attempt"], number, *(int(found[name]) for name in ("share", "partner", "shares")))


@dataclass(frozen=True)
class Meeting:
    """The blocks of a share of users and a share of items: the round of their last visit, and its worker."""

    round: Round = ()
    worker: str = ""
    working: bool = False
    seconds: float = 0.0


@dataclass
class BlockGrid:
    """The meetings of an attempt, by (share of users, share of items), and the newest round.

    `version` : grows with every change.
    """

    meetings: dict[tuple[int, int], Meeting] = field(default_factory=dict)
    round: Round = ()
    shares: int = 1
    version: int = 0

    def begun(self, visit: Visit, worker: str) -> None:
        """Note that a worker got a task."""
        self.round = max(self.round, visit.round)
        self._set(visit, replace(self._last(visit), worker=worker, working=True))

    def ended(self, visit: Visit, worker: str, seconds: float) -> None:
        """Note that a task has finished."""
        newest = max(self._last(visit).round, visit.round)
        self._set(visit, Meeting(newest, worker, working=False, seconds=seconds))

    def given_back(self, visit: Visit) -> None:
        """Note that a task lost its worker before it was done."""
        if visit.shares == self.shares and (visit.share, visit.partner) in self.meetings:
            self._set(visit, replace(self._last(visit), working=False))

    def copy(self) -> BlockGrid:
        """Return a copy that later tasks do not change."""
        return replace(self, meetings=dict(self.meetings))

    def _last(self, visit: Visit) -> Meeting:
        known = self.meetings if visit.shares == self.shares else {}
        return known.get((visit.share, visit.partner), Meeting())

    def _set(self, visit: Visit, meeting: Meeting) -> None:
        """Note a meeting; drop those of another number of shares, as workers came or went."""
        if visit.shares != self.shares:
            self.meetings.clear()
            self.shares = visit.shares
        self.version += 1
        self.meetings[visit.share, visit.partner] = meeting
