"""Count validation ratings whose user or item has no training rating, as after a split by time.

Covers: the items of a part's training ratings, and the count of one part.
Does not cover: the split itself (hold_out.py), the order of tasks (pipeline/stages/split.py).

All ratings of a user lie in one part; those of an item lie in any.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from funkflow.tasks.model.about import Place
from funkflow.tasks.storage import files

Bits = npt.NDArray[np.uint8]
"""Whether each item has training ratings, packed: one bit an item, by dense id."""


def trained_items(part: Place, held_out: Sequence[Place], items: int) -> Bits:
    """Return which of `items` items have training ratings in a part; `held_out` : files of its held-out ratings."""
    has_ratings = np.zeros(items, np.bool_)
    has_ratings[_training(part, held_out)[1]] = True
    return np.packbits(has_ratings)


def count_cold(part: Place, held_out: Sequence[Place], trained: Bits) -> int:
    """Return the number of validation ratings, in the first file of `held_out`, without a trained user or item."""
    users, _ = _training(part, held_out)
    table = files.read_table(held_out[0][0], ["user", "item"], held_out[0][1])
    user, item = table["user"].to_numpy(), table["item"].to_numpy()
    known = np.isin(user, users) & np.unpackbits(trained)[item].astype(np.bool_)
    return int(np.sum(~known))


def _training(part: Place, held_out: Sequence[Place]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Return users and items of the training ratings of a part, int32 (n,)."""
    table = files.read_table(part[0], ["user", "item"], part[1])
    is_training = np.ones(table.num_rows, np.bool_)
    for url, checksum in held_out:
        is_training[files.read_table(url, ["row"], checksum)["row"].to_numpy()] = False
    return table["user"].to_numpy()[is_training], table["item"].to_numpy()[is_training]
