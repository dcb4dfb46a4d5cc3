"""One split of one set, in dense ids: what all contestants train on, and what their lists are judged by.

Covers: training and relevant pairs, the items that each user rated, and the sampled negatives of a split that has them.
Does not cover: where they come from (sets.py), or measures (measures.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int32]


@dataclass(frozen=True)
class HeldOut:
    """A split.

    Attributes
    ----------
    user_ids, item_ids : raw ids by dense id.
    training : users, items and ratings, int32, int32 and float32 (n,).
    relevant : users and items of the relevant validation ratings, int32 (m,) each.
    negatives : int32 (users, n), items beside which a user's one relevant item is ranked; None: all items are.
    """

    user_ids: npt.NDArray[Any]
    item_ids: npt.NDArray[Any]
    training: tuple[Integers, Integers, npt.NDArray[np.float32]]
    relevant: tuple[Integers, Integers]
    negatives: Integers | None = None

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.user_ids), len(self.item_ids)

    def rated(self, users: Integers) -> npt.NDArray[np.float32]:
        """Return 1 where these users rated in training and 0 elsewhere, float32 (n, items)."""
        starts, items = self._items_by_user
        dense = np.zeros((len(users), self.shape[1]), np.float32)
        for row, user in enumerate(users.tolist()):
            dense[row, items[starts[user] : starts[user + 1]]] = 1.0
        return dense

    @cached_property
    def _items_by_user(self) -> tuple[npt.NDArray[np.int64], Integers]:
        users, items, _ = self.training
        counts = np.bincount(users, minlength=self.shape[0])
        return np.concatenate([[0], np.cumsum(counts)]), items[np.argsort(users, kind="stable")]
