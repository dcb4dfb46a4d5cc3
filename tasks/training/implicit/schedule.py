"""When second factors take a step, and whether rows are pulled to their means: the rule of train.implicit for sgd.

Covers: the sides of an epoch, the epoch from which means count, the L2 term beside them, and `auto`.
Does not cover: a step (second_factors.py), all other numbers of an epoch (tasks/training/sgd_epochs.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from funkflow.tasks.grid.default_rule import JUDGED_LATE

FIRST_PULL = 4
"""The first epoch that pulls to the means. Before it rows are those of a training without them, and `auto` looks."""
EXPLAINED = 0.105
"""Part of the squares of the rows that means explain, from which on `auto` uses them: geometric mean of both sides,
after the second epoch at rank 64. MovieLens 1M, 100K and latest-small have 0.24 to 0.26, MovieTweetings 0.18; sets of
2,000 to 500,000 planted ratings, whose pairs say nothing, 0.05 to 0.06."""
L2_SHARE = 2.5
"""L2 beside means, as a multiple of the rule's. With half of a row explained, what is left is smaller. MovieLens 1M,
random 10 %, rank 64, with 1.5, 2, 2.5 and 3 the same ridge: 0.8334, 0.8260, 0.8218, 0.8221."""
RIDGE = 12.0
"""Ridge of second factors, in mean ratings a row, ratings / (users + items). With 3 and 6 MovieLens 1M ends at 0.8231
and 0.8226, with 12 at 0.8222; 100K and latest-small lie within 0.003 of each other."""
EXPLAINED_COLUMN = 3
"""The place of that part in an epoch's row of the history."""


@dataclass(frozen=True)
class Implicit:
    """The rule for one training.

    mode : "none", "items" (users' rows by the items they rated), "users" (items' rows by who rated them), "both", or
        "auto": both, where they explain rows. ridge : see `RIDGE`, in ratings.
    """

    mode: str
    ridge: float

    @classmethod
    def of(cls, mode: str, ratings: int, users: int, items: int) -> Implicit:
        """Return the rule for so many training ratings."""
        return cls(mode, RIDGE * ratings / max(1, users + items))

    @property
    def has_means(self) -> bool:
        """Whether shards have means at all."""
        return self.mode != "none"

    def pulls(self, epoch: int, history: Sequence[Sequence[float | None]]) -> bool:
        """Return whether an epoch, counted from 1, pulls rows to their means."""
        if not self.has_means or epoch < FIRST_PULL:
            return False
        if self.mode != "auto":
            return True
        return (history[FIRST_PULL - JUDGED_LATE - 1][EXPLAINED_COLUMN] or 0.0) >= EXPLAINED

    def sides(self, epoch: int, history: Sequence[Sequence[float | None]]) -> tuple[str, ...]:
        """Return the sides whose means take a step at the end of an epoch: by turns, once rows are pulled."""
        if not self.has_means or (epoch >= FIRST_PULL and not self.pulls(epoch, history)):
            return ()
        if self.mode in ("items", "users"):
            return ("users",) if self.mode == "items" else ("items",)
        return ("users", "items") if epoch < FIRST_PULL else ("users",) if epoch % 2 else ("items",)

    def looks(self, epoch: int) -> bool:
        """Return whether the end of an epoch measures how much of the rows means explain."""
        return self.has_means and epoch < FIRST_PULL


NO_MEANS = Implicit("none", 0.0)
