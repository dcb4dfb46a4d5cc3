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
LAST_LOOK = 12
"""The last epoch in which `auto` looks. By then factors have set out wherever it uses means."""
EXPLAINED = 0.09
"""Part of the squares of the rows that means explain, as a geometric mean of both sides, from which on `auto` uses
them. At rank 64 its greatest value in the first twelve epochs is 0.17 on MovieLens 1M, 0.15 on 100K, 0.12 on
latest-small and 0.02 on MovieTweetings. On planted sets of 2,000 to 500,000 ratings at random places it is 0.03 to
0.06, and there means would end up to 11 % above the RMSE without them."""
L2_SHARE = 2.5
"""L2 beside means, as a multiple of the rule's. With half of a row explained, what is left is smaller. MovieLens 1M,
random 10 %, rank 64, with 1.5, 2, 2.5 and 3 the same ridge: 0.8334, 0.8260, 0.8218, 0.8221."""
RIDGE = 12.0
"""Ridge of second factors, in mean ratings a row, ratings / (users + items). With 3 and 6 MovieLens 1M ends at 0.8231
and 0.8226, with 12 at 0.8222; 100K and latest-small lie within 0.003 of each other."""
STEP_EPOCHS = 2
"""Epochs from one step of means to the next, of users and items by turns. A step takes 1.5 times as long as an epoch
without means. With a step in every epoch MovieLens 1M ends 0.001 lower."""
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
        seen = history[: max(0, epoch - JUDGED_LATE)][:LAST_LOOK]
        return self.mode != "auto" or any((row[EXPLAINED_COLUMN] or 0.0) >= EXPLAINED for row in seen)

    def looks(self, epoch: int, history: Sequence[Sequence[float | None]]) -> bool:
        """Return whether the end of an epoch measures how much of the rows means explain."""
        return self.mode == "auto" and self.side(epoch, history) is not None and not self.pulls(epoch, history)

    def side(self, epoch: int, history: Sequence[Sequence[float | None]]) -> str | None:
        """Return the side whose means take a step at the end of an epoch, every second one; None: there is none."""
        if not self.has_means or epoch % STEP_EPOCHS != 1:
            return None
        if self.mode == "auto" and epoch > LAST_LOOK and not self.pulls(epoch, history):
            return None
        if self.mode in ("items", "users"):
            return "users" if self.mode == "items" else "items"
        return "users" if epoch // STEP_EPOCHS % 2 == 0 else "items"


NO_MEANS = Implicit("none", 0.0)
